//! Notes that a withdrawal's money was sent (row Q3).

use quotary_domain::WithdrawalId;
use quotary_domain::withdrawal::WithdrawalCommand;

use super::decide::Decider;
use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::movement::check_note;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Marks an approved withdrawal as paid.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it or it is not approved.
    pub async fn mark_withdrawal_paid(
        &self,
        context: &Context,
        id: WithdrawalId,
        reference: Option<String>,
    ) -> Outcome<WithdrawalAfter> {
        check_note(reference.as_deref()).map_err(CommandError::Refused)?;
        let mark = |by| WithdrawalCommand::MarkPaid { by, reference: reference.clone() };
        self.decide_withdrawal(context, id, Decider::Admin, mark).await
    }
}
