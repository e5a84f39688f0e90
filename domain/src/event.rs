//! Events as the log keeps them: who, when, where, and the exact bytes of the payload.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::TenantId;
use crate::account::AccountEvent;
use crate::agent_quota::AgentQuotaEvent;
use crate::case::CaseEvent;
use crate::license::LicenseEvent;
use crate::license_batch::LicenseBatchEvent;
use crate::order::OrderEvent;
use crate::project::ProjectEvent;
use crate::proposal::ProposalEvent;
use crate::reconciliation::ReconciliationEvent;
use crate::reversal::ReversalEvent;
use crate::risk::RiskPolicyEvent;
use crate::tenant::TenantEvent;
use crate::transfer::TransferEvent;
use crate::withdrawal::WithdrawalEvent;

/// The circumstances of an event; a flat map of strings in the log, so that the stock crates can read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The account that acted; absent for what runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The command, e.g. `quota.transfer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What all events of one business step share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// When it happened, if that is not when it was recorded (imported history); RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Metadata {
    /// The map form that `cqrs-es` uses.
    #[must_use]
    pub fn to_map(&self) -> HashMap<String, String> {
        let fields = [
            ("actor", &self.actor),
            ("command", &self.command),
            ("correlation_id", &self.correlation_id),
            ("causation_id", &self.causation_id),
            ("occurred_at", &self.occurred_at),
            ("traceparent", &self.traceparent),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
    }

    /// Notes a time other than that of recording.
    #[must_use]
    pub fn at(mut self, occurred_at: DateTime<Utc>) -> Self {
        self.occurred_at = Some(occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        self
    }
}

/// An event as it stands in the log.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Its place in the whole log: 1, 2, 3 … without gaps, in commit order.
    pub position: u64,
    /// Its own id.
    pub event_id: Uuid,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// `cqrs_es::Aggregate::TYPE` of its aggregate.
    pub aggregate_type: String,
    /// Its aggregate.
    pub aggregate_id: Uuid,
    /// Its place in its aggregate's stream: 1, 2, 3 …
    pub sequence: u64,
    /// Its type.
    pub event_type: String,
    /// The version of its payload's shape.
    pub event_version: String,
    /// The payload's exact bytes.
    pub payload: Box<RawValue>,
    /// Its circumstances.
    pub metadata: Metadata,
    /// When it was recorded; strictly increasing along the log.
    pub recorded_at: DateTime<Utc>,
}

/// The payload of any event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the aggregate of the same name")]
pub enum Event {
    Tenant(TenantEvent),
    Account(AccountEvent),
    Project(ProjectEvent),
    AgentQuota(AgentQuotaEvent),
    LicenseBatch(LicenseBatchEvent),
    License(LicenseEvent),
    Withdrawal(WithdrawalEvent),
    Transfer(TransferEvent),
    RiskPolicy(RiskPolicyEvent),
    Reversal(ReversalEvent),
    Order(OrderEvent),
    Reconciliation(ReconciliationEvent),
    Case(CaseEvent),
    Proposal(ProposalEvent),
}

/// Why an event of the log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The aggregate's type is none of ours.
    #[error("position {position} has the unknown aggregate type {aggregate_type}")]
    UnknownAggregate {
        /// Where.
        position: u64,
        /// What it says.
        aggregate_type: String,
    },
    /// The payload does not have its type's shape.
    #[error("the payload at position {position} can't be read")]
    Payload {
        /// Where.
        position: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The aggregate types of the log, as they stand in `aggregate_type`.
pub const AGGREGATE_TYPES: &[&str] = &[
    "Tenant",
    "Account",
    "Project",
    "AgentQuota",
    "LicenseBatch",
    "License",
    "Withdrawal",
    "Transfer",
    "RiskPolicy",
    "Reversal",
    "Order",
    "Reconciliation",
    "Case",
    "Proposal",
];

impl RecordedEvent {
    /// The typed payload.
    ///
    /// # Errors
    /// [`DecodeError`] if the type is unknown or the payload has another shape.
    pub fn decode(&self) -> Result<Event, DecodeError> {
        let text = self.payload.get();
        let read = match self.aggregate_type.as_str() {
            "Tenant" => serde_json::from_str(text).map(Event::Tenant),
            "Account" => serde_json::from_str(text).map(Event::Account),
            "Project" => serde_json::from_str(text).map(Event::Project),
            "AgentQuota" => serde_json::from_str(text).map(Event::AgentQuota),
            "LicenseBatch" => serde_json::from_str(text).map(Event::LicenseBatch),
            "License" => serde_json::from_str(text).map(Event::License),
            "Withdrawal" => serde_json::from_str(text).map(Event::Withdrawal),
            "Transfer" => serde_json::from_str(text).map(Event::Transfer),
            "RiskPolicy" => serde_json::from_str(text).map(Event::RiskPolicy),
            "Reversal" => serde_json::from_str(text).map(Event::Reversal),
            "Order" => serde_json::from_str(text).map(Event::Order),
            "Reconciliation" => serde_json::from_str(text).map(Event::Reconciliation),
            "Case" => serde_json::from_str(text).map(Event::Case),
            "Proposal" => serde_json::from_str(text).map(Event::Proposal),
            other => {
                return Err(DecodeError::UnknownAggregate {
                    position: self.position,
                    aggregate_type: other.to_owned(),
                });
            }
        };
        read.map_err(|source| DecodeError::Payload { position: self.position, source })
    }

    /// When it happened: the metadata's time if it has one, else that of recording.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        let noted = self.metadata.occurred_at.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        noted.map_or(self.recorded_at, |time| time.to_utc())
    }
}
