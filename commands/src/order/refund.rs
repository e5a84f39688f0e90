//! Pays an order back: a part is money alone, the last part also takes the batch back (row Q9).
//!
//! Order, batch, quota and commissions change in one atomic step, or nothing does.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use quotary_domain::order::{Money, Order, OrderCommand, OrderStatus, Refund};
use quotary_domain::proposal::Act;
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{AccountId, Aggregate as _, BatchId, OrderId, ProposalId, Quota};
use serde::{Deserialize, Serialize};

use super::record_payment::{CLOCKS_APART_HOURS, OrderAfter};
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::license_batch::refund::{BatchRefund, BatchRefunded};
use crate::proposal::propose::{Alone, Taken};
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// How an order is to be paid back.
#[derive(Clone, Debug, Default)]
pub struct RefundRequest {
    /// How much money; all that is left if absent.
    pub amount: Option<Quota>,
    /// Why.
    pub reason: Option<String>,
    /// The provider's number of the refund.
    pub provider_refund_id: Option<String>,
    /// When, as the provider says; now if absent.
    pub refunded_at: Option<DateTime<Utc>>,
}

/// An order that was paid back, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRefunded {
    /// The order.
    pub after: OrderAfter,
    /// What returned in the ledger; `None` if the refund moved money alone.
    pub batch: Option<BatchRefunded>,
}

impl OrderRefunded {
    /// The batch that was taken back with it, if one was.
    #[must_use]
    pub fn refunded_batch(&self) -> Option<BatchId> {
        self.batch.and_then(|_| self.after.order.payment.as_ref()?.batch_id)
    }
}

/// The aggregates of an order's refund within a plan.
pub(crate) struct OrderRefund {
    pub(crate) order_id: OrderId,
    pub(crate) order: Handle<Order>,
    pub(crate) batch: Option<BatchRefund>,
}

impl Commands {
    /// Pays an order, or a part of it, back. Only super admins can, and what runs by itself. If more quota returns than one
    /// person may move alone, it waits for a second one.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such order, more is asked for than is left, or all was paid back before.
    pub async fn refund_order(
        &self,
        context: &Context,
        id: OrderId,
        ask: RefundRequest,
    ) -> Outcome<Taken<OrderRefunded>> {
        if let Some(reason) = &ask.reason {
            Refusal::check_text("reason", reason, 0, 500).map_err(CommandError::Refused)?;
        }
        let refunded_at = ask.refunded_at.unwrap_or(context.now).trunc_subsecs(6);
        if refunded_at > context.now + TimeDelta::hours(CLOCKS_APART_HOURS) {
            return Err(CommandError::Refused(Refusal::invalid("refunded_at", "is in the future")));
        }
        // What it bought never changes, so it can be read before the step.
        let unknown = || CommandError::Refused(Refusal::NotFound("order"));
        let (known, _) = self.log.current::<Order>(context.tenant_id, id).await?.ok_or_else(unknown)?;
        let payment = known.payment.ok_or_else(unknown)?;
        let mut plan = Plan::new();
        let order = plan.open::<Order>(id);
        let acting = context.actor.map(|_| Acting::open(context, &mut plan)).transpose()?;
        let batch = match payment.batch_id {
            Some(batch_id) => Some(self.open_batch_refund(context, batch_id, &mut plan).await?),
            None => None,
        };
        let refund = OrderRefund { order_id: id, order, batch };
        let (policy, proposal_id) = (plan.read::<RiskPolicy>(context.tenant_id), ProposalId(clock::new_id()));
        self.log
            .execute(context, &plan, |unit| {
                if let Some(acting) = &acting {
                    acting.check_super_admin(unit)?;
                }
                let noted = Refund {
                    amount: ask.amount.map_or(unit.get(order).left(), Money),
                    provider_refund_id: ask.provider_refund_id.clone(),
                    refunded_at,
                    reason: ask.reason.clone(),
                };
                let by = acting.map(|acting| acting.actor.account_id);
                // What runs by itself is nobody's word.
                if let (Some(by), Some(batch_id)) = (by, payment.batch_id)
                    && let Some(amount) = refund.would_return(unit, &noted, by)?
                {
                    let alone = Alone { id: proposal_id, policy, by, now: context.now };
                    let act = || Act::RefundOrder { order_id: id, batch_id, refund: noted.clone() };
                    if let Some(proposed) = alone.propose(unit, amount, act)? {
                        return Ok(Taken::Proposed(proposed));
                    }
                }
                refund.carry_out(unit, noted, by).map(Taken::Done)
            })
            .await
    }
}

impl OrderRefund {
    /// How much quota the agent would get back; `None` if only money or nothing would.
    fn would_return(&self, unit: &Unit, noted: &Refund, by: AccountId) -> Result<Option<Quota>, Refusal> {
        let order = unit.get(self.order);
        let events = order.decide(OrderCommand::RecordRefund(noted.clone()))?;
        match &self.batch {
            Some(batch) if !events.is_empty() && noted.amount == order.left() => {
                batch.would_return(unit, Some(self.order_id), Some(by))
            }
            _ => Ok(None),
        }
    }

    /// Decides the refund on all aggregates concerned.
    pub(crate) fn carry_out(
        &self,
        unit: &mut Unit,
        noted: Refund,
        by: Option<AccountId>,
    ) -> Result<OrderRefunded, Refusal> {
        let before = unit.sequence(self.order);
        unit.decide(self.order, OrderCommand::RecordRefund(noted))?;
        let added = unit.sequence(self.order) != before;
        let returned = match &self.batch {
            Some(batch) if added && unit.get(self.order).status() == OrderStatus::Refunded => {
                Some(batch.carry_out(unit, Some(self.order_id), by)?)
            }
            _ => None,
        };
        let (order, sequence) = (unit.get(self.order).clone(), unit.sequence(self.order));
        let after = OrderAfter { order_id: self.order_id, order, sequence, added };
        Ok(OrderRefunded { after, batch: returned })
    }
}
