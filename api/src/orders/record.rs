//! `POST /v1/orders`: a payment at a provider, recorded once however often it is told.

use axum::extract::State;
use quotary_domain::order::{Money, Payment};
use quotary_domain::{AccountId, BatchId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Order;
use crate::extract::{Amount, ApiCommand, Time};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordOrder {
    /// The provider: 1 to 32 of `a-z 0-9 _ -`.
    #[schema(example = "alipay")]
    provider: String,
    /// The provider's number of the payment, 1 to 128 characters.
    provider_order_id: String,
    /// What was paid: more than zero, in minor units of the currency.
    #[schema(value_type = i64, minimum = 1)]
    amount: Amount,
    /// ISO 4217.
    #[schema(example = "CNY")]
    currency: String,
    /// When it was paid, as the provider says, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    paid_at: Time,
    /// The agent whose sale it is.
    agent_id: Uuid,
    /// The licences it bought: a batch of the agent that belongs to no other order.
    batch_id: Option<Uuid>,
}

/// Records a payment. The same payment again answers 200 and changes nothing; the same number with another content is
/// refused.
///
/// # Errors
/// `not-found`, `already-exists`, `account-disabled`, `already-refunded`, `batch-has-order`.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = RecordOrder,
    responses((status = 201, description = "The order", body = Order),
              (status = 200, description = "The order, which was known", body = Order)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<RecordOrder>,
) -> Result<Reply<Option<Order>>, Problem> {
    let context = command.context("order.record");
    let RecordOrder { provider, provider_order_id, amount, currency, paid_at, agent_id, batch_id } = command.body;
    let payment = Payment {
        provider,
        provider_order_id,
        amount: Money(amount.0),
        currency,
        paid_at: paid_at.0,
        agent_id: AccountId(agent_id),
        batch_id: batch_id.map(BatchId),
    };
    let done = state.commands.record_payment(&context, payment).await?;
    let (id, sequence, added) = (done.value.order_id, done.value.sequence, done.value.added);
    let reply = Reply::new(done, |after| Order::after(&after)).etag(sequence);
    Ok(if added { reply.created(format!("/v1/orders/{id}")) } else { reply })
}
