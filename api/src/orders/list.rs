//! `GET /v1/orders`.

use axum::Json;
use axum::extract::State;
use quotary_domain::order::OrderStatus;
use quotary_domain::{AccountId, BatchId};
use quotary_projections::accounts;
use quotary_projections::orders::{self, OrderFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::Order;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging, Time, storable};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// One provider only.
    provider: Option<String>,
    /// `paid`, `partly_refunded` or `refunded`.
    #[param(value_type = Option<String>)]
    status: Option<OrderStatus>,
    /// Paid at this time or later, in RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Paid before this time, in RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// One agent only.
    agent_id: Option<Uuid>,
    /// One batch only.
    batch_id: Option<Uuid>,
}

/// Lists the orders of the agents that one may see, the last paid first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(Filter),
    responses((status = 200, description = "A page of orders", body = Items<Order>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Order>>, Problem> {
    let Filter { limit, cursor, provider, status, from, to, agent_id, batch_id } = filter;
    let page = Paging { limit, cursor }.request()?;
    storable("provider", provider.as_deref())?;
    position.wait(&state, &[orders::NAME, accounts::NAME]).await?;
    let filter = OrderFilter {
        provider,
        status,
        from: from.map(|time| time.0),
        to: to.map(|time| time.0),
        agent_id: agent_id.map(AccountId),
        batch_id: batch_id.map(BatchId),
    };
    Ok(Json(Items::of(orders::list(&state.pool, &actor, &filter, &page).await?, Order::from)))
}
