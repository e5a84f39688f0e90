//! What a login and a refresh answer with.

use quotary_commands::clock;
use quotary_commands::session::log_in::LoggedIn;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::AppState;
use crate::tokens::{EXPIRES_IN_SECONDS, Scope};

/// An access token and the refresh token that continues the session.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// How long the access token is good, in seconds.
    pub expires_in: i64,
    /// Good for 7 days and one use.
    pub refresh_token: String,
    /// Whether the access token opens nothing but `POST /v1/auth/password/change` and `GET /v1/me`.
    pub must_change_password: bool,
}

impl Session {
    /// The answer to a login.
    pub(super) fn begin(state: &AppState, login: &LoggedIn) -> Result<Self, Problem> {
        let scope = login.must_change_password.then_some(Scope::PasswordChange);
        Ok(Self {
            access_token: state.tokens.load().issue(login.actor, scope, clock::now())?,
            token_type: "Bearer",
            expires_in: EXPIRES_IN_SECONDS,
            refresh_token: login.refresh.token.to_string(),
            must_change_password: login.must_change_password,
        })
    }
}
