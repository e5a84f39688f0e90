//! Gives a withdrawal's amount back (row Q3).

use quotary_domain::WithdrawalId;
use quotary_domain::withdrawal::WithdrawalCommand;

use super::decide::Decider;
use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::movement::check_note;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Refuses a withdrawal: the held amount returns.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it or it was decided on already.
    pub async fn refuse_withdrawal(
        &self,
        context: &Context,
        id: WithdrawalId,
        reason: Option<String>,
    ) -> Outcome<WithdrawalAfter> {
        check_note(reason.as_deref()).map_err(CommandError::Refused)?;
        let refuse = |by| WithdrawalCommand::Refuse { by, reason: reason.clone() };
        self.decide_withdrawal(context, id, Decider::Admin, refuse).await
    }
}
