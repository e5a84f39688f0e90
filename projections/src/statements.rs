//! Questions to the ledger over a period: statements, statistics and the trial balance of a tenant.
//!
//! Every answer comes from one statement and so from one state of the ledger: opening, lines and closing always add up.

use chrono::{DateTime, NaiveDate, Utc};
use quotary_domain::{AccountId, Actor, JournalId, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::ledger::start_of_day;
use crate::page::{Page, PageError, PageRequest};
use crate::visibility::push_visible;

/// Available and held quota, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
}

/// One movement on an agent's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Where the event stands in the log.
    pub position: u64,
    /// The movement.
    pub journal_id: JournalId,
    /// What kind of movement it is, e.g. `transfer`.
    pub kind: String,
    /// What it changed.
    pub change: Amounts,
    /// The balance after it, in the order of the statement.
    pub balance: Amounts,
    /// What `source_id` is: `batch`, `withdrawal`, `agent`, `hold` or `top_up`.
    pub source_kind: String,
    /// What it is about.
    pub source_id: Uuid,
    /// The other agent, if there is one.
    pub counterparty: Option<AccountId>,
    /// The account on the other side that is no agent's, e.g. `issuance`.
    pub counter_account: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What moved on an agent's accounts from `from` (included) to `to` (not included).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The balance before the first movement of the period.
    pub opening: Amounts,
    /// The balance after the last movement of the period.
    pub closing: Amounts,
    /// The movements of this page, by when they happened.
    pub lines: Page<StatementLine>,
}

/// An agent's statement of a period, a page at a time; the first page and every other carry the period's opening and
/// closing balance.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn statement(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    agent: AccountId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    request: &PageRequest,
) -> Result<Statement, PageError> {
    let after: Option<(DateTime<Utc>, i64)> = request.after()?;
    // The first line that this page may show: one position on from the last shown.
    let (start, position) = after.map_or((from, 0), |(time, position)| (time, position.saturating_add(1)));
    let rows = sqlx::query(STATEMENT)
        .bind(tenant.0)
        .bind(agent.0)
        .bind(from)
        .bind(from.date_naive())
        .bind(start_of_day(from))
        .bind(start)
        .bind(position)
        .bind(to)
        .bind(request.fetch())
        .fetch_all(db)
        .await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let opening = amounts(first, "opening_available", "opening_held")?;
    let closing = amounts(first, "closing_available", "closing_held")?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(position) = row.try_get::<Option<i64>, _>("position")? {
            let balance = amounts(row, "available_after", "held_after")?;
            lines.push(line(row, position, balance)?);
        }
    }
    let lines = request.page(lines, |line| (line.occurred_at, line.position));
    Ok(Statement { opening, closing, lines })
}

const STATEMENT: &str = "
with opening as (
    -- Whole days from the daily sums, the rest of the day from its entries.
    select coalesce(sum(available), 0)::bigint as available, coalesce(sum(held), 0)::bigint as held
    from (
        select available, held from read.quota_daily where tenant_id = $1 and agent_id = $2 and day < $4
        union all
        select available, held from read.entries
        where tenant_id = $1 and agent_id = $2 and occurred_at >= $5 and occurred_at < $3
    ) earlier
), within as (
    select coalesce(sum(available), 0)::bigint as available, coalesce(sum(held), 0)::bigint as held,
           coalesce(sum(available) filter (where (occurred_at, position) < ($6, $7)), 0)::bigint as available_before,
           coalesce(sum(held) filter (where (occurred_at, position) < ($6, $7)), 0)::bigint as held_before
    from read.entries
    where tenant_id = $1 and agent_id = $2 and occurred_at >= $3 and occurred_at < $8
)
select o.available as opening_available, o.held as opening_held,
       o.available + w.available as closing_available, o.held + w.held as closing_held,
       (o.available + w.available_before + sum(e.available) over running)::bigint as available_after,
       (o.held + w.held_before + sum(e.held) over running)::bigint as held_after,
       e.*
from opening o cross join within w
left join lateral (
    select position, journal_id, kind, available, held, source_kind, source_id, counterparty, counter_account, note,
           actor, occurred_at, recorded_at
    from read.entries
    where tenant_id = $1 and agent_id = $2 and occurred_at >= $3 and occurred_at < $8
      and (occurred_at, position) >= ($6, $7)
    order by occurred_at, position
    limit $9
) e on true
window running as (order by e.occurred_at, e.position)
order by e.occurred_at, e.position
";

fn amounts(row: &PgRow, available: &str, held: &str) -> Result<Amounts, sqlx::Error> {
    Ok(Amounts { available: row.try_get(available)?, held: row.try_get(held)? })
}

