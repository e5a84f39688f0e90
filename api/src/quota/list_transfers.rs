//! `GET /v1/quota/transfers`.

use axum::Json;
use axum::extract::State;
use quotary_domain::AccountId;
use quotary_projections::accounts;
use quotary_projections::movements::{self, MovementFilter, MovementKind, MovementStatus};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::movement::Transfer;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The newest.
    Newest,
    /// The oldest, as whoever works off a list wants it.
    Oldest,
}

/// Which movements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `transfer` or `top_up`.
    #[param(value_type = Option<String>)]
    kind: Option<MovementKind>,
    /// Only those that this agent gave or got.
    agent_id: Option<Uuid>,
    /// `completed`, `suspended`, `refused` or `expired`.
    #[param(value_type = Option<String>)]
    status: Option<MovementStatus>,
    /// `newest` (if absent) or `oldest` first.
    #[param(value_type = Option<String>)]
    order: Option<Order>,
}

/// Lists the transfers and top-ups that one may see, newest first unless asked otherwise. With `status=suspended` and
/// `order=oldest` it is an admin's list of what waits for a decision.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/quota/transfers", tag = "quota", params(Filter),
    responses((status = 200, description = "A page of movements", body = Items<Transfer>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Transfer>>, Problem> {
    let Filter { limit, cursor, kind, agent_id, status, order } = filter;
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &[movements::NAME, accounts::NAME]).await?;
    let oldest_first = order == Some(Order::Oldest);
    let filter = MovementFilter { kind, agent_id: agent_id.map(AccountId), status, oldest_first };
    Ok(Json(Items::of(movements::list(&state.pool, &actor, &filter, &page).await?, Transfer::from)))
}
