//! `POST /v1/withdrawals/{id}/mark-paid`.

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

/// How it was paid.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkPaid {
    /// The bank's reference, at most 500 characters.
    reference: Option<String>,
}

/// Marks an approved withdrawal as paid.
///
/// # Errors
/// `not-found`, `own-request`, `wrong-status`.
#[utoipa::path(post, path = "/v1/withdrawals/{id}/mark-paid", tag = "withdrawals",
    request_body(content = MarkPaid, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<MarkPaid>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.mark_paid");
    let reference = command.body.reference.clone();
    let done = state.commands.mark_withdrawal_paid(&context, WithdrawalId(id), reference).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
