//! Disables a project: it stops issuing and verification at once (row P5).

use quotary_domain::ProjectId;
use quotary_domain::project::ProjectCommand;

use super::create::ProjectAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Disables a project.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor is no super admin or the project is unknown.
    pub async fn disable_project(&self, context: &Context, project_id: ProjectId) -> Outcome<ProjectAfter> {
        self.change_project_by(context, project_id, || ProjectCommand::Disable).await
    }
}
