//! Takes an agent's right to issue licences of a project back (row P3).

use quotary_domain::project::ProjectCommand;
use quotary_domain::{AccountId, ProjectId};

use super::create::ProjectAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Takes a grant back; one that does not exist is gone already.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor does not manage the agent, or the project or agent is unknown.
    pub async fn revoke_grant(
        &self,
        context: &Context,
        project_id: ProjectId,
        agent_id: AccountId,
    ) -> Outcome<ProjectAfter> {
        self.change_grant(context, project_id, agent_id, || ProjectCommand::RevokeGrant { agent_id }).await
    }
}
