//! Changes a project's details (row P1).

use quotary_domain::ProjectId;
use quotary_domain::project::{Project, ProjectCommand, ProjectDetails};

use super::create::{ProjectAfter, check_details};
use crate::callback::secret::new_secret;
use crate::callback::set::{CallbacksChanged, first_secret};
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// Which details become what; a field that is absent stays, an inner `None` clears.
#[derive(Clone, Debug, Default)]
pub struct ChangeProject {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<Option<String>>,
    /// The version.
    pub version: Option<Option<String>>,
    /// Where callbacks go.
    pub callback_url: Option<Option<String>>,
}

impl Commands {
    /// Changes a project's details. The first address of callbacks comes with a secret.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or a value is bad.
    pub async fn change_project(
        &self,
        context: &Context,
        project_id: ProjectId,
        change: ChangeProject,
    ) -> Outcome<CallbacksChanged> {
        let secret = new_secret(self.log.vault(), context.tenant_id)?;
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let Some(known) = &unit.get(project).details else { return Err(Refusal::NotFound("project")) };
                let change = change.clone();
                let sets_url = matches!(change.callback_url, Some(Some(_)));
                let details = ProjectDetails {
                    name: change.name.unwrap_or_else(|| known.name.clone()),
                    description: change.description.unwrap_or_else(|| known.description.clone()),
                    version: change.version.unwrap_or_else(|| known.version.clone()),
                    callback_url: change.callback_url.unwrap_or_else(|| known.callback_url.clone()),
                };
                // An address of before the rule stays until it is changed; nothing is sent there.
                let checked = ProjectDetails {
                    callback_url: details.callback_url.clone().filter(|url| Some(url) != known.callback_url.as_ref()),
                    ..details.clone()
                };
                check_details(&checked, self.callbacks, "callback_url")?;
                unit.decide(project, ProjectCommand::Change(details))?;
                let callback_secret = if sets_url { first_secret(unit, project, context, &secret)? } else { None };
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok(CallbacksChanged { after: ProjectAfter { project_id, project, sequence }, callback_secret })
            })
            .await
    }
}
