//! `POST /v1/quota/top-ups`.

use axum::extract::State;
use quotary_domain::AccountId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::movement::Transfer;
use crate::extract::{Amount, ApiCommand};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A top-up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// Who gets it.
    agent_id: Uuid,
    /// More than zero, in minor units.
    #[schema(value_type = i64, minimum = 1)]
    amount: Amount,
    /// A remark for the statement, at most 500 characters.
    note: Option<String>,
}

/// Gives quota to an agent below: a super admin's comes from the tenant, an agent admin pays with its own. The tenant's
/// risk rules may suspend it until another admin decides.
///
/// # Errors
/// `not-found`, `insufficient-quota`, `account-disabled`.
#[utoipa::path(post, path = "/v1/quota/top-ups", tag = "quota", request_body = TopUp,
    responses((status = 201, description = "The top-up", body = Transfer)))]
pub async fn handle(State(state): State<AppState>, command: ApiCommand<TopUp>) -> Result<Reply<Transfer>, Problem> {
    let context = command.context("quota.top_up");
    let TopUp { agent_id, amount, note } = command.body;
    let done = state.commands.top_up(&context, AccountId(agent_id), amount.0, note).await?;
    let id = done.value.id;
    let reply = Reply::new(done, |made| {
        let parties = (made.paid_by.map(|id| id.0), made.agent_id.0);
        Transfer::made(made.id.0, "top_up", parties, made.amount, made.note, made.suspension)
    });
    Ok(reply.created(format!("/v1/quota/transfers/{id}")))
}
