//! Withdrawal: quota turned into money, paid offline (rows Q3, Q4).
//!
//! The amount is held in the agent's quota in the same step as the request, and leaves or returns in the same step as
//! the decision. Whoever asked can't approve, and neither can whoever released a suspended one: two people look at it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::risk::RiskReason;
use crate::{AccountId, Quota, Sealed, event_names, impl_aggregate};

/// The state of a withdrawal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The request; `None` before it.
    pub request: Option<WithdrawalRequest>,
    /// Where it stands.
    pub status: WithdrawalStatus,
    /// How much is to be paid: what was asked for, or the part of it that a review let go.
    pub amount: Quota,
    /// Who let it go after it was suspended.
    pub released_by: Option<AccountId>,
}

/// Who asks for how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalRequest {
    /// The agent whose quota it is.
    pub agent_id: AccountId,
    /// More than zero.
    pub amount: Quota,
    /// Bank details, encrypted with the agent's own key.
    pub payee: Sealed,
    /// The rules that suspended it, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<RiskReason>,
    /// When a suspended one ends by itself and the amount returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where a withdrawal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalStatus {
    /// Waits for a decision; the amount is held.
    #[default]
    Requested,
    /// The amount left the ledger and is to be paid.
    Approved,
    /// The amount returned.
    Refused,
    /// The money was sent.
    Paid,
    /// A rule holds it up until an admin lets it go.
    Suspended,
    /// The requester took it back.
    Cancelled,
    /// It was suspended and nobody decided in time.
    Expired,
}

