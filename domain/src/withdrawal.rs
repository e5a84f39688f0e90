//! Withdrawal: quota turned into money, paid offline (row Q3).
//!
//! The amount is held in the agent's quota in the same step as the request, and leaves or returns in the same step as
//! the decision. Whoever asked can't approve.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Quota, Sealed, event_names, impl_aggregate};

/// The state of a withdrawal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The request; `None` before it.
    pub request: Option<WithdrawalRequest>,
    /// Where it stands.
    pub status: WithdrawalStatus,
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
        }
    }
}

/// What can be asked of a withdrawal.
#[derive(Clone, Debug)]
pub enum WithdrawalCommand {
    /// Asks for money.
    Request(WithdrawalRequest),
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

event_names!(WithdrawalEvent { WithdrawalRequested, WithdrawalApproved, WithdrawalRefused, WithdrawalPaid });

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
    /// The step does not fit the status.
    #[error("the withdrawal is {}", .0.as_str())]
    WrongStatus(WithdrawalStatus),
}

impl_aggregate!(Withdrawal, "Withdrawal", WithdrawalCommand, WithdrawalEvent, WithdrawalError);

impl Withdrawal {
    fn decisions(&self, command: WithdrawalCommand) -> Result<Vec<WithdrawalEvent>, WithdrawalError> {
        use WithdrawalStatus::{Approved, Paid, Refused, Requested};
        let Some(request) = &self.request else {
            return match command {
                WithdrawalCommand::Request(request) => Ok(vec![WithdrawalEvent::WithdrawalRequested(request)]),
                _ => Err(WithdrawalError::Unknown),
            };
        };
        match (command, self.status) {
            (WithdrawalCommand::Request(same), _) if same == *request => Ok(vec![]),
            (WithdrawalCommand::Request(_), _) => Err(WithdrawalError::Exists),
            (WithdrawalCommand::Approve { by }, _) if by == request.agent_id => Err(WithdrawalError::OwnRequest),
            (WithdrawalCommand::Approve { by }, Requested) => Ok(vec![WithdrawalEvent::WithdrawalApproved { by }]),
            (WithdrawalCommand::Refuse { by, reason }, Requested) => {
                Ok(vec![WithdrawalEvent::WithdrawalRefused { by, reason }])
            }
            (WithdrawalCommand::MarkPaid { by, .. }, _) if by == request.agent_id => Err(WithdrawalError::OwnRequest),
            (WithdrawalCommand::MarkPaid { by, reference }, Approved) => {
                Ok(vec![WithdrawalEvent::WithdrawalPaid { by, reference }])
            }
            (WithdrawalCommand::Approve { .. }, Approved)
            | (WithdrawalCommand::Refuse { .. }, Refused)
            | (WithdrawalCommand::MarkPaid { .. }, Paid) => Ok(vec![]),
            (_, status) => Err(WithdrawalError::WrongStatus(status)),
        }
    }

    fn evolve(&mut self, event: WithdrawalEvent) {
        match event {
            WithdrawalEvent::WithdrawalRequested(request) => self.request = Some(request),
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
        })
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
}
