//! Sends a callback again that has ended: delivered or given up (row L11).

use quotary_domain::project::{Project, ProjectCommand};
use quotary_domain::{DeliveryId, ProjectId};

use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Asks for a delivery to be sent again, under the same `webhook-id`, after all others of its licence.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project has no callbacks, there is no such delivery of it, or it is
    /// still on its way.
    pub async fn replay_callback(
        &self,
        context: &Context,
        project_id: ProjectId,
        delivery_id: DeliveryId,
    ) -> Outcome<DeliveryId> {
        // Deliveries are no part of the log. One that ends right after this look is replayed a moment later.
        let query = "select status from callback_deliveries
                     where delivery_id = $1 and tenant_id = $2 and project_id = $3";
        let status: Option<String> = sqlx::query_scalar(query)
            .bind(delivery_id.0)
            .bind(context.tenant_id.0)
            .bind(project_id.0)
            .fetch_optional(self.log.pool())
            .await?;
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                match status.as_deref() {
                    None => return Err(Refusal::NotFound("delivery")),
                    Some("pending") => return Err(Refusal::DeliveryPending),
                    Some(_) => {}
                }
                unit.decide(project, ProjectCommand::ReplayCallback { delivery_id })?;
                Ok(delivery_id)
            })
            .await
    }
}
