//! `GET /v1/projects/{id}/callbacks`.

use axum::extract::State;
use quotary_commands::clock;
use quotary_domain::TenantId;
use quotary_domain::project::Project;
use uuid::Uuid;

use super::answer::Callbacks;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// The callbacks of a project.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/projects/{id}/callbacks", tag = "callbacks",
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The callbacks", body = Callbacks)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    // The answer is the log's own and never behind.
    _: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Callbacks>, Problem> {
    let (project, sequence) = known(&state, actor.tenant_id, id).await?;
    Ok(Resource { sequence, body: Callbacks::of(&project, clock::now()) })
}

/// The project as the log has it now, and its sequence.
pub(super) async fn known(state: &AppState, tenant_id: TenantId, id: Uuid) -> Result<(Project, u64), Problem> {
    let known = state.commands.log().current::<Project>(tenant_id, id).await?;
    known.ok_or_else(|| Problem::not_found("project"))
}
