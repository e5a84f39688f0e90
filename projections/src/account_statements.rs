//! Every account of the ledger: its balance now and at any moment of the past, its statement, and the list of all.
//!
//! What must always hold: an answer comes from one statement of SQL and so from one state of the read model; opening, lines
//! and closing always add up. An agent's accounts are read from `ledger`, all others from `journals`.

use chrono::{DateTime, Utc};
use quotary_domain::{AccountId, Actor, JournalId, Role, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::ledger::{balance, balance_at, start_of_day};
use crate::ledger_account::AccountName;
use crate::moment::Moment;
use crate::page::{Page, PageError, PageRequest};
use crate::visibility::push_visible;

/// An account's balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBalance {
    /// Its name.
    pub account: String,
    /// What kind of account it is, e.g. `sales`.
    pub kind: String,
    /// In minor units; more than zero is a credit.
    pub balance: i64,
    /// The position of the last event in it; 0 if there was none.
    pub position: u64,
}

/// An account's balance now, or at a moment of the past; nothing if it was never used.
///
/// At a position: what the log said when it ended there. At a time: everything that had happened by then, also what was
/// recorded later (imported history).
///
/// # Errors
/// If the database refuses.
pub async fn account_balance(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    account: &AccountName,
    at: Option<Moment>,
) -> Result<AccountBalance, sqlx::Error> {
    let named = |balance, position| AccountBalance {
        account: account.to_string(),
        kind: account.kind().to_owned(),
        balance,
        position,
    };
    match account {
        AccountName::Available(agent) | AccountName::Held(agent) => {
            let found = match at {
                Some(at) => balance_at(db, tenant, *agent, at).await?,
                None => balance(db, tenant, *agent).await?,
            };
            let held = matches!(account, AccountName::Held(_));
            Ok(named(if held { found.held } else { found.available }, found.position))
        }
        AccountName::Other(name) => {
            let row = other_balance(db, tenant, name, at).await?;
            let (balance, position) = match row {
                Some(row) => (row.try_get("balance")?, row.try_get::<i64, _>("position")?.cast_unsigned()),
                None => (0, 0),
            };
            Ok(named(balance, position))
        }
    }
}

async fn other_balance(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    name: &str,
    at: Option<Moment>,
) -> Result<Option<PgRow>, sqlx::Error> {
    match at {
        None => {
            sqlx::query("select balance, position from read.account_totals where tenant_id = $1 and account = $2")
                .bind(tenant.0)
                .bind(name)
                .fetch_optional(db)
                .await
        }
        Some(Moment::Position(position)) => {
            // One probe of an index: each row knows the balance after it.
            sqlx::query(
                "select counter_after as balance, position from read.journal_rows
                 where tenant_id = $1 and counter_account = $2 and position <= $3 order by position desc limit 1",
            )
            .bind(tenant.0)
            .bind(name)
            .bind(position.cast_signed())
            .fetch_optional(db)
            .await
        }
        Some(Moment::Time(time)) => {
            // Whole days from the daily sums, the rest of the last day from its rows.
            sqlx::query(
                "select coalesce(sum(amount), 0)::bigint as balance, coalesce(max(position), 0) as position
                 from (
                     select amount, last_position as position from read.account_daily
                     where tenant_id = $1 and account = $2 and day < $3
                     union all
                     select -(available + held), position from read.journal_rows
                     where tenant_id = $1 and counter_account = $2 and occurred_at >= $4 and occurred_at <= $5
                 ) changes",
            )
            .bind(tenant.0)
            .bind(name)
            .bind(time.date_naive())
            .bind(start_of_day(time))
            .bind(time)
            .fetch_optional(db)
            .await
        }
    }
}

