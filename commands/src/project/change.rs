//! Changes a project's details (row P1).

use quotary_domain::ProjectId;
use quotary_domain::project::{Project, ProjectCommand, ProjectDetails};

use super::create::{ProjectAfter, check_details};
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
    /// Changes a project's details.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or a value is bad.
    pub async fn change_project(
        &self,
        context: &Context,
        project_id: ProjectId,
        change: ChangeProject,
    ) -> Outcome<ProjectAfter> {
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let Some(known) = &unit.get(project).details else { return Err(Refusal::NotFound("project")) };
                let change = change.clone();
                let details = ProjectDetails {
                    name: change.name.unwrap_or_else(|| known.name.clone()),
                    description: change.description.unwrap_or_else(|| known.description.clone()),
                    version: change.version.unwrap_or_else(|| known.version.clone()),
                    callback_url: change.callback_url.unwrap_or_else(|| known.callback_url.clone()),
                };
                check_details(&details)?;
                unit.decide(project, ProjectCommand::Change(details))?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok(ProjectAfter { project_id, project, sequence })
            })
            .await
    }
}
