//! `POST /v1/withdrawals/{id}/approve`.

use axum::extract::State;
use quotary_domain::WithdrawalId;
use uuid::Uuid;

use super::answer::Withdrawal;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Approves a withdrawal: the held amount leaves. Nobody approves a request of one's own, nor one that one released from
/// a suspension.
///
/// # Errors
/// `not-found`, `own-request`, `second-person-required`, `wrong-status`.
#[utoipa::path(post, path = "/v1/withdrawals/{id}/approve", tag = "withdrawals",
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.approve");
    let done = state.commands.approve_withdrawal(&context, WithdrawalId(id)).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
