//! `POST /v1/auth/logout`.

use axum::extract::State;
use axum::http::StatusCode;
use quotary_commands::clock;
use quotary_commands::session::tokens;

use super::refresh::RefreshToken;
use crate::extract::ApiJson;
use crate::problem::Problem;
use crate::state::AppState;

/// Ends a session: its refresh tokens are good no longer. An unknown token is nothing to end.
///
/// # Errors
/// If the database can't be written.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth", request_body = RefreshToken,
    responses((status = 204, description = "The session has ended")))]
pub async fn handle(
    State(state): State<AppState>,
    ApiJson(body): ApiJson<RefreshToken>,
) -> Result<StatusCode, Problem> {
    tokens::end(state.commands.log().pool(), &body.refresh_token.0, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
