//! `GET /v1/agents`.

use axum::Json;
use axum::extract::State;
use quotary_domain::Role;
use quotary_projections::accounts::{self, AccountFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Agent;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging, storable};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// A part of the username.
    search: Option<String>,
    /// One role only.
    #[param(value_type = Option<String>)]
    role: Option<Role>,
    /// Only disabled ones, or only those that are not.
    disabled: Option<bool>,
}

/// Lists the accounts that one may see, by username: oneself and, for admins, those below.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", params(Filter),
    responses((status = 200, description = "A page of accounts", body = Items<Agent>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Agent>>, Problem> {
    let Filter { limit, cursor, search, role, disabled } = filter;
    storable("search", search.as_deref())?;
    let page = Paging { limit, cursor }.request()?;
    position.wait(&state, &[accounts::NAME]).await?;
    let filter = AccountFilter { search, role, disabled };
    Ok(Json(Items::of(accounts::list(&state.pool, &actor, &filter, &page).await?, Agent::from)))
}
