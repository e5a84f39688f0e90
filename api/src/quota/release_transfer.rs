//! `POST /v1/quota/transfers/{id}/release`.

use axum::extract::State;
use quotary_domain::JournalId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::movement::Transfer;
use super::refuse_transfer::check_suspended;
use crate::extract::{Amount, ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How much to let go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTransfer {
    /// In minor units; all of it if absent. What is not let go returns to the giver.
    #[schema(value_type = Option<i64>, minimum = 1)]
    amount: Option<Amount>,
}

/// Lets a suspended transfer or top-up, or a part of it, go on. Only an admin who manages the giver and is no party
/// decides; a top-up by the tenant itself is released by another super admin.
///
/// # Errors
/// `not-found`, `transfer-not-suspended`, `review-over`, `second-person-required`, `account-disabled`.
#[utoipa::path(post, path = "/v1/quota/transfers/{id}/release", tag = "quota",
    request_body(content = ReleaseTransfer, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The transfer")),
    responses((status = 200, description = "The transfer", body = Transfer)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ReleaseTransfer>,
) -> Result<Reply<Transfer>, Problem> {
    let (context, id) = (command.context("quota.release_transfer"), JournalId(id));
    let amount = command.body.amount.map(|amount| amount.0);
    match state.commands.release_transfer(&context, id, amount).await {
        Ok(done) => {
            let sequence = done.value.sequence;
            Ok(Reply::new(done, Transfer::from).etag(sequence))
        }
        Err(error) => Err(check_suspended(&state, &command.actor, id, error).await),
    }
}
