//! `GET /v1/proposals/{id}`.

use axum::extract::State;
use quotary_domain::ProposalId;
use quotary_projections::proposals;
use uuid::Uuid;

use super::answer::ProposalAnswer;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A proposal of the tenant.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "proposals",
    params(("id" = Uuid, Path, description = "The proposal")),
    responses((status = 200, description = "The proposal", body = ProposalAnswer)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<ProposalAnswer>, Problem> {
    position.wait(&state, &[proposals::NAME]).await?;
    let found = proposals::get(&state.pool, actor.tenant_id, ProposalId(id)).await?;
    let found = found.ok_or_else(|| Problem::not_found("proposal"))?;
    Ok(Resource { sequence: found.sequence, body: found.into() })
}
