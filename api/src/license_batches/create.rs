//! `POST /v1/license-batches`: asks for licences; they are issued in the background.

use axum::extract::State;
use quotary_domain::license_batch::MAX_COUNT;
use quotary_domain::{PlanId, ProjectId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Batch;
use crate::extract::{ApiCommand, Whole};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBatch {
    /// What the licences are for.
    pub project_id: Uuid,
    /// The plan they are sold under.
    pub plan_id: Uuid,
    /// How many, from 1 to 1,000,000.
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    pub count: Whole<1, MAX_COUNT>,
}

/// Asks for a batch of licences. The whole price is held at once; watch `issued` at the address in `Location`.
///
/// # Errors
/// If a rule forbids it.
#[utoipa::path(post, path = "/v1/license-batches", tag = "license-batches", request_body = CreateBatch,
    responses((status = 202, description = "Asked for; `Location` says where to watch it", body = Batch)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<CreateBatch>,
) -> Result<Reply<Option<Batch>>, Problem> {
    let context = command.context("license_batch.request");
    let CreateBatch { project_id, plan_id, count } = command.body;
    let done = state.commands.request_batch(&context, ProjectId(project_id), PlanId(plan_id), count.0).await?;
    let (sequence, location) = (done.value.sequence, format!("/v1/license-batches/{}", done.value.batch_id));
    Ok(Reply::new(done, |after| Batch::after(&after)).etag(sequence).accepted(location))
}
