//! Explains a case (rows Q7, Q8). What has to be done about it is done by an ordinary command before, and named here.

use quotary_domain::CaseId;
use quotary_domain::case::{CaseCommand, Resolution};

use super::see::CaseAfter;
use crate::context::Context;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Resolves a case; by a super admin.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor has another role, there is no such case, or it is not open.
    pub async fn resolve_case(
        &self,
        context: &Context,
        id: CaseId,
        resolution: Resolution,
        explanation: String,
        reference: Option<String>,
    ) -> Outcome<CaseAfter> {
        let command = |by| CaseCommand::Resolve {
            by,
            resolution,
            explanation: explanation.clone(),
            reference: reference.clone(),
        };
        self.answer_case(context, id, |acting| command(acting.actor.account_id), Acting::check_super_admin).await
    }
}
