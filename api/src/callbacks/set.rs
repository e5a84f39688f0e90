//! `PUT /v1/projects/{id}/callbacks`.

use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_domain::callback::CallbackType;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Callbacks;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::projects::answer::observe;
use crate::reply::Reply;
use crate::state::AppState;

/// Where callbacks go, and which.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCallbacks {
    /// An https URL of a public host, at most 2,000 bytes; null sends none.
    url: Option<String>,
    /// The types that are told; all, if absent or null.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Vec<CallbackType>>,
}

/// Sets where callbacks of a project go and which types are told. The first address comes with a secret, shown this once. An
/// address that was stopped is sent to again.
///
/// # Errors
/// `not-found`, `validation-failed`.
#[utoipa::path(put, path = "/v1/projects/{id}/callbacks", tag = "callbacks", request_body = SetCallbacks,
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The callbacks", body = Callbacks)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<SetCallbacks>,
) -> Result<Reply<Callbacks>, Problem> {
    let context = command.context("callbacks.set");
    let SetCallbacks { url, events } = command.body;
    let done = state.commands.set_callbacks(&context, ProjectId(id), url, events).await?;
    observe(&state, context.tenant_id, &done.value.after);
    let sequence = done.value.after.sequence;
    Ok(Reply::new(done, |changed| Callbacks::after(changed, context.now)).etag(sequence))
}
