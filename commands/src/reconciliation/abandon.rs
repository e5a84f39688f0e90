//! Notes that a reconciliation could not be completed: a result of its own (rows Q7, Q8).

use quotary_domain::ReconciliationId;
use quotary_domain::reconciliation::{IncompleteReason, ReconciliationCommand};

use super::request::ReconciliationAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Ends a run without a result.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if there is no such run or it ended otherwise.
    pub async fn abandon_reconciliation(
        &self,
        context: &Context,
        id: ReconciliationId,
        reason: IncompleteReason,
        detail: Option<String>,
    ) -> Outcome<ReconciliationAfter> {
        self.end_reconciliation(context, id, ReconciliationCommand::Abandon { reason, detail }).await
    }
}
