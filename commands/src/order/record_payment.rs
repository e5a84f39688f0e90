//! Records a payment at a provider, once however often it is told (row Q8).

use chrono::{SubsecRound as _, TimeDelta};
use quotary_domain::OrderId;
use quotary_domain::account::Account;
use quotary_domain::license_batch::{LicenseBatch, LicenseBatchCommand};
use quotary_domain::order::{Order, OrderCommand, Payment};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::movement::check_receiver;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// How far a provider's clock may be ahead of ours, in hours.
pub(crate) const CLOCKS_APART_HOURS: i64 = 24;

/// An order after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAfter {
    /// The order.
    pub order_id: OrderId,
    /// Its state.
    pub order: Order,
    /// The sequence of its last event.
    pub sequence: u64,
    /// False if nothing was new.
    pub added: bool,
}

impl Commands {
    /// Records a payment. The same payment again changes nothing. Only super admins can, and what runs by itself.
    ///
    /// # Errors
    /// [`Refusal`] if the provider's number is known with another content, the agent is unknown, disabled or holds no
    /// quota, or the batch is unknown, another agent's, another order's or refunded.
    pub async fn record_payment(&self, context: &Context, payment: Payment) -> Outcome<OrderAfter> {
        let payment = Payment { paid_at: payment.paid_at.trunc_subsecs(6), ..payment };
        if payment.paid_at > context.now + TimeDelta::hours(CLOCKS_APART_HOURS) {
            return Err(CommandError::Refused(Refusal::invalid("paid_at", "is in the future")));
        }
        let order_id = OrderId::of(context.tenant_id, &payment.provider, &payment.provider_order_id);
        let mut plan = Plan::new();
        let order = plan.open::<Order>(order_id);
        let agent = plan.open::<Account>(payment.agent_id);
        let batch = payment.batch_id.map(|batch_id| plan.open::<LicenseBatch>(batch_id));
        let acting = context.actor.map(|_| Acting::open(context, &mut plan)).transpose()?;
        self.log
            .execute(context, &plan, |unit| {
                if let Some(acting) = &acting {
                    acting.check_super_admin(unit)?;
                }
                let before = unit.sequence(order);
                unit.decide(order, OrderCommand::RecordPayment(payment.clone()))?;
                let added = unit.sequence(order) != before;
                if added {
                    check_receiver(unit, agent)?;
                    if let Some(batch) = batch {
                        let owner = unit.get(batch).request.as_ref().map(|request| request.agent_id);
                        match owner {
                            None => return Err(Refusal::NotFound("batch")),
                            Some(owner) if owner != payment.agent_id => {
                                return Err(Refusal::invalid("batch_id", "is a batch of another agent"));
                            }
                            Some(_) => unit.decide(batch, LicenseBatchCommand::LinkOrder(order_id))?,
                        }
                    }
                }
                let sequence = unit.sequence(order);
                Ok(OrderAfter { order_id, order: unit.get(order).clone(), sequence, added })
            })
            .await
    }
}
