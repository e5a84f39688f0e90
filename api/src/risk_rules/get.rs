//! `GET /v1/risk-rules`.

use axum::extract::State;
use quotary_domain::risk::RiskPolicy;

use super::body::RiskRules;
use crate::extract::{Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// The tenant's rules as they are now. Who set which rules when stands in the log, under `RiskPolicy`.
///
/// # Errors
/// Only those that every query has.
#[utoipa::path(get, path = "/v1/risk-rules", tag = "risk rules",
    responses((status = 200, description = "All rules", body = RiskRules)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
) -> Result<Resource<RiskRules>, Problem> {
    // They are read from the log itself, which has every position there is.
    position.wait(&state, &[]).await?;
    let policy = state.commands.log().current::<RiskPolicy>(actor.tenant_id, actor.tenant_id).await?;
    let (policy, sequence) = policy.unwrap_or_default();
    Ok(Resource { sequence, body: policy.rules.into() })
}
