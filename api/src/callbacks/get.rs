//! `GET /v1/projects/{id}/callbacks`.

use axum::extract::State;
use quotary_commands::clock;
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
    let known = state.commands.log().current::<Project>(actor.tenant_id, id).await?;
    let (project, sequence) = known.ok_or_else(|| Problem::not_found("project"))?;
    Ok(Resource { sequence, body: Callbacks::of(&project, clock::now()) })
}
