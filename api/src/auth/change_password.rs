//! `POST /v1/auth/password/change`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::extract::{ApiCommand, Secret};
use crate::problem::{Code, Problem};
use crate::reply::Reply;
use crate::state::AppState;

/// The present and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    /// The new one: 10 to 128 characters, at least 4 of them different.
    #[schema(value_type = String, format = Password)]
    new_password: Secret,
}

/// Changes one's own password and ends all of one's sessions.
///
/// # Errors
/// `wrong-password`, `validation-failed`.
#[utoipa::path(post, path = "/v1/auth/password/change", tag = "auth", request_body = ChangePassword,
    responses((status = 204, description = "The password is changed; log in anew")))]
pub async fn handle(State(state): State<AppState>, command: ApiCommand<ChangePassword>) -> Result<Reply<()>, Problem> {
    let mut context = command.context("account.change_password");
    // A repeat would be checked against the new password, so there is nothing to replay.
    context.idempotency = None;
    let ApiCommand { actor, body: ChangePassword { current_password, new_password }, .. } = command;
    if current_password.0.chars().count() > 1_000 {
        return Err(Problem::of(Code::WrongPassword));
    }
    let done = state.commands.change_password(&context, current_password.0, new_password.0).await;
    state.sessions.forget(actor.account_id).await;
    let done = done.map_err(|error| Problem::from(error).rename("/password", "/new_password"))?;
    Ok(Reply::no_content(&done))
}
