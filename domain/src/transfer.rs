//! `Transfer`: a movement that a risk rule suspended, until an admin who is no party to it decides (row Q4). Its id is the
//! journal's.
//!
//! The amount is held in the giver's quota in the same step as the suspension, and moves or returns in the same step as
//! the decision. A transfer that no rule suspends has no stream here: its journal says everything.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::agent_quota::TransferKind;
use crate::risk::RiskReason;
use crate::{AccountId, JournalId, Quota, event_names, impl_aggregate};

/// The state of a suspended transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What was asked for; `None` before.
    pub request: Option<TransferRequest>,
    /// Where it stands.
    pub status: TransferStatus,
}

/// What was asked for, and why it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRequest {
    /// What kind of movement it is.
    pub kind: TransferKind,
    /// Whose quota it is; absent for a top-up by the tenant itself, which holds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AccountId>,
    /// Who is to get it.
    pub to: AccountId,
    /// More than zero.
    pub amount: Quota,
    /// A remark for both statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who asked.
    pub asked_by: AccountId,
    /// The rules that suspended it; at least one.
    pub reasons: Vec<RiskReason>,
    /// When it ends by itself and the amount returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where a suspended transfer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    /// Waits for a decision.
    #[default]
    Suspended,
    /// This much of it was let go; the rest returned.
    Completed(Quota),
    /// The amount returned.
    Refused,
    /// Nobody decided in time; the amount returned.
    Expired,
}

impl TransferStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Completed(_) => "completed",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// What can be asked of a suspended transfer.
#[derive(Clone, Debug)]
pub enum TransferCommand {
    /// Begins to wait.
    Suspend(TransferRequest),
    /// Lets it, or a part of it, go.
    Release {
        /// Who decides.
        by: AccountId,
        /// How much; all of it if absent.
        amount: Option<Quota>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// Gives the amount back.
    Refuse {
        /// Who decides.
        by: AccountId,
        /// Why, for those concerned.
        reason: Option<String>,
    },
    /// Gives the amount back because nobody decided in time; nothing happens if somebody did.
    Expire {
        /// Now.
        now: DateTime<Utc>,
    },
}

/// What happened to a suspended transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferEvent {
    /// It waits for a decision.
    TransferSuspended(TransferRequest),
    /// It, or a part of it, was let go.
    TransferReleased {
        /// Who decided.
        by: AccountId,
        /// How much.
        amount: Quota,
    },
    /// The amount returned.
    TransferRefused {
        /// Who decided.
        by: AccountId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Nobody decided in time; the amount returned.
    TransferExpired {},
}

event_names!(TransferEvent { TransferSuspended, TransferReleased, TransferRefused, TransferExpired });

/// Why a command on a suspended transfer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// There is no such suspended transfer.
    #[error("there is no such suspended transfer")]
    Unknown,
    /// The id is taken by another request.
    #[error("the transfer exists already with another content")]
    Exists,
    /// Giver, receiver and whoever asked can't decide.
    #[error("a party to a transfer can't decide on it")]
    Party,
    /// It was decided on already.
    #[error("the transfer is {}", .0.as_str())]
    NotSuspended(TransferStatus),
    /// More than was asked for, or nothing, was to be let go.
    #[error("from 1 to {0} can be released")]
    InvalidAmount(Quota),
    /// Nobody decided in time; that it ended is about to be written.
    #[error("the time for a decision was over at {0}; the transfer ends by itself")]
    Overdue(DateTime<Utc>),
    /// Its time is not over, or it has none.
    #[error("the transfer has not expired")]
    NotExpired,
}

impl_aggregate!(Transfer, "Transfer", TransferCommand, TransferEvent, TransferError);

impl Transfer {
    fn decisions(&self, command: TransferCommand) -> Result<Vec<TransferEvent>, TransferError> {
        let Some(request) = &self.request else {
            return match command {
                TransferCommand::Suspend(request) => Ok(vec![TransferEvent::TransferSuspended(request)]),
                _ => Err(TransferError::Unknown),
            };
        };
        let is_suspended = self.status == TransferStatus::Suspended;
        let decider = match &command {
            TransferCommand::Release { by, .. } | TransferCommand::Refuse { by, .. } => Some(*by),
            TransferCommand::Suspend(_) | TransferCommand::Expire { .. } => None,
        };
        if decider.is_some_and(|by| request.has_party(by)) {
            return Err(TransferError::Party);
        }
        match command {
            TransferCommand::Suspend(same) if same == *request => Ok(vec![]),
            TransferCommand::Suspend(_) => Err(TransferError::Exists),
            TransferCommand::Release { .. } | TransferCommand::Refuse { .. } if !is_suspended => {
                Err(TransferError::NotSuspended(self.status))
            }
            TransferCommand::Release { by, amount, now } => {
                if let Some(end) = request.expires_at.filter(|end| *end <= now) {
                    return Err(TransferError::Overdue(end));
                }
                let amount = amount.unwrap_or(request.amount);
                if amount.is_zero() || amount > request.amount {
                    return Err(TransferError::InvalidAmount(request.amount));
                }
                Ok(vec![TransferEvent::TransferReleased { by, amount }])
            }
            TransferCommand::Refuse { by, reason } => Ok(vec![TransferEvent::TransferRefused { by, reason }]),
            TransferCommand::Expire { .. } if !is_suspended => Ok(vec![]),
            TransferCommand::Expire { now } if request.expires_at.is_some_and(|end| end <= now) => {
                Ok(vec![TransferEvent::TransferExpired {}])
            }
            TransferCommand::Expire { .. } => Err(TransferError::NotExpired),
        }
    }

