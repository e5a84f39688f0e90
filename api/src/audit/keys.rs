//! `GET /v1/audit/keys`.

use axum::extract::State;
use axum::response::Response;
use quotary_projections::seal as stored;

use super::seal;
use crate::extract::MinPosition;
use crate::problem::Problem;
use crate::state::AppState;

/// The keys that sign checkpoints, and from when to when: every issue of the list as a signed note, an empty line between
/// them.
///
/// # Errors
/// `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/keys", tag = "audit",
    responses((status = 200, description = "The list's issues", body = String, content_type = "text/plain")))]
pub async fn handle(State(state): State<AppState>, asked: MinPosition) -> Result<Response, Problem> {
    seal::published(&state, asked).await?;
    Ok(seal::text(stored::keys(&state.pool).await?.join("\n")))
}
