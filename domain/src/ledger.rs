//! The ledger: the one pure function from events to postings (row C5).
//!
//! Every event of an agent's quota is balanced by itself, so the whole ledger sums to zero at **every** position. A
//! movement between two agents passes through [`LedgerAccount::Transit`], which is zero again at the end of each
//! journal, since both halves are appended in one step.

use serde::{Deserialize, Serialize};

use crate::agent_quota::{
    AgentQuotaEvent, Commission, Destination, HoldPurpose, Origin, Return, Reversed, TransferKind,
};
use crate::{AccountId, JournalId, ProjectId};

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerAccount {
    /// What an agent can spend.
    Available(AccountId),
    /// What an agent has reserved.
    Held(AccountId),
    /// Where new quota comes from; minus everything ever topped up by the tenant.
    Issuance,
    /// Licences sold of a project.
    Sales(ProjectId),
    /// Between the two halves of a movement; zero at every commit.
    Transit,
    /// Quota that left as money.
    PaidOut,
}

impl LedgerAccount {
    /// The agent whose statement the account belongs to.
    #[must_use]
    pub fn agent(self) -> Option<AccountId> {
        match self {
            Self::Available(agent) | Self::Held(agent) => Some(agent),
            Self::Issuance | Self::Sales(_) | Self::Transit | Self::PaidOut => None,
        }
    }
}

impl std::fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Available(agent) => write!(f, "agent:{agent}:available"),
            Self::Held(agent) => write!(f, "agent:{agent}:held"),
            Self::Issuance => f.write_str("issuance"),
            Self::Sales(project) => write!(f, "sales:{project}"),
            Self::Transit => f.write_str("transit"),
            Self::PaidOut => f.write_str("paid_out"),
        }
    }
}

/// What kind of movement a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalKind {
    /// Quota given by an admin or the tenant.
    TopUp,
    /// Quota moved between agents.
    Transfer,
    /// Quota reserved.
    Hold,
    /// A reservation given back.
    Release,
    /// Licences bought.
    Issue,
    /// Money paid out.
    Withdrawal,
    /// A reservation given back because its time was over.
    Expiry,
    /// A part of a sale earned by an ancestor of the seller.
    Commission,
    /// A movement taken back.
    Reversal,
    /// The payment of a batch taken back.
    Refund,
}

impl JournalKind {
    /// The kind's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopUp => "top_up",
            Self::Transfer => "transfer",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Issue => "issue",
            Self::Withdrawal => "withdrawal",
            Self::Expiry => "expiry",
            Self::Commission => "commission",
            Self::Reversal => "reversal",
            Self::Refund => "refund",
        }
    }
}

/// One account's part of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: LedgerAccount,
    /// Minor units; more than zero is a credit to the account, less a debit.
    pub amount: i64,
}

/// The two postings of an event on the quota of `agent`; they sum to zero.
#[must_use]
pub fn postings(agent: AccountId, event: &AgentQuotaEvent) -> [Posting; 2] {
    use LedgerAccount::{Available, Held, Issuance, Sales, Transit};
    let (from, to, amount) = match event {
        AgentQuotaEvent::QuotaToppedUp { amount, .. } => (Issuance, Available(agent), amount),
        AgentQuotaEvent::QuotaSent { amount, .. } => (Available(agent), Transit, amount),
        AgentQuotaEvent::QuotaReceived { amount, .. } => (Transit, Available(agent), amount),
        AgentQuotaEvent::QuotaSpent { amount, to, .. } => (Available(agent), destination(*to), amount),
        AgentQuotaEvent::QuotaHeld { amount, .. } => (Available(agent), Held(agent), amount),
        AgentQuotaEvent::HoldSettled { amount, to, .. } => (Held(agent), destination(*to), amount),
        AgentQuotaEvent::HoldReleased { amount, .. } | AgentQuotaEvent::HoldExpired { amount, .. } => {
            (Held(agent), Available(agent), amount)
        }
        AgentQuotaEvent::CommissionEarned(Commission { amount, project_id, .. }) => {
            (Sales(*project_id), Available(agent), amount)
        }
        AgentQuotaEvent::QuotaTakenBack(Return { amount, origin, .. }) => {
            (Available(agent), account_of(*origin), amount)
        }
        AgentQuotaEvent::QuotaGivenBack(Return { amount, origin, .. }) => {
            (account_of(*origin), Available(agent), amount)
        }
    };
    let amount = amount.minor_units();
    [Posting { account: from, amount: -amount }, Posting { account: to, amount }]
}

