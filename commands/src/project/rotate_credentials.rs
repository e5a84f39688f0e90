//! Gives a project new client credentials; the old ones stay good for an overlap (row P1).

use chrono::TimeDelta;
use quotary_domain::ProjectId;
use quotary_domain::project::{Project, ProjectCommand};

use super::create::{ProjectAfter, ProjectCreated, new_credentials};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// The longest overlap, in hours: 30 days.
pub const MAX_OVERLAP_HOURS: u32 = 720;

impl Commands {
    /// Rotates a project's client credentials.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or the overlap is too long.
    pub async fn rotate_credentials(
        &self,
        context: &Context,
        project_id: ProjectId,
        overlap_hours: u32,
    ) -> Outcome<ProjectCreated> {
        if overlap_hours > MAX_OVERLAP_HOURS {
            let refusal = Refusal::invalid("overlap_hours", format!("must be at most {MAX_OVERLAP_HOURS}"));
            return Err(CommandError::Refused(refusal));
        }
        let (credentials, shown) = new_credentials(self.log.vault(), context.tenant_id)?;
        let previous_until = context.now + TimeDelta::hours(overlap_hours.into());
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let credentials = credentials.clone();
                unit.decide(project, ProjectCommand::RotateCredentials { credentials, previous_until })?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                let after = ProjectAfter { project_id, project, sequence };
                Ok::<_, Refusal>(ProjectCreated { after, credentials: shown.clone(), callback_secret: None })
            })
            .await
    }
}
