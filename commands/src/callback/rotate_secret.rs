//! Signs callbacks of a project with another secret; the one before signs too for an overlap (row L11).

use chrono::TimeDelta;
use quotary_domain::ProjectId;
use quotary_domain::project::{Project, ProjectCommand};

use super::secret::new_secret;
use super::set::CallbacksChanged;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::project::create::ProjectAfter;
use crate::project::rotate_credentials::MAX_OVERLAP_HOURS;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Rotates the secret of a project's callbacks.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or the overlap is too long.
    pub async fn rotate_callback_secret(
        &self,
        context: &Context,
        project_id: ProjectId,
        overlap_hours: u32,
    ) -> Outcome<CallbacksChanged> {
        if overlap_hours > MAX_OVERLAP_HOURS {
            let refusal = Refusal::invalid("overlap_hours", format!("must be at most {MAX_OVERLAP_HOURS}"));
            return Err(CommandError::Refused(refusal));
        }
        let (secret, shown) = new_secret(self.log.vault(), context.tenant_id)?;
        let previous_until = context.now + TimeDelta::hours(overlap_hours.into());
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let secret = secret.clone();
                unit.decide(project, ProjectCommand::RotateCallbackSecret { secret, previous_until })?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                let after = ProjectAfter { project_id, project, sequence };
                Ok::<_, Refusal>(CallbacksChanged { after, callback_secret: Some(shown.clone()) })
            })
            .await
    }
}
