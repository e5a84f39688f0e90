//! `POST /v1/orders/{id}/refund`.

use axum::extract::State;
use quotary_commands::order::refund::{OrderRefunded, RefundRequest};
use quotary_domain::OrderId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Order;
use crate::extract::{Amount, ApiCommand, ApiPath, Time};
use crate::license_batches::refund::LedgerRefund;
use crate::problem::Problem;
use crate::proposals;
use crate::proposals::answer::{DoneOrWaiting, Waiting};
use crate::reply::Reply;
use crate::state::AppState;

/// How it is paid back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundOrder {
    /// How much, in minor units of the order's currency; all that is left if absent.
    #[schema(value_type = Option<i64>, minimum = 1)]
    amount: Option<Amount>,
    /// Why, at most 500 characters.
    reason: Option<String>,
    /// The provider's number of the refund. The same number again changes nothing.
    provider_refund_id: Option<String>,
    /// When, as the provider says, in RFC 3339; now if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    refunded_at: Option<Time>,
}

/// An order after a refund.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundedOrder {
    /// The order.
    #[serde(flatten)]
    order: Option<Order>,
    /// What returned in the ledger; `null` if only money was paid back.
    quota: Option<LedgerRefund>,
}

/// Pays an order, or a part of it, back. A part moves money alone. What brings the order to its whole amount also takes
/// its batch back: the agent gets its quota back, ancestors give back their commissions, and the licences are disabled; if that is more than one
/// may move alone, it waits for a second super admin.
///
/// # Errors
/// `not-found`, `already-refunded`, `already-exists`, `limit-reached`.
#[utoipa::path(post, path = "/v1/orders/{id}/refund", tag = "orders",
    request_body(content = RefundOrder, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order", body = RefundedOrder),
              (status = 202, description = "It waits for a second super admin", body = Waiting)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RefundOrder>,
) -> Result<Reply<DoneOrWaiting<RefundedOrder>>, Problem> {
    let context = command.context("order.refund");
    let RefundOrder { amount, reason, provider_refund_id, refunded_at } = command.body;
    let ask = RefundRequest {
        amount: amount.map(|amount| amount.0),
        reason,
        provider_refund_id,
        refunded_at: refunded_at.map(|time| time.0),
    };
    let done = state.commands.refund_order(&context, OrderId(id), ask).await?;
    Ok(proposals::answer::reply(done, |done| {
        if let Some(batch) = done.value.refunded_batch() {
            // On this node its licences are refused from this answer on.
            state.license_index.observe_refund(batch);
        }
        let sequence = done.value.after.sequence;
        let body = |refunded: OrderRefunded| RefundedOrder {
            order: Order::after(&refunded.after),
            quota: refunded.batch.map(LedgerRefund::from),
        };
        Reply::new(done, body).etag(sequence)
    }))
}
