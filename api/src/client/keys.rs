//! The opened secrets of projects, by API key id: what their client software signs with, and what answers are signed with.
//!
//! What must always hold: a key here is only ever used after the index or the log said that its id is good now. The secret
//! behind an id never changes, so an entry never becomes wrong, only unused; it is dropped when its id is refused. The key
//! that signs is asked for by its id on every call, so that a rotation takes effect with the index.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use ed25519_dalek::SigningKey;
use quotary_commands::project::create::{secret_purpose, signing_purpose};
use quotary_commands::{Vault, VaultError};
use quotary_domain::project::{Credentials, SigningKey as SealedSigningKey};
use quotary_domain::{ProjectId, TenantId};

use super::counts::{ProjectCounts, VerificationCounts};
use crate::client_signature::{HmacKey, SecretTooShort};

/// Why a project's secret can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be opened.
    #[error("a project's secret can't be opened")]
    Vault(#[from] VaultError),
    /// It is too short to be one.
    #[error("a project's secret can't be used")]
    Secret(#[from] SecretTooShort),
    /// The bytes of a signing key are not 32.
    #[error("a project's signing key has {0} bytes")]
    SigningKey(usize),
}

/// What signs a project's answers.
pub struct AnswerKey {
    /// Its name in `keyid`.
    pub key_id: String,
    /// The key.
    pub key: SigningKey,
}

/// The opened secrets behind one API key id.
pub struct ClientKey {
    /// The project.
    pub project_id: ProjectId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The public half.
    pub api_key_id: String,
    /// What requests are signed with.
    pub hmac: HmacKey,
    /// The project's counters.
    pub counts: Arc<ProjectCounts>,
    answer_key: ArcSwapOption<AnswerKey>,
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({})", self.api_key_id)
    }
}

impl ClientKey {
    /// The project's current key, opened at its first use after it became the current one.
    pub(super) fn answer_key(&self, vault: &Vault, current: &SealedSigningKey) -> Result<Arc<AnswerKey>, KeyError> {
        if let Some(known) = self.answer_key.load().as_ref().filter(|known| known.key_id == current.key_id) {
            return Ok(known.clone());
        }
        let seed = vault.open(self.tenant_id, &signing_purpose(&current.key_id), &current.secret_key)?;
        let seed = <&[u8; 32]>::try_from(seed.as_slice()).map_err(|_| KeyError::SigningKey(seed.len()))?;
        let opened = Arc::new(AnswerKey { key_id: current.key_id.clone(), key: SigningKey::from_bytes(seed) });
        self.answer_key.store(Some(opened.clone()));
        Ok(opened)
    }
}

/// The opened keys of this process. Read without a lock; written once per API key.
#[derive(Debug)]
pub struct ClientKeys {
    known: ArcSwap<HashMap<String, Arc<ClientKey>>>,
    vault: Vault,
    counts: VerificationCounts,
}

impl ClientKeys {
    /// No keys yet.
    #[must_use]
    pub fn new(vault: Vault, counts: VerificationCounts) -> Self {
        Self { known: ArcSwap::default(), vault, counts }
    }

    /// The opened key of an id, if it was used before. The caller still has to ask whether the id is good now.
    pub(super) fn get(&self, api_key_id: &str) -> Option<Arc<ClientKey>> {
        self.known.load().get(api_key_id).cloned()
    }

    /// Opens the secrets behind an id that was found to be good, and keeps them.
    pub(super) fn open(
        &self,
        tenant_id: TenantId,
        project_id: ProjectId,
        credentials: &Credentials,
    ) -> Result<Arc<ClientKey>, KeyError> {
        let id = &credentials.api_key_id;
        let secret = self.vault.open(tenant_id, &secret_purpose(id), &credentials.api_secret)?;
        let opened = Arc::new(ClientKey {
            project_id,
            tenant_id,
            api_key_id: id.0.clone(),
            hmac: HmacKey::new(&secret)?,
            counts: self.counts.of(project_id),
            answer_key: ArcSwapOption::empty(),
        });
        self.known.rcu(|known| {
            let mut more = HashMap::clone(known);
            more.insert(id.0.clone(), opened.clone());
            more
        });
        Ok(opened)
    }

    /// Drops the secrets behind an id that is good no longer.
    pub(super) fn forget(&self, api_key_id: &str) {
        if self.known.load().contains_key(api_key_id) {
            self.known.rcu(|known| {
                let mut fewer = HashMap::clone(known);
                fewer.remove(api_key_id);
                fewer
            });
        }
    }
}
