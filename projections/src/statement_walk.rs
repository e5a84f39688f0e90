//! A whole statement, however long, from one state of the ledger: for downloads.
//!
//! What must always hold: opening, lines and closing come from one snapshot (`repeatable read`), whatever is written
//! meanwhile; rows are read some at a time, so memory does not grow with their number; at the end what was read must be what
//! was summed up, or the walk fails. The snapshot ends with the walk.

use chrono::{DateTime, Utc};
use futures::stream::{self, Stream};
use quotary_domain::{AccountId, TenantId};
use sqlx::{Executor as _, PgPool, Postgres, Row, Transaction};

use crate::account_statements::{AccountLine, Ground, account_line, bind_key};
use crate::ledger::start_of_day;
use crate::ledger_account::AccountName;
use crate::page::EXPORT_LIMIT;
use crate::statements::{Amounts, StatementLine, line};

/// Why a walk ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The database refused.
    #[error("the ledger can't be read")]
    Database(#[from] sqlx::Error),
    /// The lines do not add up to the closing balance.
    #[error("the lines of the statement end at {found} where {expected} was summed up")]
    Sum {
        /// The closing balance.
        expected: i64,
        /// What opening and lines make.
        found: i64,
    },
    /// Another number of lines than was counted.
    #[error("the statement has {found} lines where {expected} were counted")]
    Count {
        /// What was counted.
        expected: u64,
        /// What was read.
        found: u64,
    },
}

/// Begins a snapshot that only reads. The server ends it if it hears nothing for two minutes: a process that is frozen must
/// not keep a read model from being exchanged.
///
/// # Errors
/// If the database refuses.
pub async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut snapshot = pool.begin().await?;
    snapshot
        .execute(
            "set transaction isolation level repeatable read, read only;
             set local idle_in_transaction_session_timeout = '120s'",
        )
        .await?;
    Ok(snapshot)
}

/// The period of a statement: from `from` (included) to `to` (not included), by when things happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The beginning.
    pub from: DateTime<Utc>,
    /// The end.
    pub to: DateTime<Utc>,
}

/// Where a walk stands.
struct Place {
    /// The sort key of the last line.
    after: Option<(DateTime<Utc>, i64)>,
    read: u64,
    count: u64,
    over: bool,
}

impl Place {
    fn new(count: i64) -> Self {
        Self { after: None, read: 0, count: count.cast_unsigned(), over: false }
    }

    /// From where on the next lines are read.
    fn start(&self, period: &Period) -> (DateTime<Utc>, i64) {
        self.after.map_or((period.from, 0), |(time, position)| (time, position.saturating_add(1)))
    }

    /// Notes what was read.
    fn step(&mut self, last: Option<(DateTime<Utc>, u64)>, lines: usize) {
        self.read += lines as u64;
        self.over = lines < EXPORT_LIMIT as usize;
        if let Some((time, position)) = last {
            self.after = Some((time, position.cast_signed()));
        }
    }

    /// Checks that exactly what was counted was read.
    fn check(&self) -> Result<(), WalkError> {
        if self.read == self.count { Ok(()) } else { Err(WalkError::Count { expected: self.count, found: self.read }) }
    }
}

/// What is read some lines at a time.
pub trait Walk: Sized + Send + 'static {
    /// A line.
    type Line: Send;

    /// The next lines; none at the end.
    ///
    /// # Errors
    /// [`WalkError`]; the lines so far are then not all.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Self::Line>, WalkError>> + Send;

    /// All lines, many at a time.
    fn lines(self) -> impl Stream<Item = Result<Vec<Self::Line>, WalkError>> + Send {
        stream::try_unfold(self, |mut walk| async move {
            let lines = walk.next().await?;
            Ok((!lines.is_empty()).then_some((lines, walk)))
        })
    }
}

fn check_sum(expected: i64, found: i64) -> Result<(), WalkError> {
    if expected == found { Ok(()) } else { Err(WalkError::Sum { expected, found }) }
}

/// The statement of one account, line after line.
pub struct AccountWalk {
    snapshot: Transaction<'static, Postgres>,
    tenant: TenantId,
    ground: Ground,
    period: Period,
    place: Place,
    /// The balance before the first line.
    pub opening: i64,
    /// The balance after the last line.
    pub closing: i64,
    running: i64,
}

impl AccountWalk {
    /// Sums the period up in a snapshot of its own.
    ///
    /// # Errors
    /// [`WalkError::Database`].
    pub async fn begin(
        pool: &PgPool,
        tenant: TenantId,
        account: &AccountName,
        period: Period,
    ) -> Result<Self, WalkError> {
        let mut snapshot = snapshot(pool).await?;
        let ground = Ground::of(account);
        let Ground { rows, of_account, change, .. } = &ground;
        let text = format!(
            "with opening as ({})
             select o.balance as opening, coalesce(sum({change}), 0)::bigint as moved, count(r.position) as count
             from opening o
             left join {rows} r on tenant_id = $1 and {of_account} and occurred_at >= $3 and occurred_at < $6
             group by o.balance",
            ground.opening()
        );
        let row = bind_key(sqlx::query(&text).bind(tenant.0), &ground.key)
            .bind(period.from)
            .bind(period.from.date_naive())
            .bind(start_of_day(period.from))
            .bind(period.to)
            .fetch_one(&mut *snapshot)
            .await?;
        let opening: i64 = row.try_get("opening")?;
        let closing = opening + row.try_get::<i64, _>("moved")?;
        let place = Place::new(row.try_get("count")?);
        Ok(Self { snapshot, tenant, ground, period, place, opening, closing, running: opening })
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.place.count
    }
}

