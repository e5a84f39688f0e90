//! Adds a plan to a project (row P2).

use quotary_domain::project::{Plan as ProjectPlan, Project, ProjectCommand};
use quotary_domain::{PlanId, ProjectId};
use serde::{Deserialize, Serialize};

use super::create::ProjectAfter;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A plan after a command, with its project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAfter {
    /// The plan.
    pub plan_id: PlanId,
    /// What it is.
    pub plan: ProjectPlan,
    /// Its project.
    pub after: ProjectAfter,
}

impl Commands {
    /// Adds a plan to a project.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or a value is bad.
    pub async fn add_plan(&self, context: &Context, project_id: ProjectId, input: ProjectPlan) -> Outcome<PlanAfter> {
        check_texts(&input).map_err(CommandError::Refused)?;
        let plan_id = PlanId(clock::new_id());
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                unit.decide(project, ProjectCommand::AddPlan { plan_id, plan: input.clone() })?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                let after = ProjectAfter { project_id, project, sequence };
                Ok::<_, Refusal>(PlanAfter { plan_id, plan: input.clone(), after })
            })
            .await
    }
}

/// The texts of a plan; its numbers are the aggregate's business.
pub(super) fn check_texts(plan: &ProjectPlan) -> Result<(), Refusal> {
    Refusal::check_text("name", &plan.name, 1, 100)?;
    plan.terms.features.iter().try_for_each(|feature| Refusal::check_text("features", feature, 1, 100))
}
