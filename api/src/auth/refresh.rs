//! `POST /v1/auth/refresh`.

use axum::Json;
use axum::extract::State;
use quotary_commands::clock;
use serde::Deserialize;
use utoipa::ToSchema;

use super::session::Session;
use crate::extract::{ApiJson, Secret};
use crate::problem::Problem;
use crate::state::AppState;

/// The session to go on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The refresh token of the last answer.
    #[schema(value_type = String)]
    pub(super) refresh_token: Secret,
}

/// Goes on with a session. A refresh token is good for one use; a second use ends the session.
///
/// # Errors
/// `invalid-refresh-token`.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, description = "The session", body = Session)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiJson(body): ApiJson<RefreshToken>,
) -> Result<Json<Session>, Problem> {
    let done = state.commands.refresh(&body.refresh_token.0, clock::now()).await?;
    Ok(Json(Session::begin(&state, &done)?))
}
