//! Lets a suspended withdrawal, or a part of it, go on to approval (row Q4).

use quotary_domain::withdrawal::WithdrawalCommand;
use quotary_domain::{Quota, WithdrawalId};

use super::decide::Decider;
use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Releases a suspended withdrawal: it waits for approval by another person, and the rest returns.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it, it is not suspended, its time is over
    /// by the log's clock, or the amount is
    /// zero or more than was asked for.
    pub async fn release_withdrawal(
        &self,
        context: &Context,
        id: WithdrawalId,
        amount: Option<Quota>,
    ) -> Outcome<WithdrawalAfter> {
        let now = self.log.time().await?;
        self.decide_withdrawal(context, id, Decider::Admin, |by| WithdrawalCommand::Release { by, amount, now }).await
    }
}
