//! Asks for a batch of licences; the whole price is held at once (row L1).

use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, HoldPurpose};
use quotary_domain::license_batch::{BatchRequest, LicenseBatch, LicenseBatchCommand};
use quotary_domain::project::{Project, ProjectError};
use quotary_domain::{BatchId, HoldId, PlanId, ProjectId, Role};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A batch after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAfter {
    /// The batch.
    pub batch_id: BatchId,
    /// Its state.
    pub batch: LicenseBatch,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Requests a batch. Its licences are issued in chunks by the process manager.
    ///
    /// # Errors
    /// [`Refusal`] if the project is not granted or disabled, the plan is unknown, the count is out of limits, or the
    /// price is more than available.
    pub async fn request_batch(
        &self,
        context: &Context,
        project_id: ProjectId,
        plan_id: PlanId,
        count: u32,
    ) -> Outcome<BatchAfter> {
        let batch_id = BatchId(clock::new_id());
        let mut plan = Plan::new();
        let batch = plan.open_new::<LicenseBatch>(batch_id);
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        let agent_id = acting.actor.account_id;
        let quota = plan.open::<AgentQuota>(agent_id);
        let needs_grant = acting.actor.role != Role::SuperAdmin;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_holds_quota(unit)?;
                let sold = unit.get(project).sellable(plan_id, agent_id, needs_grant, context.now)?;
                let total_price = sold.unit_price.times(count).map_err(ProjectError::from)?;
                let (plan_version, terms) = (sold.version, sold.terms.clone());
                let request = BatchRequest { agent_id, project_id, plan_id, plan_version, terms, count, total_price };
                unit.decide(batch, LicenseBatchCommand::Request(request))?;
                if !total_price.is_zero() {
                    let (hold_id, purpose) = (HoldId::of_batch(batch_id), HoldPurpose::Batch(batch_id));
                    unit.decide(
                        quota,
                        AgentQuotaCommand::Hold {
                            hold_id,
                            amount: total_price,
                            purpose,
                            at: context.now,
                            expires_at: None,
                        },
                    )?;
                }
                let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                Ok::<_, Refusal>(BatchAfter { batch_id, batch, sequence })
            })
            .await
    }
}
