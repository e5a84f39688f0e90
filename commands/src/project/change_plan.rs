//! Changes a plan of a project; licences issued before keep what they were sold with (row P2).

use quotary_domain::project::{Plan as ProjectPlan, Project, ProjectCommand, ProjectError};
use quotary_domain::{PlanId, ProjectId};

use super::add_plan::{PlanAfter, check_texts};
use super::create::ProjectAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Gives a plan another content, its version aside: that grows when what a licence grants has changed.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project or plan is unknown, or a value is bad.
    pub async fn change_plan(
        &self,
        context: &Context,
        project_id: ProjectId,
        plan_id: PlanId,
        change: impl Fn(ProjectPlan) -> ProjectPlan + Send + Sync,
    ) -> Outcome<PlanAfter> {
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let known = unit.get(project).plans.get(&plan_id).cloned();
                let changed = change(known.ok_or(ProjectError::UnknownPlan(plan_id))?);
                check_texts(&changed)?;
                unit.decide(project, ProjectCommand::ChangePlan { plan_id, plan: changed })?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                let plan = project.plans.get(&plan_id).cloned().ok_or(ProjectError::UnknownPlan(plan_id))?;
                let after = ProjectAfter { project_id, project, sequence };
                Ok::<_, Refusal>(PlanAfter { plan_id, plan, after })
            })
            .await
    }
}