/// The accounts that `actor` may see, by name: agents' first, then, for those who read the whole ledger, the others.
/// Visibility also reads the read model `accounts`.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn ledger_accounts(
    db: impl PgExecutor<'_> + Copy,
    actor: &Actor,
    kind: Option<&str>,
    request: &PageRequest,
) -> Result<Page<AccountBalance>, PageError> {
    let after: Option<String> = request.after()?;
    let wanted = |account: &AccountBalance| {
        kind.is_none_or(|kind| account.kind == kind) && after.as_ref().is_none_or(|after| account.account > *after)
    };
    let mut found = Vec::new();
    // Names of agents' accounts sort as their ids do, and before all others.
    let agents_are_over = after.as_ref().is_some_and(|after| !after.starts_with("agent:"));
    let agents_are_asked = kind.is_none_or(|kind| ["available", "held"].contains(&kind));
    if agents_are_asked && !agents_are_over {
        let since = after.as_ref().and_then(|after| after.split(':').nth(1)).and_then(|id| Uuid::parse_str(id).ok());
        let mut query = QueryBuilder::<Postgres>::new(
            "select b.agent_id, b.available, b.held, b.position from read.balances b where ",
        );
        push_visible(&mut query, actor, "b");
        query.push(" and b.agent_id >= ").push_bind(since.unwrap_or_default());
        // One more than the page: the cursor's own agent may have nothing left to show.
        query.push(" order by b.agent_id limit ").push_bind(request.fetch() + 1);
        for row in query.build().fetch_all(db).await? {
            let agent = AccountId(row.try_get("agent_id")?);
            let position = row.try_get::<i64, _>("position")?.cast_unsigned();
            for (name, column) in [(AccountName::Available(agent), "available"), (AccountName::Held(agent), "held")] {
                let (account, kind) = (name.to_string(), name.kind().to_owned());
                found.push(AccountBalance { account, kind, balance: row.try_get(column)?, position });
            }
        }
    }
    found.retain(&wanted);
    if reads_the_whole_ledger(actor) && i64::try_from(found.len()).unwrap_or(i64::MAX) < request.fetch() {
        let rows = sqlx::query(
            "select account, balance, position from read.account_totals
             where tenant_id = $1 and account collate \"C\" > $2 and ($3::text is null or split_part(account, ':', 1) = $3)
             order by account collate \"C\" limit $4",
        )
        .bind(actor.tenant_id.0)
        .bind(if agents_are_over { after.clone().unwrap_or_default() } else { String::new() })
        .bind(kind)
        .bind(request.fetch())
        .fetch_all(db)
        .await?;
        for row in rows {
            let account: String = row.try_get("account")?;
            let kind = account.split(':').next().unwrap_or_default().to_owned();
            let position = row.try_get::<i64, _>("position")?.cast_unsigned();
            found.push(AccountBalance { account, kind, balance: row.try_get("balance")?, position });
        }
    }
    Ok(request.page(found, |account| account.account.clone()))
}

/// Whether `actor` may see the accounts that are no agent's.
#[must_use]
pub fn reads_the_whole_ledger(actor: &Actor) -> bool {
    match actor.role {
        Role::SuperAdmin | Role::Auditor => true,
        Role::AgentAdmin | Role::Agent | Role::Analyst => false,
    }
}

/// One posting on an account's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// Where the event stands in the log.
    pub position: u64,
    /// The movement.
    pub journal_id: JournalId,
    /// What kind of movement it is, e.g. `transfer`.
    pub kind: String,
    /// Minor units; more than zero is a credit to the account, less a debit.
    pub change: i64,
    /// The balance after it, in the order of the statement.
    pub balance: i64,
    /// The account of the other posting.
    pub other_account: String,
    /// What `source_id` is, e.g. `batch`.
    pub source_kind: String,
    /// What it is about.
    pub source_id: Uuid,
    /// A remark.
    pub note: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What moved on an account from `from` (included) to `to` (not included).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatement {
    /// The balance before the first posting of the period.
    pub opening: i64,
    /// The balance after the last posting of the period.
    pub closing: i64,
    /// The postings of this page, by when they happened.
    pub lines: Page<AccountLine>,
}

/// Where an account's postings stand, and how its part of a row is written. All texts are ours, none is a request's.
pub(crate) struct Ground {
    /// The view of rows.
    pub(crate) rows: &'static str,
    /// The rows of the account `$2`.
    pub(crate) of_account: &'static str,
    /// The account's part of a row.
    pub(crate) change: &'static str,
    /// The account of the other posting.
    other: &'static str,
    /// The view of daily sums, the sums of the account `$2`, and the sum.
    pub(crate) daily: (&'static str, &'static str, &'static str),
    /// The account's key.
    pub(crate) key: Key,
}

/// What `$2` is.
#[derive(Clone)]
pub(crate) enum Key {
    Agent(Uuid),
    Name(String),
}

impl Ground {
    pub(crate) fn of(account: &AccountName) -> Self {
        match account {
            AccountName::Available(agent) => Self {
                rows: "read.entries",
                of_account: "agent_id = $2 and available <> 0",
                change: "available",
                other: "coalesce(counter_account, 'agent:' || agent_id || ':held')",
                daily: ("read.quota_daily", "agent_id = $2", "available"),
                key: Key::Agent(agent.0),
            },
            AccountName::Held(agent) => Self {
                rows: "read.entries",
                of_account: "agent_id = $2 and held <> 0",
                change: "held",
                other: "coalesce(counter_account, 'agent:' || agent_id || ':available')",
                daily: ("read.quota_daily", "agent_id = $2", "held"),
                key: Key::Agent(agent.0),
            },
            AccountName::Other(name) => Self {
                rows: "read.journal_rows",
                of_account: "counter_account = $2",
                change: "-(available + held)",
                other: "'agent:' || agent_id || case when available <> 0 then ':available' else ':held' end",
                daily: ("read.account_daily", "account = $2", "amount"),
                key: Key::Name(name.clone()),
            },
        }
    }

