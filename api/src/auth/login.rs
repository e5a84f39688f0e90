//! `POST /v1/auth/login`.

use axum::Json;
use axum::extract::State;
use quotary_commands::clock;
use serde::Deserialize;
use utoipa::ToSchema;

use super::session::Session;
use crate::extract::{ApiJson, Secret};
use crate::problem::Problem;
use crate::state::AppState;

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The tenant's name; may be left out if there is only one.
    tenant: Option<String>,
    /// The username or e-mail address.
    username: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Logs in. Five failures in a row lock the account for 15 minutes.
///
/// # Errors
/// `wrong-credentials`, `account-locked`.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, description = "The session", body = Session)))]
pub async fn handle(State(state): State<AppState>, ApiJson(login): ApiJson<Login>) -> Result<Json<Session>, Problem> {
    check("/username", &login.username)?;
    if let Some(tenant) = &login.tenant {
        check("/tenant", tenant)?;
    }
    if login.password.0.chars().count() > 1_000 {
        return Err(Problem::invalid("/password", "must have at most 1000 characters"));
    }
    let done = state.commands.log_in(login.tenant.as_deref(), &login.username, login.password.0, clock::now()).await?;
    Ok(Json(Session::begin(&state, &done)?))
}

/// Refuses names that nobody has and the database can't look for.
fn check(pointer: &str, name: &str) -> Result<(), Problem> {
    if (1..=254).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Problem::invalid(pointer, "must have 1 to 254 characters and no control characters"))
    }
}
