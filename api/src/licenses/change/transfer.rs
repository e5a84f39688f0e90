//! `POST /v1/licenses/{id}/transfer`: hands it to another holder.

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

/// To whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The new holder as the vendor knows it, 1 to 200 characters, kept encrypted; `null` if it is nobody's any more.
    pub holder: Option<String>,
}

/// Hands a licence to another holder. Its machines go, its validity goes on.
///
/// # Errors
/// If the account has no right to it, it is over, or it changed its holder as often as its terms allow.
#[utoipa::path(post, path = "/v1/licenses/{id}/transfer", tag = "licenses", params(("id" = Uuid, Path)),
    request_body = Transfer, responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<Transfer>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.transfer");
    let done = state.commands.transfer_license(&context, LicenseId(id), command.body.holder.as_deref()).await?;
    Ok(observed(&state, done))
}
