//! Lets an agent issue licences of a project, for good or until a time (row P3).

use chrono::{DateTime, Utc};
use quotary_domain::account::Account;
use quotary_domain::project::{Project, ProjectCommand, ProjectError};
use quotary_domain::{AccountId, ProjectId};

use super::create::ProjectAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Grants a project to an agent. An agent admin can grant only to agents below it, a super admin to anyone.
    ///
    /// # Errors
    /// [`Refusal`] if the actor does not manage the agent, the project or agent is unknown, or the end is in the past.
    pub async fn grant_project(
        &self,
        context: &Context,
        project_id: ProjectId,
        agent_id: AccountId,
        expires_at: Option<DateTime<Utc>>,
    ) -> Outcome<ProjectAfter> {
        let now = context.now;
        let grant = || ProjectCommand::Grant { agent_id, expires_at, now };
        self.change_grant(context, project_id, agent_id, grant).await
    }

    /// Lets a project decide on a command about an agent that the actor manages.
    pub(crate) async fn change_grant(
        &self,
        context: &Context,
        project_id: ProjectId,
        agent_id: AccountId,
        command: impl Fn() -> ProjectCommand + Send + Sync,
    ) -> Outcome<ProjectAfter> {
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let agent = plan.open::<Account>(agent_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                if unit.get(project).details.is_none() {
                    return Err(ProjectError::Unknown.into());
                }
                acting.check_manages(unit, agent_id, agent)?;
                if !unit.get(agent).profile.as_ref().is_some_and(|profile| profile.role.holds_quota()) {
                    return Err(Refusal::invalid("agent_id", "accounts of this role don't issue licences"));
                }
                unit.decide(project, command())?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok::<_, Refusal>(ProjectAfter { project_id, project, sequence })
            })
            .await
    }
}
