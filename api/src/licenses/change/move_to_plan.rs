//! `POST /v1/licenses/{id}/move`: to another plan, or to the newest version of its own.

use axum::extract::State;
use quotary_domain::{LicenseId, PlanId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::LicenseBody;
use super::observed;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveToPlan {
    /// A plan of the licence's project, as it is now.
    pub plan_id: Uuid,
}

/// Moves a licence to a plan. A validity that has begun keeps its end, unless the plan is perpetual.
///
/// # Errors
/// If the account has no right to it, the plan is unknown, or it allows fewer machines than are bound.
#[utoipa::path(post, path = "/v1/licenses/{id}/move", tag = "licenses", params(("id" = Uuid, Path)), request_body = MoveToPlan,
    responses((status = 200, description = "The licence after it", body = LicenseBody)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<MoveToPlan>,
) -> Result<Reply<LicenseBody>, Problem> {
    let context = command.context("license.move");
    let done = state.commands.move_license(&context, LicenseId(id), PlanId(command.body.plan_id)).await?;
    Ok(observed(&state, done))
}
