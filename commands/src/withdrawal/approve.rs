//! Lets a withdrawal's amount leave the ledger (row Q3).

use quotary_domain::WithdrawalId;
use quotary_domain::withdrawal::WithdrawalCommand;

use super::decide::Decider;
use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Approves a withdrawal: the held amount leaves. The approver manages the requester and is another person than the
    /// requester and than whoever released it from a suspension.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it or it was decided on already.
    pub async fn approve_withdrawal(&self, context: &Context, id: WithdrawalId) -> Outcome<WithdrawalAfter> {
        self.decide_withdrawal(context, id, Decider::Admin, |by| WithdrawalCommand::Approve { by }).await
    }
}
