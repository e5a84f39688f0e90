//! Questions about the statistics and the funnel, cut to what the actor may see.

use chrono::NaiveDate;
use quotary_domain::{AccountId, Actor, PlanId, ProjectId};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor, Postgres, QueryBuilder};

use crate::visibility::push_visible;

/// The most periods of one answer.
const MAX_PERIODS: i64 = 5_000;

/// What statistics are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// UTC days.
    Day,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
}

impl Period {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// What statistics are narrowed to; days are UTC, both ends included.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StatsFilter {
    pub project_id: Option<ProjectId>,
    pub plan_id: Option<PlanId>,
    pub agent_id: Option<AccountId>,
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// A question about statistics.
#[derive(Clone, Copy, Debug)]
pub struct StatsQuery {
    /// What the counts are added up by.
    pub by: Period,
    /// What they are narrowed to.
    pub filter: StatsFilter,
}

/// What happened to licences in a period.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicenseStats {
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

/// How far the licences issued in a time have come.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Funnel {
    pub issued: i64,
    /// Handed out.
    pub exported: i64,
    pub activated: i64,
    pub activated_within_7_days: i64,
}

impl Funnel {
    /// The part of the issued that was handed out, from 0 to 1; `None` if none was issued.
    #[must_use]
    pub fn exported_rate(&self) -> Option<f64> {
        rate(self.exported, self.issued)
    }

    /// The part of the issued that was activated, from 0 to 1; a key may be activated without a recorded hand-out, so
    /// this is no part of the exported.
    #[must_use]
    pub fn activated_rate(&self) -> Option<f64> {
        rate(self.activated, self.issued)
    }

    /// The part of the issued that was activated within 7 days, from 0 to 1.
    #[must_use]
    pub fn activated_within_7_days_rate(&self) -> Option<f64> {
        rate(self.activated_within_7_days, self.issued)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of licences stay far below 2^53")]
fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn push_filter(query: &mut QueryBuilder<'_, Postgres>, actor: &Actor, filter: &StatsFilter) {
    push_visible(query, actor, "s");
    if let Some(project_id) = filter.project_id {
        query.push(" and s.project_id = ").push_bind(project_id.0);
    }
    if let Some(plan_id) = filter.plan_id {
        query.push(" and s.plan_id = ").push_bind(plan_id.0);
    }
    if let Some(agent_id) = filter.agent_id {
        query.push(" and s.agent_id = ").push_bind(agent_id.0);
    }
    if let Some(from) = filter.from {
        query.push(" and s.day >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" and s.day <= ").push_bind(to);
    }
}

/// What happened to licences by period, the latest `MAX_PERIODS` of them, earliest first.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn stats(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    question: &StatsQuery,
) -> Result<Vec<LicenseStats>, sqlx::Error> {
    let mut query = QueryBuilder::new("select date_trunc(");
    query.push_bind(question.by.as_str());
    query.push(
        ", s.day::timestamp)::date as period,
           sum(s.issued)::bigint as issued, sum(s.exported)::bigint as exported,
           sum(s.activated)::bigint as activated, sum(s.unbound)::bigint as unbound,
           sum(s.disabled)::bigint as disabled, sum(s.revoked)::bigint as revoked, sum(s.renewed)::bigint as renewed
         from read.license_days s where ",
    );
    push_filter(&mut query, actor, &question.filter);
    query.push(" group by 1 order by 1 desc limit ").push_bind(MAX_PERIODS);
    let mut rows: Vec<LicenseStats> = query.build_query_as().fetch_all(database).await?;
    rows.reverse();
    Ok(rows)
}

/// How far the licences have come that were issued in the days of the filter.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn funnel(database: impl PgExecutor<'_>, actor: &Actor, filter: &StatsFilter) -> Result<Funnel, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "select coalesce(sum(s.issued), 0)::bigint as issued, coalesce(sum(s.exported), 0)::bigint as exported,
                coalesce(sum(s.activated), 0)::bigint as activated,
                coalesce(sum(s.activated_within_7_days), 0)::bigint as activated_within_7_days
         from read.license_cohorts s where ",
    );
    push_filter(&mut query, actor, filter);
    query.build_query_as().fetch_one(database).await
}
