//! `POST /v1/license-batches/{id}/cancel`: what is left of it is not issued.

use axum::extract::State;
use quotary_commands::license_batch::request::BatchAfter;
use quotary_domain::BatchId;
use uuid::Uuid;

use super::Batch;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Cancels what is left of a batch. What was issued stays and is paid; what is held for the rest returns to the agent.
///
/// # Errors
/// `not-found`, `wrong-status` if all of it is issued, `batch-has-order`.
#[utoipa::path(post, path = "/v1/license-batches/{id}/cancel", tag = "license-batches", request_body = NoBody,
    params(("id" = Uuid, Path, description = "The batch")),
    responses((status = 200, description = "The batch after it", body = Option<Batch>)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Option<Batch>>, Problem> {
    let context = command.context("license_batch.cancel");
    let done = state.commands.cancel_batch(&context, BatchId(id)).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |after: BatchAfter| Batch::after(&after)).etag(sequence))
}
