//! Says something about a case (rows Q7, Q8).

use quotary_domain::case::CaseCommand;
use quotary_domain::{CaseId, Role};

use super::see::CaseAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Adds a note; by a super admin or an auditor.
    ///
    /// # Errors
    /// [`Refusal`] if the actor has another role or there is no such case.
    pub async fn note_case(&self, context: &Context, id: CaseId, note: String) -> Outcome<CaseAfter> {
        let command = |by| CaseCommand::Note { by, note: note.clone() };
        self.answer_case(
            context,
            id,
            |acting| command(acting.actor.account_id),
            |acting, unit| {
                acting.check(unit)?;
                if matches!(acting.actor.role, Role::SuperAdmin | Role::Auditor) {
                    Ok(())
                } else {
                    Err(Refusal::Forbidden)
                }
            },
        )
        .await
    }
}