    /// The columns of a line, without its balance.
    pub(crate) fn columns(&self) -> String {
        format!(
            "position, journal_id, kind, ({})::bigint as change, {} as other_account, source_kind, source_id, note, actor, \
             occurred_at, recorded_at",
            self.change, self.other
        )
    }

    /// What the account held before the time `$3`, whose day is `$4` and begins at `$5`.
    pub(crate) fn opening(&self) -> String {
        let Self { rows, of_account, change, daily: (daily, of_daily, sum), .. } = self;
        format!(
            "select coalesce(sum(amount), 0)::bigint as balance
             from (
                 select {sum} as amount from {daily} where tenant_id = $1 and {of_daily} and day < $4
                 union all
                 select {change} from {rows}
                 where tenant_id = $1 and {of_account} and occurred_at >= $5 and occurred_at < $3
             ) earlier"
        )
    }
}

/// A query with the account's key bound as `$2`.
pub(crate) fn bind_key<'q>(
    query: sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>,
    key: &Key,
) -> sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments> {
    match key {
        Key::Agent(id) => query.bind(*id),
        Key::Name(name) => query.bind(name.clone()),
    }
}

/// An account's statement of a period, a page at a time; every page carries the period's opening and closing balance.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn account_statement(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    account: &AccountName,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    request: &PageRequest,
) -> Result<AccountStatement, PageError> {
    let after: Option<(DateTime<Utc>, i64)> = request.after()?;
    let (start, position) = after.map_or((from, 0), |(time, position)| (time, position.saturating_add(1)));
    let ground = Ground::of(account);
    let Ground { rows, of_account, change, .. } = &ground;
    let text = format!(
        "with opening as ({opening}), within as (
             select coalesce(sum({change}), 0)::bigint as balance,
                    coalesce(sum({change}) filter (where (occurred_at, position) < ($6, $7)), 0)::bigint as before
             from {rows}
             where tenant_id = $1 and {of_account} and occurred_at >= $3 and occurred_at < $8
         )
         select o.balance as opening, o.balance + w.balance as closing,
                (o.balance + w.before + sum(e.change) over (order by e.occurred_at, e.position))::bigint as balance, e.*
         from opening o cross join within w
         left join lateral (
             select {columns} from {rows}
             where tenant_id = $1 and {of_account} and occurred_at >= $3 and occurred_at < $8
               and (occurred_at, position) >= ($6, $7)
             order by occurred_at, position
             limit $9
         ) e on true
         order by e.occurred_at, e.position",
        opening = ground.opening(),
        columns = ground.columns(),
    );
    let found = bind_key(sqlx::query(&text).bind(tenant.0), &ground.key)
        .bind(from)
        .bind(from.date_naive())
        .bind(start_of_day(from))
        .bind(start)
        .bind(position)
        .bind(to)
        .bind(request.fetch())
        .fetch_all(db)
        .await?;
    let first = found.first().ok_or(sqlx::Error::RowNotFound)?;
    let (opening, closing) = (first.try_get("opening")?, first.try_get("closing")?);
    let mut lines = Vec::with_capacity(found.len());
    for row in &found {
        if row.try_get::<Option<i64>, _>("position")?.is_some() {
            lines.push(account_line(row, row.try_get("balance")?)?);
        }
    }
    let lines = request.page(lines, |line| (line.occurred_at, line.position));
    Ok(AccountStatement { opening, closing, lines })
}

pub(crate) fn account_line(row: &PgRow, balance: i64) -> Result<AccountLine, sqlx::Error> {
    Ok(AccountLine {
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
        journal_id: JournalId(row.try_get("journal_id")?),
        kind: row.try_get("kind")?,
        change: row.try_get("change")?,
        balance,
        other_account: row.try_get("other_account")?,
        source_kind: row.try_get("source_kind")?,
        source_id: row.try_get("source_id")?,
        note: row.try_get("note")?,
        actor: row.try_get("actor")?,
        occurred_at: row.try_get("occurred_at")?,
        recorded_at: row.try_get("recorded_at")?,
    })
}
