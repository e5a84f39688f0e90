//! `POST /v1/projects/{id}/rotate-credentials`.

use axum::extract::State;
use quotary_commands::project::rotate_credentials::MAX_OVERLAP_HOURS;
use quotary_domain::ProjectId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::observe;
use super::create::ProjectWithCredentials;
use crate::extract::{ApiCommand, ApiPath, Whole};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How long the old credentials stay good, unless said otherwise.
const DEFAULT_OVERLAP_HOURS: u32 = 24;

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCredentials {
    /// How long the old credentials stay good, in hours: 0 to 720, 24 if absent.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 720)]
    overlap_hours: Option<Whole<0, MAX_OVERLAP_HOURS>>,
}

/// Gives a project new client credentials; the old ones stay good for an overlap.
///
/// # Errors
/// `not-found`, `validation-failed`.
#[utoipa::path(post, path = "/v1/projects/{id}/rotate-credentials", tag = "projects",
    request_body(content = RotateCredentials, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The project and its new credentials", body = ProjectWithCredentials)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RotateCredentials>,
) -> Result<Reply<ProjectWithCredentials>, Problem> {
    let context = command.context("project.rotate_credentials");
    let overlap_hours = command.body.overlap_hours.map_or(DEFAULT_OVERLAP_HOURS, |hours| hours.0);
    let done = state.commands.rotate_credentials(&context, ProjectId(id), overlap_hours).await?;
    observe(&state, context.tenant_id, &done.value.after);
    let (sequence, answer) = (done.value.after.sequence, ProjectWithCredentials::of(done.value.clone())?);
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
