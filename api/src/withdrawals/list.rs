//! `GET /v1/withdrawals`.

use axum::Json;
use axum::extract::State;
use quotary_domain::AccountId;
use quotary_domain::withdrawal::WithdrawalStatus;
use quotary_projections::accounts;
use quotary_projections::withdrawals::{self, WithdrawalFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::Withdrawal;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which withdrawals.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `suspended`, `requested`, `approved`, `refused`, `paid`, `cancelled` or `expired`.
    #[param(value_type = Option<String>)]
    status: Option<WithdrawalStatus>,
    /// One agent only.
    agent_id: Option<Uuid>,
}

/// Lists the withdrawals of the agents that one may see, newest first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/withdrawals", tag = "withdrawals", params(Filter),
    responses((status = 200, description = "A page of withdrawals", body = Items<Withdrawal>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Withdrawal>>, Problem> {
    let Filter { limit, cursor, status, agent_id } = filter;
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &[withdrawals::NAME, accounts::NAME]).await?;
    let filter = WithdrawalFilter { status, agent_id: agent_id.map(AccountId) };
    Ok(Json(Items::of(withdrawals::list(&state.pool, &actor, &filter, &page).await?, Withdrawal::from)))
}
