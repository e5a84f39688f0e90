//! `POST /v1/projects/{id}/callbacks/test`.

use axum::extract::State;
use quotary_domain::ProjectId;
use uuid::Uuid;

use super::answer::{AskedDelivery, location};
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Sends a callback of the type `test`, whichever types are chosen.
///
/// # Errors
/// `not-found`, `wrong-status`.
#[utoipa::path(post, path = "/v1/projects/{id}/callbacks/test", tag = "callbacks",
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 202, description = "The delivery, on its way", body = AskedDelivery)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<AskedDelivery>, Problem> {
    let context = command.context("callbacks.test");
    let done = state.commands.test_callback(&context, ProjectId(id)).await?;
    let at = location(id, done.value);
    Ok(Reply::new(done, |id| AskedDelivery { id: id.0 }).accepted(at))
}