pub(crate) fn line(row: &PgRow, position: i64, balance: Amounts) -> Result<StatementLine, sqlx::Error> {
    Ok(StatementLine {
        position: position.cast_unsigned(),
        journal_id: JournalId(row.try_get("journal_id")?),
        kind: row.try_get("kind")?,
        change: amounts(row, "available", "held")?,
        balance,
        source_kind: row.try_get("source_kind")?,
        source_id: row.try_get("source_id")?,
        counterparty: row.try_get::<Option<Uuid>, _>("counterparty")?.map(AccountId),
        counter_account: row.try_get("counter_account")?,
        note: row.try_get("note")?,
        actor: row.try_get("actor")?,
        occurred_at: row.try_get("occurred_at")?,
        recorded_at: row.try_get("recorded_at")?,
    })
}

/// The sum of one kind of account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSum {
    /// `available`, `held`, `issuance`, `sales`, `transit` or `paid_out`.
    pub account: String,
    /// In minor units; more than zero is a credit.
    pub balance: i64,
}

/// A tenant's whole ledger by kind of account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialBalance {
    /// One sum per kind of account that was ever used.
    pub accounts: Vec<AccountSum>,
    /// The sum of all; anything but zero is an error of the system.
    pub total: i64,
}

/// The trial balance of a tenant. The agents' side comes from their balances, the other side from its own sums.
///
/// # Errors
/// If the database refuses.
pub async fn trial_balance(db: impl PgExecutor<'_>, tenant: TenantId) -> Result<TrialBalance, sqlx::Error> {
    let rows = sqlx::query(
        "select 'available' as account, sum(available)::bigint as balance from read.balances where tenant_id = $1
         having count(*) > 0
         union all
         select 'held', sum(held)::bigint from read.balances where tenant_id = $1 having count(*) > 0
         union all
         select split_part(account, ':', 1) as kind, sum(balance)::bigint from read.ledger_totals
         where tenant_id = $1 group by kind
         order by account",
    )
    .bind(tenant.0)
    .fetch_all(db)
    .await?;
    let accounts = rows
        .iter()
        .map(|row| Ok(AccountSum { account: row.try_get("account")?, balance: row.try_get("balance")? }))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let total = accounts.iter().map(|sum| sum.balance).sum();
    Ok(TrialBalance { accounts, total })
}

/// The length of a statistic's periods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Days of UTC.
    #[default]
    Day,
    /// Months of UTC.
    Month,
}

/// What quota statistics are asked for.
#[derive(Clone, Debug, Default)]
pub struct QuotaStatsFilter {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub until: Option<NaiveDate>,
    /// One agent only.
    pub agent_id: Option<AccountId>,
    /// One kind of movement only, e.g. `issue`.
    pub kind: Option<String>,
    /// How to group.
    pub interval: Interval,
}

/// What moved of one kind in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaStat {
    /// The period's first day.
    pub period: NaiveDate,
    /// The kind of movement.
    pub kind: String,
    /// What agents got, in minor units.
    pub received: i64,
    /// What left agents.
    pub given: i64,
    /// What moved between available and held.
    pub moved: i64,
    /// How many movements of agents.
    pub entries: i64,
}

/// Quota statistics over the agents that `actor` may see, by when things happened. Visibility also reads the read model
/// `accounts`.
///
/// # Errors
/// If the database refuses.
pub async fn quota_stats(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &QuotaStatsFilter,
) -> Result<Vec<QuotaStat>, sqlx::Error> {
    let period = match filter.interval {
        Interval::Day => "d.day",
        Interval::Month => "date_trunc('month', d.day)::date",
    };
    let mut query = QueryBuilder::<Postgres>::new(format!(
        "select {period} as period, d.kind, sum(d.received)::bigint as received, sum(d.given)::bigint as given,
                sum(d.moved)::bigint as moved, sum(d.entries)::bigint as entries
         from read.quota_daily d where "
    ));
    push_visible(&mut query, actor, "d");
    if let Some(from) = filter.from {
        query.push(" and d.day >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and d.day <= ").push_bind(until);
    }
    if let Some(agent) = filter.agent_id {
        query.push(" and d.agent_id = ").push_bind(agent.0);
    }
    if let Some(kind) = &filter.kind {
        query.push(" and d.kind = ").push_bind(kind);
    }
    query.push(" group by 1, 2 order by 1, 2");
    let rows = query.build().fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(QuotaStat {
                period: row.try_get("period")?,
                kind: row.try_get("kind")?,
                received: row.try_get("received")?,
                given: row.try_get("given")?,
                moved: row.try_get("moved")?,
                entries: row.try_get("entries")?,
            })
        })
        .collect()
}
