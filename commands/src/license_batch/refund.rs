//! Takes the payment of a batch back: the agent gets what it paid, its ancestors give back what they earned as far as they
//! have it, and a batch that is still being issued stops (row Q9).
//!
//! All of it is one journal in one atomic step. What an ancestor does not have any more stays with the sales of the
//! project: the agent always gets the whole.

use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Origin, Return, Reversed};
use quotary_domain::license_batch::{BatchRequest, LicenseBatch, LicenseBatchCommand};
use quotary_domain::proposal::Act;
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{
    AccountId, Aggregate as _, BatchId, HoldId, JournalId, OrderId, ProjectId, ProposalId, Quota, Role,
};
use serde::{Deserialize, Serialize};

use super::request::BatchAfter;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::proposal::propose::{Alone, Taken};
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// What the refund of a batch did to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRefunded {
    /// The movement.
    pub journal_id: JournalId,
    /// What the agent got back.
    pub amount: Quota,
    /// What the agent's ancestors gave back of their commissions.
    pub commissions_returned: Quota,
    /// What they did not have any more.
    pub commissions_missing: Quota,
    /// What was still held and returned.
    pub released: Quota,
}

/// A batch after its refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAfterRefund {
    /// The batch.
    pub after: BatchAfter,
    /// What happened in the ledger.
    pub refund: BatchRefunded,
}

/// The aggregates of a refund within a plan.
pub(crate) struct BatchRefund {
    batch_id: BatchId,
    project_id: ProjectId,
    pub(crate) batch: Handle<LicenseBatch>,
    quota: Handle<AgentQuota>,
    /// The nearest first; nobody else can have earned by the batch.
    ancestors: Vec<(AccountId, Handle<AgentQuota>)>,
}

impl Commands {
    /// Refunds a batch that no order bought. The actor manages its agent; a super admin can refund an own batch too.
    /// What returns more than one person may move alone waits for a second super admin.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such batch, the actor has no right to it, it was refunded before or belongs to an order.
    pub async fn refund_batch(&self, context: &Context, batch_id: BatchId) -> Outcome<Taken<BatchAfterRefund>> {
        let unknown = || CommandError::Refused(Refusal::NotFound("batch"));
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let request = known.and_then(|(batch, _)| batch.request).ok_or_else(unknown)?;
        let mut plan = Plan::new();
        let refund = self.plan_batch_refund(context, batch_id, &request, &mut plan).await?;
        let agent = plan.open::<Account>(request.agent_id);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        let acting = Acting::open(context, &mut plan)?;
        let by = acting.actor.account_id;
        let alone = Alone { id: ProposalId(clock::new_id()), policy, by, now: context.now };
        self.log
            .execute(context, &plan, |unit| {
                acting.check_own_or_managed(unit, request.agent_id, agent, "batch")?;
                if acting.actor.account_id == request.agent_id && acting.actor.role != Role::SuperAdmin {
                    return Err(Refusal::Forbidden);
                }
                if let Some(amount) = refund.would_return(unit, None, Some(by))?
                    && let Some(proposed) = alone.propose(unit, amount, || Act::RefundBatch { batch_id })?
                {
                    return Ok(Taken::Proposed(proposed));
                }
                let done = refund.carry_out(unit, None, Some(by))?;
                Ok(Taken::Done(refund.after(unit, done)))
            })
            .await
    }

    /// Opens what the refund of a batch needs. The batch comes first if the plan is empty.
    pub(crate) async fn plan_batch_refund(
        &self,
        context: &Context,
        batch_id: BatchId,
        request: &BatchRequest,
        plan: &mut Plan,
    ) -> Result<BatchRefund, CommandError<Refusal>> {
        let batch = plan.open::<LicenseBatch>(batch_id);
        let quota = plan.open::<AgentQuota>(request.agent_id);
        // The tree never changes, so it can be read before the step.
        let agent = self.log.current::<Account>(context.tenant_id, request.agent_id).await?;
        let line = agent.and_then(|(account, _)| account.profile).map(|profile| profile.ancestors);
        let ancestors = line.into_iter().flatten().rev().map(|id| (id, plan.open::<AgentQuota>(id))).collect();
        Ok(BatchRefund { batch_id, project_id: request.project_id, batch, quota, ancestors })
    }
}

impl BatchRefund {
    /// What the agent would get back; `None` if nothing would happen.
    pub(crate) fn would_return(
        &self,
        unit: &Unit,
        order_id: Option<OrderId>,
        by: Option<AccountId>,
    ) -> Result<Option<Quota>, Refusal> {
        let (journal_id, batch) = (LicenseBatch::refund_journal_of(self.batch_id), unit.get(self.batch));
        let events = batch.decide(LicenseBatchCommand::Refund { journal_id, order_id, by })?;
        Ok((!events.is_empty()).then_some(batch.paid))
    }

    /// The batch after its refund.
    pub(crate) fn after(&self, unit: &Unit, refund: BatchRefunded) -> BatchAfterRefund {
        let (batch, sequence) = (unit.get(self.batch).clone(), unit.sequence(self.batch));
        BatchAfterRefund { after: BatchAfter { batch_id: self.batch_id, batch, sequence }, refund }
    }

    /// Decides the refund on all aggregates concerned.
    pub(crate) fn carry_out(
        &self,
        unit: &mut Unit,
        order_id: Option<OrderId>,
        by: Option<AccountId>,
    ) -> Result<BatchRefunded, Refusal> {
        let journal_id = LicenseBatch::refund_journal_of(self.batch_id);
        let (amount, earned) = (unit.get(self.batch).paid, unit.get(self.batch).commissions.clone());
        unit.decide(self.batch, LicenseBatchCommand::Refund { journal_id, order_id, by })?;
        let released = self.release(unit)?;
        let part = |amount| Return {
            journal_id,
            reverses: Reversed::Batch(self.batch_id),
            amount,
            origin: Origin::Sales { project_id: self.project_id, batch_id: self.batch_id },
        };
        let (mut returned, mut missing) = (Quota::ZERO, Quota::ZERO);
        for (id, quota) in &self.ancestors {
            let Some(earned) = earned.get(id).copied() else { continue };
            let taken = earned.min(unit.get(*quota).available);
            if !taken.is_zero() {
                unit.decide(*quota, AgentQuotaCommand::TakeBack(part(taken)))?;
            }
            returned = returned.plus(taken).map_err(too_large)?;
            missing = missing.plus(earned.saturating_minus(taken)).map_err(too_large)?;
        }
        if !amount.is_zero() {
            unit.decide(self.quota, AgentQuotaCommand::GiveBack(part(amount)))?;
        }
        Ok(BatchRefunded { journal_id, amount, commissions_returned: returned, commissions_missing: missing, released })
    }

    /// Gives back what is still held for licences that are not issued.
    fn release(&self, unit: &mut Unit) -> Result<Quota, Refusal> {
        let hold_id = HoldId::of_batch(self.batch_id);
        let Some(hold) = unit.get(self.quota).holds.get(&hold_id) else { return Ok(Quota::ZERO) };
        let left = hold.left;
        let journal_id = JournalId::derived(self.batch_id.0, "release");
        unit.decide(self.quota, AgentQuotaCommand::Release { hold_id, journal_id })?;
        Ok(left)
    }
}

fn too_large(error: quotary_domain::QuotaError) -> Refusal {
    quotary_domain::agent_quota::AgentQuotaError::from(error).into()
}