    fn evolve(&mut self, event: TransferEvent) {
        match event {
            TransferEvent::TransferSuspended(request) => self.request = Some(request),
            TransferEvent::TransferReleased { amount, .. } => self.status = TransferStatus::Completed(amount),
            TransferEvent::TransferRefused { .. } => self.status = TransferStatus::Refused,
            TransferEvent::TransferExpired {} => self.status = TransferStatus::Expired,
        }
    }
}

impl TransferRequest {
    /// The journal in which the amount moves once the transfer of this id is let go: a new one, since the hold is the
    /// first; the tenant itself holds nothing, so its top-up has the transfer's own.
    #[must_use]
    pub fn settlement(&self, id: JournalId) -> JournalId {
        if self.from.is_some() { JournalId::derived(id.0, "settle") } else { id }
    }

    /// Whether the account gives, gets, or asked.
    #[must_use]
    pub fn has_party(&self, account: AccountId) -> bool {
        account == self.to || account == self.asked_by || Some(account) == self.from
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

    fn q(amount: i64) -> Quota {
        Quota::new(amount).unwrap()
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn suspended() -> TransferEvent {
        TransferEvent::TransferSuspended(TransferRequest {
            kind: TransferKind::Transfer,
            from: Some(account(1)),
            to: account(2),
            amount: q(50),
            note: None,
            asked_by: account(1),
            reasons: vec![RiskReason::AmountAbove { limit: q(40) }],
            expires_at: Some(at(100)),
        })
    }

    fn given(events: Vec<TransferEvent>) -> cqrs_es::test::AggregateTestExecutor<Transfer> {
        TestFramework::<Transfer>::with(()).given(events)
    }

    #[test]
    fn no_party_decides() {
        for party in [1, 2] {
            let by = account(party);
            given(vec![suspended()])
                .when(TransferCommand::Release { by, amount: None, now: at(1) })
                .then_expect_error(TransferError::Party);
            given(vec![suspended()])
                .when(TransferCommand::Refuse { by, reason: None })
                .then_expect_error(TransferError::Party);
        }
    }

    #[test]
    fn a_part_can_be_let_go_and_never_more_than_was_asked_for() {
        given(vec![suspended()])
            .when(TransferCommand::Release { by: account(3), amount: Some(q(20)), now: at(99) })
            .then_expect_events(vec![TransferEvent::TransferReleased { by: account(3), amount: q(20) }]);
        for amount in [q(0), q(51)] {
            given(vec![suspended()])
                .when(TransferCommand::Release { by: account(3), amount: Some(amount), now: at(99) })
                .then_expect_error(TransferError::InvalidAmount(q(50)));
        }
    }

    #[test]
    fn it_expires_once_and_only_in_time() {
        given(vec![suspended()])
            .when(TransferCommand::Expire { now: at(99) })
            .then_expect_error(TransferError::NotExpired);
        given(vec![suspended()])
            .when(TransferCommand::Expire { now: at(100) })
            .then_expect_events(vec![TransferEvent::TransferExpired {}]);
        given(vec![suspended(), TransferEvent::TransferExpired {}])
            .when(TransferCommand::Expire { now: at(200) })
            .then_expect_events(vec![]);
    }

    #[test]
    fn what_is_overdue_is_not_let_go_and_can_still_be_refused() {
        given(vec![suspended()])
            .when(TransferCommand::Release { by: account(3), amount: None, now: at(100) })
            .then_expect_error(TransferError::Overdue(at(100)));
        given(vec![suspended()])
            .when(TransferCommand::Refuse { by: account(3), reason: None })
            .then_expect_events(vec![TransferEvent::TransferRefused { by: account(3), reason: None }]);
    }

    #[test]
    fn what_was_decided_stays_decided() {
        let refused = TransferEvent::TransferRefused { by: account(3), reason: None };
        given(vec![suspended(), refused])
            .when(TransferCommand::Release { by: account(4), amount: None, now: at(1) })
            .then_expect_error(TransferError::NotSuspended(TransferStatus::Refused));
    }
}
