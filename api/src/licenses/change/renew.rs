//! `POST /v1/licenses/{id}/renew`: gives it more days.

use axum::extract::State;
use quotary_domain::LicenseId;
use quotary_domain::project::MAX_DURATION_DAYS;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::LicenseBody;
use super::observed;
use crate::extract::{ApiCommand, ApiPath, Whole};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// From 1 to 36,500.
    #[schema(value_type = u32, minimum = 1, maximum = 36_500)]
    pub days: Whole<1, MAX_DURATION_DAYS>,
}

/// Gives a licence more days.
///
/// # Errors
/// If the account has no right to it, or the licence's status does not allow it.
#[utoipa::path(post, path = "/v1/licenses/{id}/renew", tag = "licenses", params(("id" = Uuid, Path)), request_body = Renew,
    responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<Renew>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.renew");
    let done = state.commands.renew_license(&context, LicenseId(id), command.body.days.0).await?;
    Ok(observed(&state, done))
}
