//! Our side of a bill: payments and refunds of a tenant at a provider, out of the log.
//!
//! What must always hold: the result follows from the log up to a position, so a later run up to the same position has the
//! same orders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use quotary_audit::item::{Currency, Item, Kind, State};
use quotary_audit::matching::Period;
use quotary_domain::TenantId;
use quotary_domain::order::{OrderEvent, Payment};
use sqlx::PgPool;
use sqlx::types::Json;

/// Why the orders can't be read.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// The database answered with an error.
    #[error("the orders can't be read")]
    Database(#[from] sqlx::Error),
    /// An event does not make sense.
    #[error("the event at position {0} is no event of an order")]
    Event(i64),
}

/// Payments and refunds of a provider within a period, as of a position.
///
/// # Errors
/// [`OrdersError`] if the log can't be read to the end.
pub async fn load(
    pool: &PgPool,
    tenant_id: TenantId,
    provider: &str,
    within: Period,
    position: u64,
) -> Result<Vec<Item>, OrdersError> {
    let mut rows = sqlx::query_as::<_, (i64, String, i64, Json<OrderEvent>)>(
        "select position, aggregate_id, sequence, payload from events \
         where tenant_id = $1 and aggregate_type = 'Order' and position <= $2 order by position",
    )
    .bind(tenant_id.0)
    .bind(position.cast_signed())
    .fetch(pool);
    let (mut payments, mut items) = (HashMap::new(), vec![]);
    while let Some((position, id, sequence, Json(event))) = rows.try_next().await? {
        let wrong = || OrdersError::Event(position);
        match event {
            OrderEvent::OrderPaid(payment) if payment.provider == provider => {
                if within.contains(payment.paid_at) {
                    let money = (payment.amount.0.minor_units(), payment.paid_at);
                    items.push(item(Kind::Sale, id.clone(), position, money, &payment).ok_or_else(wrong)?);
                }
                payments.insert(id, payment);
            }
            OrderEvent::OrderRefunded(refund) if within.contains(refund.refunded_at) => {
                // The orders of other providers are not among them.
                let Some(payment) = payments.get(&id) else { continue };
                let money = (refund.amount.0.minor_units(), refund.refunded_at);
                let paid = &payment.provider_order_id;
                let refunded =
                    item(Kind::Refund, format!("{id}/{sequence}"), position, money, payment).ok_or_else(wrong)?;
                items.push(Item {
                    // As the mappings make a refund's number: the payment's, and its own behind it.
                    other_id: refund.provider_refund_id.map(|number| format!("{paid}/{number}")),
                    payment: Some(paid.clone()),
                    ..refunded
                });
            }
            _ => {}
        }
    }
    Ok(items)
}

fn item(kind: Kind, id: String, position: i64, (amount, at): (i64, DateTime<Utc>), payment: &Payment) -> Option<Item> {
    Some(Item {
        kind,
        id,
        at,
        place: position.cast_unsigned(),
        other_id: Some(payment.provider_order_id.clone()),
        payment: None,
        group: None,
        amount,
        currency: Currency::parse(&payment.currency)?,
        // What is recorded was paid.
        state: State::Completed,
        fee: None,
    })
}
