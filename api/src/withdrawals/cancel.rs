//! `POST /v1/withdrawals/{id}/cancel`.

use axum::extract::State;
use quotary_domain::WithdrawalId;
use uuid::Uuid;

use super::answer::Withdrawal;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Takes a withdrawal of one's own back before it is decided on: the held amount returns.
///
/// # Errors
/// `not-found`, `forbidden`, `wrong-status`.
#[utoipa::path(post, path = "/v1/withdrawals/{id}/cancel", tag = "withdrawals",
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.cancel");
    let done = state.commands.cancel_withdrawal(&context, WithdrawalId(id)).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
