//! Pays an order back: a part is money alone, the last part also takes the batch back (row Q9).
//!
//! Order, batch, quota and commissions change in one atomic step, or nothing does.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::order::{Money, Order, OrderCommand, OrderStatus, Refund};
use quotary_domain::{BatchId, OrderId, Quota};
use serde::{Deserialize, Serialize};

use super::record_payment::{CLOCKS_APART_HOURS, OrderAfter};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::license_batch::refund::{BatchRefund, BatchRefunded};
use crate::refusal::Refusal;
use crate::unit::Plan;
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

impl Commands {
    /// Pays an order, or a part of it, back. Only super admins can, and what runs by itself.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such order, more is asked for than is left, or all was paid back before.
    pub async fn refund_order(&self, context: &Context, id: OrderId, ask: RefundRequest) -> Outcome<OrderRefunded> {
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
        self.log
            .execute(context, &plan, |unit| {
                if let Some(acting) = &acting {
                    acting.check_super_admin(unit)?;
                }
                let before = unit.sequence(order);
                let refund = Refund {
                    amount: ask.amount.map_or(unit.get(order).left(), Money),
                    provider_refund_id: ask.provider_refund_id.clone(),
                    refunded_at,
                    reason: ask.reason.clone(),
                };
                unit.decide(order, OrderCommand::RecordRefund(refund))?;
                let added = unit.sequence(order) != before;
                let returned = match &batch {
                    Some(batch) if added && unit.get(order).status() == OrderStatus::Refunded => {
                        let by = context.actor.map(|actor| actor.account_id);
                        Some(batch.carry_out(unit, Some(id), by)?)
                    }
                    _ => None,
                };
                let sequence = unit.sequence(order);
                let after = OrderAfter { order_id: id, order: unit.get(order).clone(), sequence, added };
                Ok(OrderRefunded { after, batch: returned })
            })
            .await
    }

    /// What the refund of a batch needs to be opened.
    async fn open_batch_refund(
        &self,
        context: &Context,
        batch_id: BatchId,
        plan: &mut Plan,
    ) -> Result<BatchRefund, CommandError<Refusal>> {
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let request = known.and_then(|(batch, _)| batch.request);
        let request = request.ok_or(CommandError::Refused(Refusal::NotFound("batch")))?;
        self.plan_batch_refund(context, batch_id, &request, plan).await
    }
}
