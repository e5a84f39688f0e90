//! Cancels what is left of a batch: what was issued stays, and the rest of its hold returns (row L2).

use quotary_domain::BatchId;
use quotary_domain::account::Account;
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::license_batch::{LicenseBatch, LicenseBatchError, StopReason};

use super::issue_chunk::stop;
use super::request::BatchAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Stops a batch that is being issued. The chunk that is being issued at this moment is either issued whole or not at
    /// all; licences that were issued are paid and stay.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such batch, the actor has no right to it, it is completed, or an order bought it.
    pub async fn cancel_batch(&self, context: &Context, batch_id: BatchId) -> Outcome<BatchAfter> {
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let request = known.and_then(|(batch, _)| batch.request);
        let request = request.ok_or(CommandError::Refused(Refusal::NotFound("batch")))?;
        let mut plan = Plan::new();
        let batch = plan.open::<LicenseBatch>(batch_id);
        let quota = plan.open::<AgentQuota>(request.agent_id);
        let agent = plan.open::<Account>(request.agent_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_own_or_managed(unit, request.agent_id, agent, "batch")?;
                if let Some(order_id) = unit.get(batch).order {
                    // Its customer has paid: it is refunded with its order.
                    return Err(LicenseBatchError::OtherOrder(order_id).into());
                }
                stop(unit, batch, quota, batch_id, StopReason::Cancelled)?;
                let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                Ok::<_, Refusal>(BatchAfter { batch_id, batch, sequence })
            })
            .await
    }
}
