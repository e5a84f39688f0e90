//! `GET /v1/stats/licenses`: what happened to licences, by day, month or year.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use quotary_domain::{AccountId, PlanId, ProjectId};
use quotary_projections::license_stats::{self, LicenseStats, Period, StatsFilter, StatsQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::period::{Rows, check};
use crate::extract::{ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// What the statistics are narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LicenseStatsQuery {
    /// The first day (UTC).
    pub from: Option<NaiveDate>,
    /// The last day (UTC).
    pub to: Option<NaiveDate>,
    /// `day`, `month` or `year`; `day` if absent.
    #[param(value_type = Option<String>)]
    pub group: Option<Period>,
    /// One project only.
    pub project_id: Option<Uuid>,
    /// One plan only.
    pub plan_id: Option<Uuid>,
    /// One agent only.
    pub agent_id: Option<Uuid>,
}

/// What happened to licences in a period.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicensePeriod {
    /// The first day of the period.
    pub period: NaiveDate,
    pub issued: i64,
    pub exported: i64,
    pub activated: i64,
    pub unbound: i64,
    pub disabled: i64,
    pub revoked: i64,
    pub renewed: i64,
}

impl From<LicenseStats> for LicensePeriod {
    fn from(stats: LicenseStats) -> Self {
        let LicenseStats { period, issued, exported, activated, unbound, disabled, revoked, renewed } = stats;
        Self { period, issued, exported, activated, unbound, disabled, revoked, renewed }
    }
}

/// What happened to the licences that the account may see, earliest period first; at most 5,000 periods.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/stats/licenses", tag = "stats", params(LicenseStatsQuery),
    responses((status = 200, description = "The periods in which something happened", body = Rows<LicensePeriod>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<LicenseStatsQuery>,
    position: MinPosition,
) -> Result<Json<Rows<LicensePeriod>>, Problem> {
    check(query.from, query.to)?;
    position.wait(&state, &["license_stats", "accounts"]).await?;
    let filter = StatsFilter {
        project_id: query.project_id.map(ProjectId),
        plan_id: query.plan_id.map(PlanId),
        agent_id: query.agent_id.map(AccountId),
        from: query.from,
        to: query.to,
    };
    let question = StatsQuery { by: query.group.unwrap_or(Period::Day), filter };
    let periods = license_stats::stats(&state.pool, &actor, &question).await?;
    Ok(Json(Rows { items: periods.into_iter().map(LicensePeriod::from).collect() }))
}
