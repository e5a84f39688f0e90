//! `POST /v1/licenses/{id}/enable`: enables it again.

use axum::extract::State;
use quotary_domain::LicenseId;
use uuid::Uuid;

use super::super::LicenseBody;
use super::observed;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Enables a licence again.
///
/// # Errors
/// If the account has no right to it, or the licence's status does not allow it.
#[utoipa::path(post, path = "/v1/licenses/{id}/enable", tag = "licenses", params(("id" = Uuid, Path)), request_body = NoBody,
    responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.enable");
    let done = state.commands.enable_license(&context, LicenseId(id)).await?;
    Ok(observed(&state, done))
}
