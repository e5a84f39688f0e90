//! `GET /v1/orders/{id}`.

use axum::extract::State;
use quotary_domain::OrderId;
use quotary_projections::{accounts, orders};
use uuid::Uuid;

use super::answer::Order;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// An order of an agent that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order", body = Order)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Order>, Problem> {
    position.wait(&state, &[orders::NAME, accounts::NAME]).await?;
    let found = orders::get(&state.pool, &actor, OrderId(id)).await?.ok_or_else(|| Problem::not_found("order"))?;
    Ok(Resource { sequence: found.sequence, body: found.into() })
}
