//! `Proposal`: what is taken back that is more than one person may move alone, until a second super admin confirms it
//! (rows U12, C5, Q9).
//!
//! A proposal moves and holds nothing. What it proposes happens in the same step as its confirmation, and is checked then
//! like any other: a journal that was reversed in between is not reversed again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::order::Refund;
use crate::{AccountId, BatchId, JournalId, OrderId, Quota, event_names, impl_aggregate};

/// The state of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What was proposed; `None` before.
    pub proposed: Option<Proposed>,
    /// Where it stands.
    pub status: ProposalStatus,
}

/// What was proposed, and why it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// What is to be done.
    pub act: Act,
    /// How much quota it moves, as of the proposal.
    pub amount: Quota,
    /// What one person might move alone then; less than the amount.
    pub limit: Quota,
    /// Who proposed it.
    pub asked_by: AccountId,
    /// Until when it can be confirmed; for good if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A journal is taken back. The amount is the proposal's.
    ReverseJournal {
        /// The journal.
        reverses: JournalId,
        /// Who gives it back.
        from: AccountId,
        /// Who gets it back; absent for the tenant itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<AccountId>,
        /// What the journal had moved.
        original: Quota,
        /// Why.
        reason: String,
    },
    /// A batch that no order bought is refunded.
    RefundBatch {
        /// The batch.
        batch_id: BatchId,
    },
    /// All that is left of an order is paid back, and its batch with it.
    RefundOrder {
        /// The order.
        order_id: OrderId,
        /// What it bought.
        batch_id: BatchId,
        /// What is to be noted of the refund.
        refund: Refund,
    },
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    /// Waits for a second person.
    #[default]
    Open,
    /// It was done.
    Confirmed,
    /// It will not be done.
    Declined,
}

impl ProposalStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
        }
    }
}

/// What can be asked of a proposal.
#[derive(Clone, Debug)]
pub enum ProposalCommand {
    /// Begins to wait.
    Propose(Proposed),
    /// Agrees; it is done in the same step.
    Confirm {
        /// Who agrees.
        by: AccountId,
        /// Now.
        now: DateTime<Utc>,
    },
    /// Ends it; whoever proposed it can, too.
    Decline {
        /// Who decides.
        by: AccountId,
        /// Why.
        reason: Option<String>,
    },
}

/// What happened to a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProposalEvent {
    /// It waits for a second person.
    ActProposed(Proposed),
    /// A second person agreed, and it was done in the same step.
    ActConfirmed {
        /// Who.
        by: AccountId,
    },
    /// It will not be done.
    ActDeclined {
        /// Who decided.
        by: AccountId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

event_names!(ProposalEvent { ActProposed, ActConfirmed, ActDeclined });

/// Why a command on a proposal is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// There is no such proposal.
    #[error("there is no such proposal")]
    Unknown,
    /// The id is taken by another proposal.
    #[error("the proposal exists already with another content")]
    Exists,
    /// Whoever proposed can't confirm.
    #[error("whoever proposed it can't confirm it")]
    SamePerson,
    /// It was decided on already.
    #[error("the proposal is {}", .0.as_str())]
    NotOpen(ProposalStatus),
    /// Its time is over.
    #[error("the time for a confirmation was over at {0}; it has to be proposed again")]
    Overdue(DateTime<Utc>),
}

impl_aggregate!(Proposal, "Proposal", ProposalCommand, ProposalEvent, ProposalError);

impl Proposal {
    fn decisions(&self, command: ProposalCommand) -> Result<Vec<ProposalEvent>, ProposalError> {
        let Some(known) = &self.proposed else {
            return match command {
                ProposalCommand::Propose(proposed) => Ok(vec![ProposalEvent::ActProposed(proposed)]),
                _ => Err(ProposalError::Unknown),
            };
        };
        match command {
            ProposalCommand::Propose(same) if same == *known => Ok(vec![]),
            ProposalCommand::Propose(_) => Err(ProposalError::Exists),
            ProposalCommand::Confirm { .. } | ProposalCommand::Decline { .. }
                if self.status != ProposalStatus::Open =>
            {
                Err(ProposalError::NotOpen(self.status))
            }
            ProposalCommand::Confirm { by, .. } if by == known.asked_by => Err(ProposalError::SamePerson),
            ProposalCommand::Confirm { by, now } => match known.expires_at.filter(|end| *end <= now) {
                Some(end) => Err(ProposalError::Overdue(end)),
                None => Ok(vec![ProposalEvent::ActConfirmed { by }]),
            },
            ProposalCommand::Decline { by, reason } => Ok(vec![ProposalEvent::ActDeclined { by, reason }]),
        }
    }

    fn evolve(&mut self, event: ProposalEvent) {
        match event {
            ProposalEvent::ActProposed(proposed) => self.proposed = Some(proposed),
            ProposalEvent::ActConfirmed { .. } => self.status = ProposalStatus::Confirmed,
            ProposalEvent::ActDeclined { .. } => self.status = ProposalStatus::Declined,
        }
    }
}

impl Act {
    /// The act's name in columns and answers.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ReverseJournal { .. } => "reverse_journal",
            Self::RefundBatch { .. } => "refund_batch",
            Self::RefundOrder { .. } => "refund_order",
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    fn account(n: u128) -> AccountId {
        AccountId(Uuid::from_u128(n))
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn proposed() -> ProposalEvent {
        ProposalEvent::ActProposed(Proposed {
            act: Act::RefundBatch { batch_id: BatchId(Uuid::from_u128(9)) },
            amount: Quota::new(500).unwrap(),
            limit: Quota::new(499).unwrap(),
            asked_by: account(1),
            expires_at: Some(at(100)),
        })
    }

    fn given(events: Vec<ProposalEvent>) -> cqrs_es::test::AggregateTestExecutor<Proposal> {
        TestFramework::<Proposal>::with(()).given(events)
    }

    #[test]
    fn another_person_confirms_once_and_in_time() {
        let confirm = |by, second| ProposalCommand::Confirm { by: account(by), now: at(second) };
        let confirmed = ProposalEvent::ActConfirmed { by: account(2) };
        given(vec![proposed()]).when(confirm(1, 1)).then_expect_error(ProposalError::SamePerson);
        given(vec![proposed()]).when(confirm(2, 99)).then_expect_events(vec![confirmed.clone()]);
        given(vec![proposed()]).when(confirm(2, 100)).then_expect_error(ProposalError::Overdue(at(100)));
        given(vec![proposed(), confirmed])
            .when(confirm(3, 1))
            .then_expect_error(ProposalError::NotOpen(ProposalStatus::Confirmed));
        TestFramework::<Proposal>::with(())
            .given_no_previous_events()
            .when(confirm(2, 1))
            .then_expect_error(ProposalError::Unknown);
    }

    #[test]
    fn whoever_proposed_it_can_take_it_back_and_nobody_revives_it() {
        let declined = ProposalEvent::ActDeclined { by: account(1), reason: None };
        given(vec![proposed()])
            .when(ProposalCommand::Decline { by: account(1), reason: None })
            .then_expect_events(vec![declined.clone()]);
        given(vec![proposed(), declined])
            .when(ProposalCommand::Confirm { by: account(2), now: at(1) })
            .then_expect_error(ProposalError::NotOpen(ProposalStatus::Declined));
    }
}
