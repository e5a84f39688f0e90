//! `POST /v1/quota/transfers/{id}/refuse`.

use axum::extract::State;
use quotary_commands::{CommandError, Refusal};
use quotary_domain::{Actor, JournalId};
use quotary_projections::movements;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::movement::Transfer;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::{Code, Problem};
use crate::reply::Reply;
use crate::state::AppState;

/// Why it is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseTransfer {
    /// For those concerned, at most 500 characters.
    reason: Option<String>,
}

/// Gives the amount of a suspended transfer or top-up back. Who may decide is as for its release.
///
/// # Errors
/// `not-found`, `transfer-not-suspended`, `second-person-required`.
#[utoipa::path(post, path = "/v1/quota/transfers/{id}/refuse", tag = "quota",
    request_body(content = RefuseTransfer, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The transfer")),
    responses((status = 200, description = "The transfer", body = Transfer)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RefuseTransfer>,
) -> Result<Reply<Transfer>, Problem> {
    let (context, id) = (command.context("quota.refuse_transfer"), JournalId(id));
    match state.commands.refuse_transfer(&context, id, command.body.reason.clone()).await {
        Ok(done) => {
            let sequence = done.value.sequence;
            Ok(Reply::new(done, Transfer::from).etag(sequence))
        }
        Err(error) => Err(check_suspended(&state, &command.actor, id, error).await.rename("/note", "/reason")),
    }
}

/// The problem of a decision that was not taken. A transfer that completed at once has no stream of its own: whoever sees
/// it is told that it is not suspended rather than that it does not exist.
pub(super) async fn check_suspended(
    state: &AppState,
    actor: &Actor,
    id: JournalId,
    error: CommandError<Refusal>,
) -> Problem {
    if !matches!(error, CommandError::Refused(Refusal::NotFound("transfer"))) {
        return error.into();
    }
    match movements::get(&state.pool, actor, id).await {
        Ok(Some(movement)) if movement.review.is_none() => {
            Problem::new(Code::TransferNotSuspended, format!("the transfer is {}", movement.status))
        }
        Ok(_) => error.into(),
        Err(error) => error.into(),
    }
}
