//! The test button: sends a callback that says nothing (row L11).

use quotary_domain::project::{Project, ProjectCommand};
use quotary_domain::{DeliveryId, ProjectId};

use crate::clock;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Asks for a test of a project's callbacks; the delivery's id.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, or it has no callbacks.
    pub async fn test_callback(&self, context: &Context, project_id: ProjectId) -> Outcome<DeliveryId> {
        let delivery_id = DeliveryId(clock::new_id());
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                unit.decide(project, ProjectCommand::TestCallback { delivery_id })?;
                Ok::<_, Refusal>(delivery_id)
            })
            .await
    }
}
