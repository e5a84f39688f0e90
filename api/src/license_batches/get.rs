//! `GET /v1/license-batches/{id}`: how far a batch is.

use axum::extract::State;
use quotary_domain::BatchId;
use quotary_projections::licenses;
use uuid::Uuid;

use super::Batch;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A batch with its progress.
///
/// # Errors
/// If there is none that the account may see.
#[utoipa::path(get, path = "/v1/license-batches/{id}", tag = "license-batches", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The batch", body = Batch)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    position: MinPosition,
) -> Result<Resource<Batch>, Problem> {
    position.wait(&state, &["licenses", "accounts"]).await?;
    let batch = licenses::batch(&state.pool, &actor, BatchId(id)).await?.ok_or_else(|| Problem::not_found("batch"))?;
    Ok(Resource { sequence: batch.sequence.cast_unsigned(), body: batch.into() })
}