/// The journal an event belongs to, and its kind.
#[must_use]
pub fn journal(event: &AgentQuotaEvent) -> (JournalId, JournalKind) {
    match event {
        AgentQuotaEvent::QuotaToppedUp { journal_id, .. } => (*journal_id, JournalKind::TopUp),
        AgentQuotaEvent::QuotaSent { journal_id, kind, .. }
        | AgentQuotaEvent::QuotaReceived { journal_id, kind, .. } => (*journal_id, transfer_kind(*kind)),
        AgentQuotaEvent::QuotaSpent { journal_id, to, .. } | AgentQuotaEvent::HoldSettled { journal_id, to, .. } => {
            let kind = match to {
                Destination::Sales { .. } => JournalKind::Issue,
                Destination::PaidOut { .. } => JournalKind::Withdrawal,
                Destination::Agent { kind, .. } => transfer_kind(*kind),
            };
            (*journal_id, kind)
        }
        AgentQuotaEvent::QuotaHeld { hold_id, .. } => (JournalId(hold_id.0), JournalKind::Hold),
        AgentQuotaEvent::HoldReleased { journal_id, .. } => (*journal_id, JournalKind::Release),
        AgentQuotaEvent::HoldExpired { journal_id, .. } => (*journal_id, JournalKind::Expiry),
        AgentQuotaEvent::CommissionEarned(Commission { journal_id, .. }) => (*journal_id, JournalKind::Commission),
        AgentQuotaEvent::QuotaTakenBack(Return { journal_id, reverses, .. })
        | AgentQuotaEvent::QuotaGivenBack(Return { journal_id, reverses, .. }) => {
            let kind = match reverses {
                Reversed::Journal(_) => JournalKind::Reversal,
                Reversed::Batch(_) => JournalKind::Refund,
            };
            (*journal_id, kind)
        }
    }
}

/// What the movement is about: the batch, withdrawal or other agent that a statement shows beside it.
#[must_use]
pub fn source(event: &AgentQuotaEvent) -> (&'static str, uuid::Uuid) {
    match event {
        AgentQuotaEvent::QuotaToppedUp { journal_id, .. } => ("top_up", journal_id.0),
        AgentQuotaEvent::QuotaSent { to, .. } => ("agent", to.0),
        AgentQuotaEvent::QuotaReceived { from, .. } => ("agent", from.0),
        AgentQuotaEvent::QuotaSpent { to, .. } | AgentQuotaEvent::HoldSettled { to, .. } => match to {
            Destination::Sales { batch_id, .. } => ("batch", batch_id.0),
            Destination::PaidOut { withdrawal_id } => ("withdrawal", withdrawal_id.0),
            Destination::Agent { account_id, .. } => ("agent", account_id.0),
        },
        AgentQuotaEvent::QuotaHeld { purpose, .. } => match purpose {
            HoldPurpose::Batch(batch) => ("batch", batch.0),
            HoldPurpose::Withdrawal(withdrawal) => ("withdrawal", withdrawal.0),
            HoldPurpose::Transfer(transfer) => ("transfer", transfer.0),
        },
        AgentQuotaEvent::HoldReleased { hold_id, .. } | AgentQuotaEvent::HoldExpired { hold_id, .. } => {
            ("hold", hold_id.0)
        }
        AgentQuotaEvent::CommissionEarned(Commission { batch_id, .. }) => ("batch", batch_id.0),
        AgentQuotaEvent::QuotaTakenBack(Return { reverses, .. })
        | AgentQuotaEvent::QuotaGivenBack(Return { reverses, .. }) => match reverses {
            Reversed::Journal(journal) => ("journal", journal.0),
            Reversed::Batch(batch) => ("batch", batch.0),
        },
    }
}

fn transfer_kind(kind: TransferKind) -> JournalKind {
    match kind {
        TransferKind::Transfer => JournalKind::Transfer,
        TransferKind::TopUp => JournalKind::TopUp,
    }
}

fn destination(to: Destination) -> LedgerAccount {
    match to {
        Destination::Sales { project_id, .. } => LedgerAccount::Sales(project_id),
        Destination::PaidOut { .. } => LedgerAccount::PaidOut,
        Destination::Agent { .. } => LedgerAccount::Transit,
    }
}

fn account_of(origin: Origin) -> LedgerAccount {
    match origin {
        Origin::Issuance => LedgerAccount::Issuance,
        Origin::Agent { .. } => LedgerAccount::Transit,
        Origin::Sales { project_id, .. } => LedgerAccount::Sales(project_id),
    }
}
