//! Takes the own request for a withdrawal back before it is decided on (row Q3).

use quotary_domain::WithdrawalId;
use quotary_domain::withdrawal::WithdrawalCommand;

use super::decide::Decider;
use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Cancels a withdrawal of the actor's own: the held amount returns.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if it is another's or was decided on already.
    pub async fn cancel_withdrawal(&self, context: &Context, id: WithdrawalId) -> Outcome<WithdrawalAfter> {
        self.decide_withdrawal(context, id, Decider::Requester, |by| WithdrawalCommand::Cancel { by }).await
    }
}
