//! `POST /v1/withdrawals/{id}/release`.

use axum::extract::State;
use quotary_domain::WithdrawalId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Withdrawal;
use crate::extract::{Amount, ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How much to let go on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseWithdrawal {
    /// In minor units; all of it if absent. What is not let go on returns to the requester.
    #[schema(value_type = Option<i64>, minimum = 1)]
    amount: Option<Amount>,
}

/// Lets a suspended withdrawal, or a part of it, go on to approval, which is another person's.
///
/// # Errors
/// `not-found`, `own-request`, `wrong-status`, `review-over`.
#[utoipa::path(post, path = "/v1/withdrawals/{id}/release", tag = "withdrawals",
    request_body(content = ReleaseWithdrawal, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ReleaseWithdrawal>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.release");
    let amount = command.body.amount.map(|amount| amount.0);
    let done = state.commands.release_withdrawal(&context, WithdrawalId(id), amount).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
