//! `POST /v1/projects/{id}/enable`.

use axum::extract::State;
use quotary_domain::ProjectId;
use uuid::Uuid;

use super::answer::{Project, observe};
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Enables a project again.
///
/// # Errors
/// `not-found`.
#[utoipa::path(post, path = "/v1/projects/{id}/enable", tag = "projects",
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The project", body = Project)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Project>, Problem> {
    let context = command.context("project.enable");
    let done = state.commands.enable_project(&context, ProjectId(id)).await?;
    observe(&state, context.tenant_id, &done.value);
    let (sequence, project) = (done.value.sequence, Project::after(&done.value)?);
    Ok(Reply::new(done, |_| project).etag(sequence))
}
