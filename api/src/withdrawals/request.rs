//! `POST /v1/withdrawals`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::answer::Withdrawal;
use super::payee::{Payee, check};
use crate::extract::{Amount, ApiCommand};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A withdrawal of one's own quota.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestWithdrawal {
    /// More than zero, in minor units.
    #[schema(value_type = i64, minimum = 1)]
    amount: Amount,
    /// Bank details: 1 to 20 fields of text.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    payee: Payee,
}

/// Asks for quota to be paid out; the amount is held at once. The tenant's risk rules may suspend it until an admin lets
/// it go on.
///
/// # Errors
/// `insufficient-quota`, `limit-reached` beyond what can be asked for in a day.
#[utoipa::path(post, path = "/v1/withdrawals", tag = "withdrawals", request_body = RequestWithdrawal,
    responses((status = 201, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<RequestWithdrawal>,
) -> Result<Reply<Withdrawal>, Problem> {
    let context = command.context("withdrawal.request");
    check(&command.body.payee)?;
    let payee = serde_json::to_string(&command.body.payee).map_err(|error| Problem::internal(&error))?;
    let done = state.commands.request_withdrawal(&context, command.body.amount.0, Zeroizing::new(payee)).await?;
    let answer = Withdrawal::after(&state, &command, &done.value).await?;
    let (id, sequence) = (answer.id, done.value.sequence);
    Ok(Reply::new(done, |_| answer).etag(sequence).created(format!("/v1/withdrawals/{id}")))
}
