//! `GET /v1/audit/checkpoint`.

use axum::extract::State;
use axum::response::Response;

use super::seal;
use crate::extract::MinPosition;
use crate::problem::Problem;
use crate::state::AppState;

/// The last checkpoint of the log: a signed note as `c2sp.org/tlog-checkpoint` has it. Keep it; it proves later that the
/// log only grew. With `Quotary-Min-Position` it is one that covers that position.
///
/// # Errors
/// `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/checkpoint", tag = "audit",
    responses((status = 200, description = "The checkpoint", body = String, content_type = "text/plain")))]
pub async fn handle(State(state): State<AppState>, asked: MinPosition) -> Result<Response, Problem> {
    Ok(seal::text(seal::published(&state, asked).await?.note))
}
