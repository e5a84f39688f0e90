//! Lets a suspended transfer, or a part of it, go (row Q4).

use quotary_domain::transfer::TransferCommand;
use quotary_domain::{JournalId, Quota};

use super::decide_transfer::{Decider, TransferAfter};
use crate::context::Context;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Releases a suspended transfer: the amount, or a part of it, moves, and the rest returns in the same step. The
    /// decider manages the giver and is no party; a top-up by the tenant itself is released by another super admin.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it, it was decided on already, its time
    /// is over by the log's clock, or giver or
    /// receiver is disabled.
    pub async fn release_transfer(
        &self,
        context: &Context,
        id: JournalId,
        amount: Option<Quota>,
    ) -> Outcome<TransferAfter> {
        let now = self.log.time().await?;
        let decider = |plan: &mut _| Acting::open(context, plan).map(Decider::Admin);
        self.decide_transfer(context, id, decider, |by| TransferCommand::Release { by, amount, now }).await
    }
}
