//! `POST /v1/withdrawals/{id}/refuse`.

use axum::extract::State;
use quotary_domain::WithdrawalId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Withdrawal;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Why it is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseWithdrawal {
    /// For the requester, at most 500 characters.
    reason: Option<String>,
}

/// Refuses a withdrawal: the held amount returns.
///
/// # Errors
/// `not-found`, `own-request`, `wrong-status`.
#[utoipa::path(post, path = "/v1/withdrawals/{id}/refuse", tag = "withdrawals",
    request_body(content = RefuseWithdrawal, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RefuseWithdrawal>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.refuse");
    let reason = command.body.reason.clone();
    let done = state.commands.refuse_withdrawal(&context, WithdrawalId(id), reason).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