impl WithdrawalStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Paid => "paid",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// What can be asked of a withdrawal.
#[derive(Clone, Debug)]
pub enum WithdrawalCommand {
    /// Asks for money.
    Request(WithdrawalRequest),
    /// Lets a suspended one, or a part of it, go on to approval.
    Release {
        /// Who decides.
        by: AccountId,
        /// How much; all of it if absent.
        amount: Option<Quota>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// Takes the own request back before it is decided on.
    Cancel {
        /// Who asks.
        by: AccountId,
    },
    /// Ends a suspended one that nobody decided on in time; nothing happens if somebody did.
    Expire {
        /// Now.
        now: DateTime<Utc>,
    },
    /// Lets the amount leave.
    Approve {
        /// Who decides.
        by: AccountId,
    },
    /// Gives the amount back.
    Refuse {
        /// Who decides.
        by: AccountId,
        /// Why, for the requester.
        reason: Option<String>,
    },
    /// Notes that the money was sent.
    MarkPaid {
        /// Who says so.
        by: AccountId,
        /// The bank's reference.
        reference: Option<String>,
    },
}

/// What happened to a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WithdrawalEvent {
    /// Money was asked for.
    WithdrawalRequested(WithdrawalRequest),
    /// It, or a part of it, may go on to approval.
    WithdrawalReleased {
        /// Who decided.
        by: AccountId,
        /// How much; the rest returned.
        amount: Quota,
    },
    /// The requester took it back; the amount returned.
    WithdrawalCancelled {},
    /// Nobody decided in time; the amount returned.
    WithdrawalExpired {},
    /// The amount left.
    WithdrawalApproved {
        /// Who decided.
        by: AccountId,
    },
    /// The amount returned.
    WithdrawalRefused {
        /// Who decided.
        by: AccountId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The money was sent.
    WithdrawalPaid {
        /// Who said so.
        by: AccountId,
        /// The bank's reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
}

event_names!(WithdrawalEvent {
    WithdrawalRequested,
    WithdrawalReleased,
    WithdrawalCancelled,
    WithdrawalExpired,
    WithdrawalApproved,
    WithdrawalRefused,
    WithdrawalPaid,
});

/// Why a command on a withdrawal is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawalError {
    /// There is no such withdrawal.
    #[error("there is no such withdrawal")]
    Unknown,
    /// The id is taken by another request.
    #[error("the withdrawal exists already with another content")]
    Exists,
    /// The requester can't decide on the own request.
    #[error("whoever asked for a withdrawal can't approve it")]
    OwnRequest,
    /// Whoever released it can't approve it too.
    #[error("whoever released a suspended withdrawal can't approve it")]
    SamePerson,
    /// Only the requester takes a request back.
    #[error("only the requester can cancel a withdrawal")]
    NotOwn,
    /// More than was asked for, or nothing, was to be let go.
    #[error("from 1 to {0} can be released")]
    InvalidAmount(Quota),
    /// Nobody decided in time; that it ended is about to be written.
    #[error("the time for a decision was over at {0}; the withdrawal ends by itself")]
    Overdue(DateTime<Utc>),
    /// Its time is not over, or it has none.
    #[error("the withdrawal has not expired")]
    NotExpired,
    /// The step does not fit the status.
    #[error("the withdrawal is {}", .0.as_str())]
    WrongStatus(WithdrawalStatus),
}

impl_aggregate!(Withdrawal, "Withdrawal", WithdrawalCommand, WithdrawalEvent, WithdrawalError);

impl Withdrawal {
    fn decisions(&self, command: WithdrawalCommand) -> Result<Vec<WithdrawalEvent>, WithdrawalError> {
        use WithdrawalStatus::{Approved, Cancelled, Expired, Paid, Refused, Requested, Suspended};
        let Some(request) = &self.request else {
            return match command {
                WithdrawalCommand::Request(request) => Ok(vec![WithdrawalEvent::WithdrawalRequested(request)]),
                _ => Err(WithdrawalError::Unknown),
            };
        };
        match (command, self.status) {
            (WithdrawalCommand::Request(same), _) if same == *request => Ok(vec![]),
            (WithdrawalCommand::Request(_), _) => Err(WithdrawalError::Exists),
            (
                WithdrawalCommand::Approve { by }
                | WithdrawalCommand::Release { by, .. }
                | WithdrawalCommand::MarkPaid { by, .. },
                _,
            ) if by == request.agent_id => Err(WithdrawalError::OwnRequest),
            (WithdrawalCommand::Approve { by }, Requested) if self.released_by == Some(by) => {
                Err(WithdrawalError::SamePerson)
            }
            (WithdrawalCommand::Approve { by }, Requested) => Ok(vec![WithdrawalEvent::WithdrawalApproved { by }]),
            (WithdrawalCommand::Refuse { by, reason }, Requested | Suspended) => {
                Ok(vec![WithdrawalEvent::WithdrawalRefused { by, reason }])
            }
            (WithdrawalCommand::Release { by, amount, now }, Suspended) => {
                if let Some(end) = request.expires_at.filter(|end| *end <= now) {
                    return Err(WithdrawalError::Overdue(end));
                }
                let amount = amount.unwrap_or(request.amount);
                if amount.is_zero() || amount > request.amount {
                    return Err(WithdrawalError::InvalidAmount(request.amount));
                }
                Ok(vec![WithdrawalEvent::WithdrawalReleased { by, amount }])
            }
            (WithdrawalCommand::Cancel { by }, _) if by != request.agent_id => Err(WithdrawalError::NotOwn),
            (WithdrawalCommand::Cancel { .. }, Requested | Suspended) => {
                Ok(vec![WithdrawalEvent::WithdrawalCancelled {}])
            }
            (WithdrawalCommand::Expire { now }, Suspended) => match request.expires_at {
                Some(end) if end <= now => Ok(vec![WithdrawalEvent::WithdrawalExpired {}]),
                _ => Err(WithdrawalError::NotExpired),
            },
            (WithdrawalCommand::MarkPaid { by, reference }, Approved) => {
                Ok(vec![WithdrawalEvent::WithdrawalPaid { by, reference }])
            }
            (WithdrawalCommand::Approve { .. }, Approved)
            | (WithdrawalCommand::Refuse { .. }, Refused)
            | (WithdrawalCommand::Cancel { .. }, Cancelled)
            | (WithdrawalCommand::Expire { .. }, Requested | Approved | Refused | Paid | Cancelled | Expired)
            | (WithdrawalCommand::MarkPaid { .. }, Paid) => Ok(vec![]),
            (_, status) => Err(WithdrawalError::WrongStatus(status)),
        }
    }

