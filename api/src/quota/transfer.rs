//! `POST /v1/quota/transfers`.

use axum::extract::State;
use quotary_domain::account::Username;
use serde::Deserialize;
use utoipa::ToSchema;

use super::movement::Transfer;
use crate::extract::{Amount, ApiCommand};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendQuota {
    /// The receiver's username.
    #[schema(value_type = String)]
    to_username: Username,
    /// More than zero, in minor units.
    #[schema(value_type = i64, minimum = 1)]
    amount: Amount,
    /// A remark for both statements, at most 500 characters.
    note: Option<String>,
}

/// Transfers quota to another agent of the tenant. The tenant's risk rules may suspend it: the amount is held until an
/// admin decides.
///
/// # Errors
/// `not-found`, `insufficient-quota`, `account-disabled`.
#[utoipa::path(post, path = "/v1/quota/transfers", tag = "quota", request_body = SendQuota,
    responses((status = 201, description = "The transfer", body = Transfer)))]
pub async fn handle(State(state): State<AppState>, command: ApiCommand<SendQuota>) -> Result<Reply<Transfer>, Problem> {
    let context = command.context("quota.transfer");
    let SendQuota { to_username, amount, note } = command.body;
    let done = state
        .commands
        .transfer(&context, &to_username, amount.0, note)
        .await
        .map_err(|error| Problem::from(error).rename("/agent_id", "/to_username"))?;
    let id = done.value.id;
    let reply = Reply::new(done, |made| {
        let parties = (Some(made.from.0), made.to.0);
        Transfer::made(made.id.0, "transfer", parties, made.amount, made.note, made.suspension)
    });
    Ok(reply.created(format!("/v1/quota/transfers/{id}")))
}
