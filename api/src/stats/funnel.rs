//! `GET /v1/stats/funnel`: how far the licences issued in a time have come.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use quotary_domain::{AccountId, PlanId, ProjectId};
use quotary_projections::license_stats::{self, StatsFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::period::check;
use crate::extract::{ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// Which licences.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FunnelQuery {
    /// Issued on this day (UTC) or later.
    pub from: Option<NaiveDate>,
    /// Issued on this day (UTC) or earlier.
    pub to: Option<NaiveDate>,
    /// One project only.
    pub project_id: Option<Uuid>,
    /// One plan only.
    pub plan_id: Option<Uuid>,
    /// One agent only.
    pub agent_id: Option<Uuid>,
}

/// How far licences have come; rates are from 0 to 1, null if none was issued.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunnelBody {
    /// Issued in the time.
    pub issued: i64,
    /// Of those, handed out.
    pub exported: i64,
    /// Of those issued, activated.
    pub activated: i64,
    /// Of those issued, activated within 7 days.
    pub activated_within_7_days: i64,
    /// Handed out, of the issued.
    pub exported_rate: Option<f64>,
    /// Activated, of the issued.
    pub activated_rate: Option<f64>,
    /// Activated within 7 days, of the issued.
    pub activated_within_7_days_rate: Option<f64>,
}

/// From issued over handed out to activated.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/stats/funnel", tag = "stats", params(FunnelQuery),
    responses((status = 200, description = "The funnel", body = FunnelBody)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<FunnelQuery>,
    position: MinPosition,
) -> Result<Json<FunnelBody>, Problem> {
    check(query.from, query.to)?;
    position.wait(&state, &["license_stats", "accounts"]).await?;
    let filter = StatsFilter {
        project_id: query.project_id.map(ProjectId),
        plan_id: query.plan_id.map(PlanId),
        agent_id: query.agent_id.map(AccountId),
        from: query.from,
        to: query.to,
    };
    let funnel = license_stats::funnel(&state.pool, &actor, &filter).await?;
    Ok(Json(FunnelBody {
        issued: funnel.issued,
        exported: funnel.exported,
        activated: funnel.activated,
        activated_within_7_days: funnel.activated_within_7_days,
        exported_rate: funnel.exported_rate(),
        activated_rate: funnel.activated_rate(),
        activated_within_7_days_rate: funnel.activated_within_7_days_rate(),
    }))
}
