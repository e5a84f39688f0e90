//! `GET /v1/proposals`.

use axum::Json;
use axum::extract::State;
use quotary_projections::proposals;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::ProposalAnswer;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which proposals.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those that nobody decided on.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: Option<bool>,
}

/// Lists the tenant's proposals, newest first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/proposals", tag = "proposals", params(Filter),
    responses((status = 200, description = "A page of proposals", body = Items<ProposalAnswer>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<ProposalAnswer>>, Problem> {
    let page = Paging { limit: filter.limit, cursor: filter.cursor }.request()?;
    position.wait(&state, &[proposals::NAME]).await?;
    let only_open = filter.open.unwrap_or(false);
    let found = proposals::list(&state.pool, actor.tenant_id, only_open, &page).await?;
    Ok(Json(Items::of(found, ProposalAnswer::from)))
}
