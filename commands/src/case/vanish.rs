//! Notes that a difference is not there any more (rows Q7, Q8).

use quotary_domain::case::CaseCommand;
use quotary_domain::{CaseId, ReconciliationId};

use super::see::CaseAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Closes a case that a run of its kind and source did not see; one that is not open stays as it is.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if there is no such case.
    pub async fn vanish_case(&self, context: &Context, id: CaseId, run_id: ReconciliationId) -> Outcome<CaseAfter> {
        self.decide_case(context, id, CaseCommand::Vanish { run_id }).await
    }
}
