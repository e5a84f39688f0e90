//! An order as answers show it.

use chrono::{DateTime, Utc};
use quotary_commands::order::record_payment::OrderAfter;
use quotary_projections::orders;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A payment at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct Order {
    /// Its id; follows from the provider and its number.
    pub id: Uuid,
    /// The provider.
    #[schema(example = "alipay")]
    pub provider: String,
    /// The provider's number of the payment.
    pub provider_order_id: String,
    /// What was paid, in minor units of the currency.
    pub amount: i64,
    /// ISO 4217.
    #[schema(example = "CNY")]
    pub currency: String,
    /// When it was paid, as the provider says.
    pub paid_at: DateTime<Utc>,
    /// The agent whose sale it is.
    pub agent_id: Uuid,
    /// The licences it bought.
    pub batch_id: Option<Uuid>,
    /// `paid`, `partly_refunded` or `refunded`.
    pub status: &'static str,
    /// What was paid back, in minor units of the currency.
    pub refunded_amount: i64,
    /// When the last part was paid back, as the provider says.
    pub refunded_at: Option<DateTime<Utc>>,
    /// The provider's number of the last refund that has one.
    pub provider_refund_id: Option<String>,
    /// Why, of the last refund that says so.
    pub refund_reason: Option<String>,
    /// When it was recorded; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<DateTime<Utc>>,
}

impl From<orders::Order> for Order {
    fn from(order: orders::Order) -> Self {
        Self {
            id: order.order_id.0,
            status: order.status().as_str(),
            provider: order.provider,
            provider_order_id: order.provider_order_id,
            amount: order.amount,
            currency: order.currency,
            paid_at: order.paid_at,
            agent_id: order.agent_id.0,
            batch_id: order.batch_id.map(|batch| batch.0),
            refunded_amount: order.refunded_amount,
            refunded_at: order.refunded_at,
            provider_refund_id: order.provider_refund_id,
            refund_reason: order.refund_reason,
            recorded_at: Some(order.recorded_at),
        }
    }
}

impl Order {
    /// The order after a command; `None` if there is none.
    pub(super) fn after(after: &OrderAfter) -> Option<Self> {
        let (order, payment) = (&after.order, after.order.payment.as_ref()?);
        let number = order.refunds.iter().rev().find_map(|refund| refund.provider_refund_id.clone());
        let reason = order.refunds.iter().rev().find_map(|refund| refund.reason.clone());
        Some(Self {
            id: after.order_id.0,
            provider: payment.provider.clone(),
            provider_order_id: payment.provider_order_id.clone(),
            amount: payment.amount.0.minor_units(),
            currency: payment.currency.clone(),
            paid_at: payment.paid_at,
            agent_id: payment.agent_id.0,
            batch_id: payment.batch_id.map(|batch| batch.0),
            status: order.status().as_str(),
            refunded_amount: order.refunded().0.minor_units(),
            refunded_at: order.refunds.last().map(|refund| refund.refunded_at),
            provider_refund_id: number,
            refund_reason: reason,
            recorded_at: None,
        })
    }
}
