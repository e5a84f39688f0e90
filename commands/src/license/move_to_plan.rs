//! Moves a licence to another plan of its project, or to the newest version of its own (row P2).
//!
//! Only the vendor can, since nothing is paid for what the other plan grants beyond the old one.

use quotary_domain::license::LicenseCommand;
use quotary_domain::project::ProjectError;
use quotary_domain::{LicenseId, PlanId};

use super::change::{LicenseAfter, Needs, Right};
use crate::context::Context;
use crate::refusal::Refusal;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Moves a licence to the plan as it is now. A validity that has begun keeps its end, unless the plan has none.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the plan is not one of the licence's project, or it allows fewer
    /// machines than the licence is bound to.
    pub async fn move_license(&self, context: &Context, id: LicenseId, plan_id: PlanId) -> Outcome<LicenseAfter> {
        let at = context.now;
        self.change_license_by(context, id, Right::SuperAdmin, Needs::Project, |project| {
            let plan = project.and_then(|project| project.plans.get(&plan_id));
            let plan = plan.ok_or(ProjectError::UnknownPlan(plan_id))?;
            let (plan_version, terms) = (plan.version, plan.terms.clone());
            Ok::<_, Refusal>(LicenseCommand::Move { plan_id, plan_version, terms, at })
        })
        .await
    }
}
