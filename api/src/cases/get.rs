//! `GET /v1/cases/{id}`.

use axum::extract::State;
use quotary_domain::CaseId;
use quotary_projections::cases;
use uuid::Uuid;

use super::answer::{Case, Note};
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A case of the tenant with its notes.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/cases/{id}", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The case")),
    responses((status = 200, description = "The case", body = Case)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Case>, Problem> {
    position.wait(&state, &[cases::NAME]).await?;
    let found = cases::get(&state.pool, actor.tenant_id, CaseId(id)).await?;
    let found = found.ok_or_else(|| Problem::not_found("case"))?;
    let notes = cases::notes(&state.pool, actor.tenant_id, found.id).await?;
    let sequence = found.sequence;
    let notes = Some(notes.into_iter().map(Note::from).collect());
    Ok(Resource { sequence, body: Case { notes, ..found.into() } })
}
