//! `GET /v1/stats/quota`: what moved in quota, by day or month and kind of movement.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use quotary_domain::AccountId;
use quotary_projections::ledger;
use quotary_projections::statements::{Interval, QuotaStat, QuotaStatsFilter, quota_stats};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::period::{Rows, check};
use crate::extract::{ApiQuery, Authed, MinPosition, storable};
use crate::problem::Problem;
use crate::state::AppState;

/// By what movements are added up.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// UTC days.
    #[default]
    Day,
    /// Months of UTC.
    Month,
}

/// What the statistics are narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuotaStatsQuery {
    /// The first day (UTC).
    pub from: Option<NaiveDate>,
    /// The last day (UTC).
    pub to: Option<NaiveDate>,
    /// `day` or `month`; `day` if absent.
    #[param(value_type = Option<String>)]
    pub group: Option<Group>,
    /// One agent only.
    pub agent_id: Option<Uuid>,
    /// One kind of movement only, e.g. `transfer`.
    pub kind: Option<String>,
}

/// What moved of one kind in one period, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaPeriod {
    /// The first day of the period.
    pub period: NaiveDate,
    /// The kind of movement.
    pub kind: String,
    /// What agents got.
    pub received: i64,
    /// What left agents.
    pub given: i64,
    /// What moved between available and held.
    pub moved: i64,
    /// How many movements of agents.
    pub entries: i64,
}

impl From<QuotaStat> for QuotaPeriod {
    fn from(stat: QuotaStat) -> Self {
        let QuotaStat { period, kind, received, given, moved, entries } = stat;
        Self { period, kind, received, given, moved, entries }
    }
}

/// What moved in the quota that the account may see, earliest period first.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/stats/quota", tag = "stats", params(QuotaStatsQuery),
    responses((status = 200, description = "The periods in which something moved", body = Rows<QuotaPeriod>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<QuotaStatsQuery>,
    position: MinPosition,
) -> Result<Json<Rows<QuotaPeriod>>, Problem> {
    check(query.from, query.to)?;
    storable("kind", query.kind.as_deref())?;
    position.wait(&state, &[ledger::NAME, "accounts"]).await?;
    let filter = QuotaStatsFilter {
        from: query.from,
        until: query.to,
        agent_id: query.agent_id.map(AccountId),
        kind: query.kind,
        interval: match query.group.unwrap_or_default() {
            Group::Day => Interval::Day,
            Group::Month => Interval::Month,
        },
    };
    let periods = quota_stats(&state.pool, &actor, &filter).await?;
    Ok(Json(Rows { items: periods.into_iter().map(QuotaPeriod::from).collect() }))
}
