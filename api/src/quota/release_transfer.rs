//! `POST /v1/quota/transfers/{id}/release`.

use axum::Json;
use axum::extract::State;
use quotary_domain::JournalId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::get_transfer::visible;
use super::movement::Transfer;
use crate::extract::{Amount, ApiCommand, ApiPath, MinPosition};
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// How much to let go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTransfer {
    /// In minor units; all of it if absent.
    #[schema(value_type = Option<i64>, minimum = 1)]
    #[expect(dead_code, reason = "no rule suspends transfers yet, so there is never anything to release")]
    amount: Option<Amount>,
}

/// Lets a suspended transfer, or a part of it, go on. Transfers complete at once unless a rule suspends them.
///
/// # Errors
/// `not-found`, `transfer-not-suspended`.
#[utoipa::path(post, path = "/v1/quota/transfers/{id}/release", tag = "quota",
    request_body(content = ReleaseTransfer, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The transfer")),
    responses((status = 200, description = "The transfer", body = Transfer)))]
pub async fn handle(
    State(state): State<AppState>,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ReleaseTransfer>,
) -> Result<Json<Transfer>, Problem> {
    let transfer = visible(&state, &command.actor, position, JournalId(id)).await?;
    let detail = format!("the transfer is {}", transfer.status);
    Err(Problem::new(Code::TransferNotSuspended, detail))
}
