//! `POST /v1/licenses/{id}/revoke`: ends it for good.

use axum::extract::State;
use quotary_domain::LicenseId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::LicenseBody;
use super::observed;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// At most 500 characters.
    pub reason: Option<String>,
}

/// Ends a licence for good; this node refuses it at once, all others within 250 ms.
///
/// # Errors
/// If the account has no right to it, or the licence's status does not allow it.
#[utoipa::path(post, path = "/v1/licenses/{id}/revoke", tag = "licenses", params(("id" = Uuid, Path)), request_body = Revoke,
    responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<Revoke>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.revoke");
    let done = state.commands.revoke_license(&context, LicenseId(id), command.body.reason).await?;
    Ok(observed(&state, done))
}
