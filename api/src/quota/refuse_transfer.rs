//! `POST /v1/quota/transfers/{id}/refuse`.

use axum::Json;
use axum::extract::State;
use quotary_domain::JournalId;
use uuid::Uuid;

use super::get_transfer::visible;
use super::movement::Transfer;
use crate::extract::{ApiCommand, ApiPath, MinPosition, NoBody};
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// Gives the amount of a suspended transfer back. Transfers complete at once unless a rule suspends them.
///
/// # Errors
/// `not-found`, `transfer-not-suspended`.
#[utoipa::path(post, path = "/v1/quota/transfers/{id}/refuse", tag = "quota",
    params(("id" = Uuid, Path, description = "The transfer")),
    responses((status = 200, description = "The transfer", body = Transfer)))]
pub async fn handle(
    State(state): State<AppState>,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Json<Transfer>, Problem> {
    let transfer = visible(&state, &command.actor, position, JournalId(id)).await?;
    let detail = format!("the transfer is {}", transfer.status);
    Err(Problem::new(Code::TransferNotSuspended, detail))
}
