//! The circumstances of a command: who, when, under which keys.

use chrono::{DateTime, Utc};
use quotary_domain::{Actor, Metadata, TenantId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What comes with a command beside its content.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whose data it concerns.
    pub tenant_id: TenantId,
    /// Who acts; `None` for what runs by itself.
    pub actor: Option<Actor>,
    /// The use case, e.g. `quota.transfer`.
    pub command: &'static str,
    /// Makes a repeat of the command answer the same and write nothing.
    pub idempotency: Option<Idempotency>,
    /// The sequence that the command's first stream must have.
    pub if_match: Option<u64>,
    /// When the command is decided, to the microsecond.
    pub now: DateTime<Utc>,
    /// When it happened, for history that is brought in.
    pub occurred_at: Option<DateTime<Utc>>,
    /// What all events of one business step share.
    pub correlation_id: Option<Uuid>,
    /// The event that the command answers.
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// An idempotency key in the form it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 over who asks and the key.
    pub key_hash: [u8; 32],
    /// SHA-256 over what is asked.
    pub request_hash: [u8; 32],
}

impl Idempotency {
    /// The kept form of `key` as used by `scope` (an account, a project's API key, a process manager) for `request`.
    #[must_use]
    pub fn new(scope: &str, key: &str, request: &[u8]) -> Self {
        let key_hash =
            Sha256::new().chain_update((scope.len() as u64).to_be_bytes()).chain_update(scope).chain_update(key);
        Self { key_hash: key_hash.finalize().into(), request_hash: Sha256::digest(request).into() }
    }
}

impl Context {
    /// A command of an account.
    #[must_use]
    pub fn of(actor: Actor, command: &'static str, now: DateTime<Utc>) -> Self {
        Self { actor: Some(actor), ..Self::system(actor.tenant_id, command, now) }
    }

    /// A command of something that runs by itself.
    #[must_use]
    pub fn system(tenant_id: TenantId, command: &'static str, now: DateTime<Utc>) -> Self {
        Self {
            tenant_id,
            actor: None,
            command,
            idempotency: None,
            if_match: None,
            now,
            occurred_at: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
        }
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let metadata = Metadata {
            actor: self.actor.map(|actor| actor.account_id.to_string()),
            command: Some(self.command.to_owned()),
            correlation_id: self.correlation_id.map(|id| id.to_string()),
            causation_id: self.causation_id.map(|id| id.to_string()),
            occurred_at: None,
            traceparent: self.traceparent.clone(),
        };
        match self.occurred_at {
            Some(time) => metadata.at(time),
            None => metadata,
        }
    }
}
