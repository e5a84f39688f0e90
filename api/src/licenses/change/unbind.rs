//! `POST /v1/licenses/{id}/unbind`: clears its bindings.

use axum::extract::State;
use quotary_domain::LicenseId;
use uuid::Uuid;

use super::super::LicenseBody;
use super::observed;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Clears the bindings of a used, unexpired licence; its validity goes on.
///
/// # Errors
/// If the account has no right to it, or the licence's status does not allow it.
#[utoipa::path(post, path = "/v1/licenses/{id}/unbind", tag = "licenses", params(("id" = Uuid, Path)), request_body = NoBody,
    responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.unbind");
    let done = state.commands.unbind_license(&context, LicenseId(id)).await?;
    Ok(observed(&state, done))
}
