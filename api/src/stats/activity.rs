//! `GET /v1/stats/activity`: how many commands were given, by day and type, and by hour of the week.
//!
//! Counts events and business steps of the audit trail by the time they were recorded, over at most 366 days.

use axum::Json;
use axum::extract::State;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use quotary_commands::clock;
use quotary_domain::{Actor, Role};
use quotary_projections::audit;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};

use super::period::check;
use crate::extract::{ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// The longest time, in days.
const MAX_DAYS: i64 = 366;
/// The time when the request does not say, in days.
const USUAL_DAYS: i64 = 30;

/// Which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// The first day (UTC); 29 days before the last if absent.
    pub from: Option<NaiveDate>,
    /// The last day (UTC); today if absent.
    pub to: Option<NaiveDate>,
}

/// The commands of one type on one day.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct DayActivity {
    /// The day (UTC).
    pub day: NaiveDate,
    /// The type of command, e.g. `quota.transfer`.
    pub command: String,
    /// How many business steps.
    pub commands: i64,
    /// How many events they led to.
    pub events: i64,
}

/// The commands in one hour of the week.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub struct HourActivity {
    /// 1 is Monday, 7 is Sunday (UTC).
    pub weekday: i32,
    /// 0 to 23 (UTC).
    pub hour: i32,
    /// How many business steps.
    pub commands: i64,
    /// How many events they led to.
    pub events: i64,
}

/// What was done when.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activity {
    /// By day and type, earliest first.
    pub days: Vec<DayActivity>,
    /// By hour of the week; hours without commands are left out.
    pub hours: Vec<HourActivity>,
}

/// What was done by the accounts that the account may see; what runs by itself counts for those who see everyone.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/stats/activity", tag = "stats", params(ActivityQuery),
    responses((status = 200, description = "What was done when", body = Activity)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<ActivityQuery>,
    position: MinPosition,
) -> Result<Json<Activity>, Problem> {
    check(query.from, query.to)?;
    let to = query.to.unwrap_or_else(|| clock::now().date_naive());
    let from = query.from.unwrap_or_else(|| to - TimeDelta::days(USUAL_DAYS - 1));
    if from > to || (to - from).num_days() >= MAX_DAYS {
        return Err(Problem::parameter("from", format!("must be at most {MAX_DAYS} days before to")));
    }
    position.wait(&state, &[audit::NAME, "accounts"]).await?;
    let (days, hours) = (by_day(&actor, from, to), by_hour(&actor, from, to));
    let (days, hours) = tokio::try_join!(fetch(&state.pool, days), fetch(&state.pool, hours))?;
    Ok(Json(Activity { days, hours }))
}

async fn fetch<T>(pool: &PgPool, mut query: QueryBuilder<'_, Postgres>) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    query.build_query_as().fetch_all(pool).await
}

/// A business step is what shares a correlation; without one, each event is a step of its own.
const COUNTS: &str = "count(distinct coalesce(t.correlation_id, t.position::text)) as commands, count(*) as events
    from read.audit_trail t where ";

fn by_day(actor: &Actor, from: NaiveDate, to: NaiveDate) -> QueryBuilder<'static, Postgres> {
    let mut query =
        QueryBuilder::new(format!("select (t.recorded_at at time zone 'utc')::date as day, t.command, {COUNTS}"));
    push_filter(&mut query, actor, from, to);
    query.push(" group by 1, 2 order by 1, 2");
    query
}

fn by_hour(actor: &Actor, from: NaiveDate, to: NaiveDate) -> QueryBuilder<'static, Postgres> {
    let mut query = QueryBuilder::new(format!(
        "select extract(isodow from t.recorded_at at time zone 'utc')::int as weekday,
                extract(hour from t.recorded_at at time zone 'utc')::int as hour, {COUNTS}"
    ));
    push_filter(&mut query, actor, from, to);
    query.push(" group by 1, 2 order by 1, 2");
    query
}

/// Cuts to the tenant, the days and what the actor may see.
fn push_filter(query: &mut QueryBuilder<'static, Postgres>, actor: &Actor, from: NaiveDate, to: NaiveDate) {
    let (start, end) = (from.and_time(NaiveTime::MIN).and_utc(), to.and_time(NaiveTime::MIN).and_utc());
    query.push("t.tenant_id = ").push_bind(actor.tenant_id.0);
    query.push(" and t.command is not null and t.recorded_at >= ").push_bind(start);
    query.push(" and t.recorded_at < ").push_bind(end + TimeDelta::days(1));
    let own = actor.account_id.to_string();
    match actor.role {
        Role::SuperAdmin | Role::Analyst | Role::Auditor => {}
        Role::Agent => {
            query.push(" and t.actor = ").push_bind(own);
        }
        Role::AgentAdmin => {
            query.push(" and t.actor in (select ").push_bind(own);
            query.push("::text union all select a.account_id::text from read.accounts a where a.tenant_id = ");
            query.push_bind(actor.tenant_id.0).push(" and a.ancestors @> array[");
            query.push_bind(actor.account_id.0).push("])");
        }
    }
}
