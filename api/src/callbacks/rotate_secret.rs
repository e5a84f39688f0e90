//! `POST /v1/projects/{id}/callbacks/rotate-secret`.

use axum::extract::State;
use quotary_commands::project::rotate_credentials::MAX_OVERLAP_HOURS;
use quotary_domain::ProjectId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Callbacks;
use crate::extract::{ApiCommand, ApiPath, Whole};
use crate::problem::Problem;
use crate::projects::answer::observe;
use crate::reply::Reply;
use crate::state::AppState;

/// How long the secret before signs too, unless said otherwise.
const DEFAULT_OVERLAP_HOURS: u32 = 24;

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCallbackSecret {
    /// How long the secret before signs too, in hours: 0 to 720, 24 if absent.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 720)]
    overlap_hours: Option<Whole<0, MAX_OVERLAP_HOURS>>,
}

/// Signs callbacks of a project with another secret, shown this once; during an overlap both sign.
///
/// # Errors
/// `not-found`, `validation-failed`.
#[utoipa::path(post, path = "/v1/projects/{id}/callbacks/rotate-secret", tag = "callbacks",
    request_body(content = RotateCallbackSecret, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The callbacks with the new secret", body = Callbacks)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RotateCallbackSecret>,
) -> Result<Reply<Callbacks>, Problem> {
    let context = command.context("callbacks.rotate_secret");
    let overlap_hours = command.body.overlap_hours.map_or(DEFAULT_OVERLAP_HOURS, |hours| hours.0);
    let done = state.commands.rotate_callback_secret(&context, ProjectId(id), overlap_hours).await?;
    observe(&state, context.tenant_id, &done.value.after);
    let sequence = done.value.after.sequence;
    Ok(Reply::new(done, |changed| Callbacks::after(changed, context.now)).etag(sequence))
}
