//! `GET /v1/agents/{id}`.

use axum::extract::State;
use quotary_domain::AccountId;
use quotary_projections::accounts;
use uuid::Uuid;

use super::answer::Agent;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// An account that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/agents/{id}", tag = "agents", params(("id" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Agent)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Agent>, Problem> {
    position.wait(&state, &[accounts::NAME]).await?;
    let found = accounts::visible(&state.pool, &actor, AccountId(id)).await?;
    let account = found.ok_or_else(|| Problem::not_found("account"))?;
    Ok(Resource { sequence: account.sequence, body: account.into() })
}
