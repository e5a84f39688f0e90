//! Gives the amount of a suspended transfer back (row Q4).

use quotary_domain::JournalId;
use quotary_domain::transfer::TransferCommand;

use super::decide_transfer::{Decider, TransferAfter};
use super::movement::check_note;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Refuses a suspended transfer: the held amount returns. Who may, is as for
    /// [`Commands::release_transfer`](Commands::release_transfer).
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it or it was decided on already.
    pub async fn refuse_transfer(
        &self,
        context: &Context,
        id: JournalId,
        reason: Option<String>,
    ) -> Outcome<TransferAfter> {
        check_note(reason.as_deref()).map_err(CommandError::Refused)?;
        let decider = |plan: &mut _| Acting::open(context, plan).map(Decider::Admin);
        let refuse = |by| TransferCommand::Refuse { by, reason: reason.clone() };
        self.decide_transfer(context, id, decider, refuse).await
    }
}