impl Walk for AccountWalk {
    type Line = AccountLine;

    async fn next(&mut self) -> Result<Vec<AccountLine>, WalkError> {
        if self.place.over {
            return Ok(vec![]);
        }
        let (start, position) = self.place.start(&self.period);
        let Ground { rows, of_account, .. } = &self.ground;
        let text = format!(
            "select {} from {rows}
             where tenant_id = $1 and {of_account} and occurred_at >= $3 and occurred_at < $5
               and (occurred_at, position) >= ($3, $4)
             order by occurred_at, position limit $6",
            self.ground.columns()
        );
        let found = bind_key(sqlx::query(&text).bind(self.tenant.0), &self.ground.key)
            .bind(start)
            .bind(position)
            .bind(self.period.to)
            .bind(i64::from(EXPORT_LIMIT))
            .fetch_all(&mut *self.snapshot)
            .await?;
        let mut lines = Vec::with_capacity(found.len());
        for row in &found {
            self.running += row.try_get::<i64, _>("change")?;
            lines.push(account_line(row, self.running)?);
        }
        self.place.step(lines.last().map(|line| (line.occurred_at, line.position)), lines.len());
        if self.place.over {
            self.place.check()?;
            check_sum(self.closing, self.running)?;
        }
        Ok(lines)
    }
}

/// The statement of an agent, available and held side by side, line after line.
pub struct AgentWalk {
    snapshot: Transaction<'static, Postgres>,
    tenant: TenantId,
    agent: AccountId,
    period: Period,
    place: Place,
    /// The balance before the first line.
    pub opening: Amounts,
    /// The balance after the last line.
    pub closing: Amounts,
    running: Amounts,
}

const AGENT_SUMS: &str = "
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
    select coalesce(sum(available), 0)::bigint as available, coalesce(sum(held), 0)::bigint as held, count(*) as count
    from read.entries
    where tenant_id = $1 and agent_id = $2 and occurred_at >= $3 and occurred_at < $6
)
select o.available as opening_available, o.held as opening_held, w.available as moved_available, w.held as moved_held,
       w.count
from opening o cross join within w
";

const AGENT_LINES: &str = "
select position, journal_id, kind, available, held, source_kind, source_id, counterparty, counter_account, note, actor,
       occurred_at, recorded_at
from read.entries
where tenant_id = $1 and agent_id = $2 and occurred_at >= $3 and occurred_at < $5 and (occurred_at, position) >= ($3, $4)
order by occurred_at, position limit $6
";

impl AgentWalk {
    /// Sums the period up in a snapshot of its own.
    ///
    /// # Errors
    /// [`WalkError::Database`].
    pub async fn begin(pool: &PgPool, tenant: TenantId, agent: AccountId, period: Period) -> Result<Self, WalkError> {
        let mut snapshot = snapshot(pool).await?;
        let row = sqlx::query(AGENT_SUMS)
            .bind(tenant.0)
            .bind(agent.0)
            .bind(period.from)
            .bind(period.from.date_naive())
            .bind(start_of_day(period.from))
            .bind(period.to)
            .fetch_one(&mut *snapshot)
            .await?;
        let opening = Amounts { available: row.try_get("opening_available")?, held: row.try_get("opening_held")? };
        let closing = Amounts {
            available: opening.available + row.try_get::<i64, _>("moved_available")?,
            held: opening.held + row.try_get::<i64, _>("moved_held")?,
        };
        let place = Place::new(row.try_get("count")?);
        Ok(Self { snapshot, tenant, agent, period, place, opening, closing, running: opening })
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.place.count
    }
}

impl Walk for AgentWalk {
    type Line = StatementLine;

    async fn next(&mut self) -> Result<Vec<StatementLine>, WalkError> {
        if self.place.over {
            return Ok(vec![]);
        }
        let (start, position) = self.place.start(&self.period);
        let found = sqlx::query(AGENT_LINES)
            .bind(self.tenant.0)
            .bind(self.agent.0)
            .bind(start)
            .bind(position)
            .bind(self.period.to)
            .bind(i64::from(EXPORT_LIMIT))
            .fetch_all(&mut *self.snapshot)
            .await?;
        let mut lines = Vec::with_capacity(found.len());
        for row in &found {
            self.running.available += row.try_get::<i64, _>("available")?;
            self.running.held += row.try_get::<i64, _>("held")?;
            lines.push(line(row, row.try_get("position")?, self.running)?);
        }
        self.place.step(lines.last().map(|line| (line.occurred_at, line.position)), lines.len());
        if self.place.over {
            self.place.check()?;
            check_sum(self.closing.available, self.running.available)?;
            check_sum(self.closing.held, self.running.held)?;
        }
        Ok(lines)
    }
}
