//! `GET /v1/quota/accounts/{agent_id}/statement`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use quotary_domain::AccountId;
use quotary_projections::statement_walk;
use quotary_projections::statements::{self, Amounts, StatementLine};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::account::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging, Time};
use crate::problem::Problem;
use crate::state::AppState;

/// Which period.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Period {
    /// The beginning (included), in RFC 3339; the very beginning if absent.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) from: Option<Time>,
    /// The end (not included), in RFC 3339; none if absent.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) to: Option<Time>,
    /// How many lines at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    pub(crate) limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Available and held quota, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balances {
    /// What can be spent.
    available: i64,
    /// What is reserved.
    held: i64,
}

impl From<Amounts> for Balances {
    fn from(Amounts { available, held }: Amounts) -> Self {
        Self { available, held }
    }
}

/// A movement on a statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct Posting {
    /// Where it stands in the log.
    position: u64,
    /// The movement.
    journal_id: Uuid,
    /// What kind of movement it is, e.g. `transfer`.
    kind: String,
    /// What it changed.
    change: Balances,
    /// The balance after it.
    balance: Balances,
    /// What `source_id` is: `batch`, `withdrawal`, `agent`, `hold` or `top_up`.
    source_kind: String,
    /// What it is about.
    source_id: Uuid,
    /// The other agent, if there is one.
    counterparty: Option<Uuid>,
    /// The account on the other side that is no agent's, e.g. `issuance`.
    counter_account: Option<String>,
    /// A remark.
    note: Option<String>,
    /// Who did it.
    actor: Option<String>,
    /// When it happened.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

impl From<StatementLine> for Posting {
    fn from(line: StatementLine) -> Self {
        Self {
            position: line.position,
            journal_id: line.journal_id.0,
            kind: line.kind,
            change: line.change.into(),
            balance: line.balance.into(),
            source_kind: line.source_kind,
            source_id: line.source_id,
            counterparty: line.counterparty.map(|id| id.0),
            counter_account: line.counter_account,
            note: line.note,
            actor: line.actor,
            occurred_at: line.occurred_at,
            recorded_at: line.recorded_at,
        }
    }
}

/// A page of a statement; every page has the period's opening and closing balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaStatement {
    /// Whose it is.
    agent_id: Uuid,
    /// The beginning, included.
    from: DateTime<Utc>,
    /// The end, not included.
    to: DateTime<Utc>,
    /// The balance before the first movement.
    opening: Balances,
    /// The balance after the last movement.
    closing: Balances,
    /// The movements of this page, by when they happened.
    items: Vec<Posting>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The end of all periods.
pub(crate) fn end_of_time() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(9999, 12, 31).map_or(DateTime::<Utc>::MAX_UTC, |day| day.and_time(NaiveTime::MIN).and_utc())
}

/// The period that two parameters name.
pub(crate) fn bounds(from: Option<Time>, to: Option<Time>) -> Result<statement_walk::Period, Problem> {
    let from = from.map_or(DateTime::UNIX_EPOCH, |time| time.0);
    let to = to.map_or_else(end_of_time, |time| time.0);
    if from > to {
        return Err(Problem::parameter("from", "must not be after the end"));
    }
    Ok(statement_walk::Period { from, to })
}

/// An agent's statement: the movements of a period with running balance.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/quota/accounts/{agent_id}/statement", tag = "quota",
    params(("agent_id" = Uuid, Path, description = "The agent"), Period),
    responses((status = 200, description = "A page of the statement", body = QuotaStatement)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(period): ApiQuery<Period>,
) -> Result<Json<QuotaStatement>, Problem> {
    let Period { from, to, limit, cursor } = period;
    let page = Paging { limit, cursor }.request()?;
    let statement_walk::Period { from, to } = bounds(from, to)?;
    let agent = visible(&state, &actor, position, AccountId(id)).await?;
    let found = statements::statement(&state.pool, actor.tenant_id, agent, from, to, &page).await?;
    Ok(Json(QuotaStatement {
        agent_id: id,
        from,
        to,
        opening: found.opening.into(),
        closing: found.closing.into(),
        items: found.lines.items.into_iter().map(Posting::from).collect(),
        next_cursor: found.lines.next_cursor,
    }))
}
