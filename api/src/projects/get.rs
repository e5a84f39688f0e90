//! `GET /v1/projects/{id}`.

use axum::extract::State;
use quotary_domain::{Actor, ProjectId, Role, project};
use quotary_projections::projects::ProjectRecord;
use quotary_projections::{accounts, projects};
use uuid::Uuid;

use super::answer::{Project, PublicKey, READ_MODEL};
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A project that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/projects/{id}", tag = "projects",
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The project", body = Project)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Project>, Problem> {
    let record = visible(&state, &actor, position, ProjectId(id)).await?;
    // The log's own, which are never older than the read model's.
    let aggregate = state.commands.log().current::<project::Project>(actor.tenant_id, id).await?;
    let keys = aggregate.map(|(project, _)| project.signing_keys).unwrap_or_default();
    let signing_key = keys.ed25519.as_ref().map(PublicKey::from);
    let rsa_signing_key = keys.rsa.as_ref().map(PublicKey::from);
    let sequence = record.sequence.cast_unsigned();
    let body = Project { signing_key, rsa_signing_key, ..Project::of(record, actor.role == Role::SuperAdmin) };
    Ok(Resource { sequence, body })
}

/// The project, if one may see it.
pub(super) async fn visible(
    state: &AppState,
    actor: &Actor,
    position: MinPosition,
    id: ProjectId,
) -> Result<ProjectRecord, Problem> {
    position.wait(state, &[READ_MODEL, accounts::NAME]).await?;
    projects::get(&state.pool, actor, id).await?.ok_or_else(|| Problem::not_found("project"))
}
