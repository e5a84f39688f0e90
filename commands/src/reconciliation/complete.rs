//! Notes what a reconciliation found (rows Q7, Q8).

use quotary_domain::ReconciliationId;
use quotary_domain::reconciliation::{ReconciliationCommand, RunOutcome};

use super::request::ReconciliationAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Ends a run in which everything was compared. Its cases are written before, so that a completed run has them all.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if there is no such run or it ended otherwise.
    pub async fn complete_reconciliation(
        &self,
        context: &Context,
        id: ReconciliationId,
        outcome: RunOutcome,
    ) -> Outcome<ReconciliationAfter> {
        self.end_reconciliation(context, id, ReconciliationCommand::Complete(outcome)).await
    }
}
