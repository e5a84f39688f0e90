//! Identities as types: one id can't be passed where another is meant.
//!
//! All but [`ApiKeyId`] are UUIDs (version 7 when made by the write side, version 5 when derived from a cause).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}

ids! {
    /// A vendor with its own users, projects and ledger.
    TenantId,
    /// A user of any role; an agent's quota account has the same id.
    AccountId,
    /// A software product whose licences are sold.
    ProjectId,
    /// What a licence of a project grants.
    PlanId,
    /// Licences issued by one command.
    BatchId,
    /// The right to use a project.
    LicenseId,
    /// Quota turned into money.
    WithdrawalId,
    /// One atomic movement of the ledger.
    JournalId,
    /// A reserved amount.
    HoldId,
    /// A payment at a provider.
    OrderId,
    /// One run that compares.
    ReconciliationId,
    /// A difference that a run found, until it is explained.
    CaseId,
    /// What waits for a second person.
    ProposalId,
    /// A callback on its way; its `webhook-id`.
    DeliveryId,
}

impl HoldId {
    /// The hold that pays for a batch: the batch's own id, so that neither can be confused with another's.
    #[must_use]
    pub fn of_batch(batch: BatchId) -> Self {
        Self(batch.0)
    }

    /// The hold behind a withdrawal.
    #[must_use]
    pub fn of_withdrawal(withdrawal: WithdrawalId) -> Self {
        Self(withdrawal.0)
    }

    /// The hold behind a transfer that waits for a review.
    #[must_use]
    pub fn of_transfer(transfer: JournalId) -> Self {
        Self(transfer.0)
    }
}

impl OrderId {
    /// The order of that number at a provider: the same however often the payment is told (UUID version 5).
    #[must_use]
    pub fn of(tenant: TenantId, provider: &str, provider_order_id: &str) -> Self {
        Self(Uuid::new_v5(&tenant.0, format!("order/{provider}/{provider_order_id}").as_bytes()))
    }
}

impl CaseId {
    /// The case about that subject: the same in every run (UUID version 5).
    #[must_use]
    pub fn of(tenant: TenantId, subject: &crate::case::Subject) -> Self {
        let crate::case::Subject { kind, source, class, key } = subject;
        let name = format!("case/{}/{}/{}/{}/{key}", kind.as_str(), source.len(), source, class.as_str());
        Self(Uuid::new_v5(&tenant.0, name.as_bytes()))
    }
}

impl JournalId {
    /// The journal that follows from a cause and a step of it; the same inputs give the same id (UUID version 5).
    #[must_use]
    pub fn derived(cause: Uuid, step: &str) -> Self {
        Self(Uuid::new_v5(&cause, step.as_bytes()))
    }
}

/// The public half of a project's client credentials, sent as `keyid` by client software.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeyId(pub String);

impl std::fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