    fn evolve(&mut self, event: WithdrawalEvent) {
        match event {
            WithdrawalEvent::WithdrawalRequested(request) => {
                self.amount = request.amount;
                self.status =
                    if request.reasons.is_empty() { WithdrawalStatus::Requested } else { WithdrawalStatus::Suspended };
                self.request = Some(request);
            }
            WithdrawalEvent::WithdrawalReleased { by, amount } => {
                self.status = WithdrawalStatus::Requested;
                self.amount = amount;
                self.released_by = Some(by);
            }
            WithdrawalEvent::WithdrawalCancelled {} => self.status = WithdrawalStatus::Cancelled,
            WithdrawalEvent::WithdrawalExpired {} => self.status = WithdrawalStatus::Expired,
            WithdrawalEvent::WithdrawalApproved { .. } => self.status = WithdrawalStatus::Approved,
            WithdrawalEvent::WithdrawalRefused { .. } => self.status = WithdrawalStatus::Refused,
            WithdrawalEvent::WithdrawalPaid { .. } => self.status = WithdrawalStatus::Paid,
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    fn requested() -> WithdrawalEvent {
        WithdrawalEvent::WithdrawalRequested(WithdrawalRequest {
            agent_id: AccountId(Uuid::from_u128(1)),
            amount: Quota::new(50).unwrap(),
            payee: Sealed("v1.k.x".into()),
            reasons: vec![],
            expires_at: None,
        })
    }

    fn suspended() -> WithdrawalEvent {
        let WithdrawalEvent::WithdrawalRequested(request) = requested() else { unreachable!() };
        WithdrawalEvent::WithdrawalRequested(WithdrawalRequest {
            reasons: vec![RiskReason::AmountAbove { limit: Quota::new(40).unwrap() }],
            expires_at: Some(at(100)),
            ..request
        })
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn admin() -> AccountId {
        AccountId(Uuid::from_u128(2))
    }

    #[test]
    fn the_requester_can_not_approve() {
        TestFramework::<Withdrawal>::with(())
            .given(vec![requested()])
            .when(WithdrawalCommand::Approve { by: AccountId(Uuid::from_u128(1)) })
            .then_expect_error(WithdrawalError::OwnRequest);
    }

    #[test]
    fn a_refused_withdrawal_can_not_be_approved_or_paid() {
        let refused = WithdrawalEvent::WithdrawalRefused { by: admin(), reason: None };
        for command in
            [WithdrawalCommand::Approve { by: admin() }, WithdrawalCommand::MarkPaid { by: admin(), reference: None }]
        {
            TestFramework::<Withdrawal>::with(())
                .given(vec![requested(), refused.clone()])
                .when(command)
                .then_expect_error(WithdrawalError::WrongStatus(WithdrawalStatus::Refused));
        }
    }

    #[test]
    fn a_suspended_withdrawal_needs_two_people() {
        let given = |events| TestFramework::<Withdrawal>::with(()).given(events);
        let released = WithdrawalEvent::WithdrawalReleased { by: admin(), amount: Quota::new(30).unwrap() };
        given(vec![suspended()])
            .when(WithdrawalCommand::Approve { by: admin() })
            .then_expect_error(WithdrawalError::WrongStatus(WithdrawalStatus::Suspended));
        given(vec![suspended()])
            .when(WithdrawalCommand::Release { by: admin(), amount: Quota::new(30).ok(), now: at(99) })
            .then_expect_events(vec![released.clone()]);
        given(vec![suspended(), released.clone()])
            .when(WithdrawalCommand::Approve { by: admin() })
            .then_expect_error(WithdrawalError::SamePerson);
        let other = AccountId(Uuid::from_u128(3));
        given(vec![suspended(), released])
            .when(WithdrawalCommand::Approve { by: other })
            .then_expect_events(vec![WithdrawalEvent::WithdrawalApproved { by: other }]);
    }

    #[test]
    fn what_is_overdue_is_not_let_go() {
        TestFramework::<Withdrawal>::with(())
            .given(vec![suspended()])
            .when(WithdrawalCommand::Release { by: admin(), amount: None, now: at(100) })
            .then_expect_error(WithdrawalError::Overdue(at(100)));
    }

    #[test]
    fn only_the_requester_takes_a_request_back() {
        let given = || TestFramework::<Withdrawal>::with(()).given(vec![requested()]);
        given().when(WithdrawalCommand::Cancel { by: admin() }).then_expect_error(WithdrawalError::NotOwn);
        given()
            .when(WithdrawalCommand::Cancel { by: AccountId(Uuid::from_u128(1)) })
            .then_expect_events(vec![WithdrawalEvent::WithdrawalCancelled {}]);
    }
}
