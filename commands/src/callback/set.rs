//! Sets where callbacks of a project go and which types are told (row L11).

use quotary_domain::ProjectId;
use quotary_domain::callback::CallbackType;
use quotary_domain::project::{CallbackSecret, Project, ProjectCommand, ProjectDetails};
use serde::{Deserialize, Serialize};

use super::secret::new_secret;
use crate::context::Context;
use crate::project::create::{ProjectAfter, check_details};
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// A project after a command that may have made a secret of callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbacksChanged {
    /// The project.
    #[serde(flatten)]
    pub after: ProjectAfter,
    /// The secret, shown this once, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<String>,
}

impl Commands {
    /// Sets address and types; an address that was stopped is sent to again. The first address comes with a secret.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or callbacks may not be sent there.
    pub async fn set_callbacks(
        &self,
        context: &Context,
        project_id: ProjectId,
        url: Option<String>,
        types: Option<Vec<CallbackType>>,
    ) -> Outcome<CallbacksChanged> {
        let secret = new_secret(self.log.vault(), context.tenant_id)?;
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let Some(known) = &unit.get(project).details else { return Err(Refusal::NotFound("project")) };
                let details = ProjectDetails { callback_url: url.clone(), ..known.clone() };
                check_details(&details, self.callbacks, "url")?;
                unit.decide(project, ProjectCommand::Change(details))?;
                unit.decide(project, ProjectCommand::ResumeCallbacks)?;
                unit.decide(project, ProjectCommand::ChooseCallbackTypes(types.clone()))?;
                let callback_secret = first_secret(unit, project, context, &secret)?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok(CallbacksChanged { after: ProjectAfter { project_id, project, sequence }, callback_secret })
            })
            .await
    }
}

/// Gives a project with an address its first secret, which is answered.
pub(crate) fn first_secret(
    unit: &mut Unit,
    project: Handle<Project>,
    context: &Context,
    (secret, shown): &(CallbackSecret, String),
) -> Result<Option<String>, Refusal> {
    let state = unit.get(project);
    let has_url = state.details.as_ref().is_some_and(|details| details.callback_url.is_some());
    if !has_url || state.callbacks.secret.is_some() {
        return Ok(None);
    }
    let rotate = ProjectCommand::RotateCallbackSecret { secret: secret.clone(), previous_until: context.now };
    unit.decide(project, rotate)?;
    Ok(Some(shown.clone()))
}
