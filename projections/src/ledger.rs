//! The ledger as tables: what each event did to an agent's balance, the balances, daily sums and the other accounts.
//!
//! One entry per event of an agent's quota holds both its postings (`domain::ledger::postings`), so it is balanced by
//! itself, and the agent's balance after it; `read.postings` shows them line by line. Balances are never below zero.

use chrono::{DateTime, NaiveDate, Utc};
use hashbrown::HashMap;
use quotary_domain::agent_quota::AgentQuotaEvent;
use quotary_domain::ledger::{JournalKind, LedgerAccount, journal, postings, source};
use quotary_domain::{AccountId, Event, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, Row};
use uuid::Uuid;

use crate::copy_rows::CopyRows;
use crate::moment::Moment;
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "ledger";

/// The ledger read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

const TABLES: &str = "
create table balances (
    agent_id  uuid   primary key,
    tenant_id uuid   not null,
    available bigint not null check (available >= 0),
    held      bigint not null check (held >= 0),
    position  bigint not null              -- of the agent's last entry
) with (fillfactor = 70);
create index on balances (tenant_id);

create table entries (
    agent_id        uuid        not null,
    position        bigint      not null,
    tenant_id       uuid        not null,
    journal_id      uuid        not null,
    kind            text        not null,
    available       bigint      not null,  -- what the event added to the agent's available quota
    held            bigint      not null,  -- and to its held quota
    counter_account text,                  -- where the rest came from or went; null between available and held
    source_kind     text        not null,
    source_id       uuid        not null,
    counterparty    uuid,
    note            text,
    actor           text,
    recorded_at     timestamptz not null,
    occurred_at     timestamptz not null,
    available_after bigint      not null check (available_after >= 0),
    held_after      bigint      not null check (held_after >= 0),
    primary key (agent_id, position)
);
create index entries_occurred on entries (agent_id, occurred_at, position);

create table quota_daily (
    agent_id      uuid   not null,
    day           date   not null,         -- of occurred_at, in UTC
    kind          text   not null,
    tenant_id     uuid   not null,
    entries       bigint not null,
    received      bigint not null,         -- from outside the agent's accounts
    given         bigint not null,         -- to outside
    moved         bigint not null,         -- between available and held
    available     bigint not null,         -- net change
    held          bigint not null,
    last_position bigint not null,
    primary key (agent_id, day, kind)
) with (fillfactor = 70);
create index on quota_daily (tenant_id, day);

create table ledger_totals (
    tenant_id uuid   not null,
    account   text   not null,             -- every account that is no agent's
    balance   bigint not null,
    primary key (tenant_id, account)
) with (fillfactor = 50);

create view postings as
select e.position, (p.amount > 0)::int as line, e.tenant_id, p.account, p.agent_id, e.journal_id, e.kind, p.amount,
       e.source_kind, e.source_id, e.counterparty, e.note, e.actor, e.recorded_at, e.occurred_at
from entries e
cross join lateral (values
    ('agent:' || e.agent_id || ':available', e.agent_id, e.available),
    ('agent:' || e.agent_id || ':held', e.agent_id, e.held),
    (e.counter_account, null, -(e.available + e.held))
) as p (account, agent_id, amount)
where p.amount <> 0;
";

const COPY_ENTRIES: &str = "copy entries (agent_id, position, tenant_id, journal_id, kind, available, held, \
    counter_account, source_kind, source_id, counterparty, note, actor, recorded_at, occurred_at, available_after, \
    held_after) from stdin (format binary)";

/// An event's two postings, seen from its agent.
struct Entry {
    agent: AccountId,
    tenant: TenantId,
    position: i64,
    journal: Uuid,
    kind: JournalKind,
    change: Change,
    counter: Option<LedgerAccount>,
    source: (&'static str, Uuid),
    counterparty: Option<AccountId>,
    note: Option<String>,
    actor: Option<String>,
    recorded_at: DateTime<Utc>,
    occurred_at: DateTime<Utc>,
}

/// What is added to an agent's balance.
#[derive(Clone, Copy, Default)]
struct Change {
    available: i64,
    held: i64,
}

#[derive(Default)]
struct Daily {
    tenant: Uuid,
    entries: i64,
    received: i64,
    given: i64,
    moved: i64,
    net: Change,
    last_position: i64,
}

/// What a run of events means for the ledger.
#[derive(Default)]
pub struct LedgerRows {
    entries: Vec<Entry>,
    daily: HashMap<(Uuid, NaiveDate, JournalKind), Daily>,
    totals: HashMap<(Uuid, LedgerAccount), i64>,
}

impl Projection for Ledger {
    type Rows = LedgerRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["balances", "entries", "quota_daily", "ledger_totals", "postings"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "AgentQuota"
    }

    fn fold(&self, rows: &mut LedgerRows, recorded: &RecordedEvent, event: &Event) {
        let Event::AgentQuota(event) = event else {
            return;
        };
        rows.add(recorded, event);
    }

    async fn write(&self, rows: LedgerRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.entries.is_empty() {
            return Ok(());
        }
        write_entries(rows.entries, connection).await?;
        write_daily(rows.daily, connection).await?;
        write_totals(rows.totals, connection).await
    }
}

impl LedgerRows {
    fn add(&mut self, recorded: &RecordedEvent, event: &AgentQuotaEvent) {
        let agent = AccountId(recorded.aggregate_id);
        let mut change = Change::default();
        let mut counter = None;
        for posting in postings(agent, event) {
            match posting.account {
                LedgerAccount::Available(_) => change.available += posting.amount,
                LedgerAccount::Held(_) => change.held += posting.amount,
                other => {
                    counter = Some(other);
                    *self.totals.entry((recorded.tenant_id.0, other)).or_default() += posting.amount;
                }
            }
        }
        let (journal, kind) = journal(event);
        let occurred_at = recorded.occurred_at();
        let entry = Entry {
            agent,
            tenant: recorded.tenant_id,
            position: recorded.position.cast_signed(),
            journal: journal.0,
            kind,
            change,
            counter,
            source: source(event),
            counterparty: counterparty(event),
            note: note(event).map(str::to_owned),
            actor: recorded.metadata.actor.clone(),
            recorded_at: recorded.recorded_at,
            occurred_at,
        };
        let daily = self.daily.entry((agent.0, occurred_at.date_naive(), kind)).or_default();
        let net = change.available + change.held;
        daily.tenant = recorded.tenant_id.0;
        daily.entries += 1;
        daily.received += net.max(0);
        daily.given -= net.min(0);
        daily.moved += if counter.is_none() { change.held.abs() } else { 0 };
        daily.net.available += change.available;
        daily.net.held += change.held;
        daily.last_position = entry.position;
        self.entries.push(entry);
    }
}

pub(crate) fn counterparty(event: &AgentQuotaEvent) -> Option<AccountId> {
    match event {
        AgentQuotaEvent::QuotaSent { to, .. } => Some(*to),
        AgentQuotaEvent::QuotaReceived { from, .. } => Some(*from),
        _ => None,
    }
}

pub(crate) fn note(event: &AgentQuotaEvent) -> Option<&str> {
    match event {
        AgentQuotaEvent::QuotaToppedUp { note, .. }
        | AgentQuotaEvent::QuotaSent { note, .. }
        | AgentQuotaEvent::QuotaReceived { note, .. } => note.as_deref(),
        _ => None,
    }
}

/// Adds the entries with the balances after each, and moves the balances.
async fn write_entries(entries: Vec<Entry>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    struct Running {
        tenant: Uuid,
        balance: Change,
        position: i64,
    }
    let mut running: HashMap<Uuid, Running> = HashMap::new();
    for entry in &entries {
        running.entry(entry.agent.0).or_insert_with(|| Running {
            tenant: entry.tenant.0,
            balance: Change::default(),
            position: 0,
        });
    }
    let agents: Vec<Uuid> = running.keys().copied().collect();
    let known = sqlx::query("select agent_id, available, held from balances where agent_id = any($1)")
        .bind(&agents)
        .fetch_all(&mut *connection)
        .await?;
    for row in known {
        if let Some(agent) = running.get_mut(&row.try_get::<Uuid, _>("agent_id")?) {
            agent.balance = Change { available: row.try_get("available")?, held: row.try_get("held")? };
        }
    }

    let mut copy = CopyRows::new(17, entries.len());
    for entry in entries {
        let Some(agent) = running.get_mut(&entry.agent.0) else {
            continue;
        };
        agent.balance.available += entry.change.available;
        agent.balance.held += entry.change.held;
        agent.position = entry.position;
        copy.row()
            .uuid(entry.agent.0)
            .int8(entry.position)
            .uuid(entry.tenant.0)
            .uuid(entry.journal)
            .text(entry.kind.as_str())
            .int8(entry.change.available)
            .int8(entry.change.held)
            .text_or_null(entry.counter.map(|account| account.to_string()).as_deref())
            .text(entry.source.0)
            .uuid(entry.source.1)
            .uuid_or_null(entry.counterparty.map(|agent| agent.0))
            .text_or_null(entry.note.as_deref())
            .text_or_null(entry.actor.as_deref())
            .time(entry.recorded_at)
            .time(entry.occurred_at)
            .int8(agent.balance.available)
            .int8(agent.balance.held);
    }
    copy.send(connection, COPY_ENTRIES).await?;

    let (mut agents, mut tenants, mut available, mut held, mut positions) = (vec![], vec![], vec![], vec![], vec![]);
    for (agent, now) in running {
        agents.push(agent);
        tenants.push(now.tenant);
        available.push(now.balance.available);
        held.push(now.balance.held);
        positions.push(now.position);
    }
    sqlx::query(
        "insert into balances (agent_id, tenant_id, available, held, position)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
         on conflict (agent_id) do update
         set available = excluded.available, held = excluded.held, position = excluded.position",
    )
    .bind(agents)
    .bind(tenants)
    .bind(available)
    .bind(held)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_daily(
    daily: HashMap<(Uuid, NaiveDate, JournalKind), Daily>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (mut agents, mut days, mut kinds, mut tenants) = (vec![], vec![], vec![], vec![]);
    let mut sums: [Vec<i64>; 7] = Default::default();
    for ((agent, day, kind), sum) in daily {
        agents.push(agent);
        days.push(day);
        kinds.push(kind.as_str());
        tenants.push(sum.tenant);
        let values =
            [sum.entries, sum.received, sum.given, sum.moved, sum.net.available, sum.net.held, sum.last_position];
        for (column, value) in sums.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let mut query = sqlx::query(
        "insert into quota_daily as d (agent_id, day, kind, tenant_id, entries, received, given, moved, available, held,
                                       last_position)
         select * from unnest($1::uuid[], $2::date[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
         on conflict (agent_id, day, kind) do update
         set entries = d.entries + excluded.entries, received = d.received + excluded.received,
             given = d.given + excluded.given, moved = d.moved + excluded.moved,
             available = d.available + excluded.available, held = d.held + excluded.held,
             last_position = excluded.last_position",
    )
    .bind(agents)
    .bind(days)
    .bind(kinds)
    .bind(tenants);
    for column in sums {
        query = query.bind(column);
    }
    query.execute(connection).await?;
    Ok(())
}

async fn write_totals(
    totals: HashMap<(Uuid, LedgerAccount), i64>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (mut tenants, mut accounts, mut sums) = (vec![], vec![], vec![]);
    for ((tenant, account), sum) in totals {
        tenants.push(tenant);
        accounts.push(account.to_string());
        sums.push(sum);
    }
    sqlx::query(
        "insert into ledger_totals as t (tenant_id, account, balance)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[])
         on conflict (tenant_id, account) do update set balance = t.balance + excluded.balance",
    )
    .bind(tenants)
    .bind(accounts)
    .bind(sums)
    .execute(connection)
    .await?;
    Ok(())
}

/// An agent's quota at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What could be spent, in minor units.
    pub available: i64,
    /// What was reserved, in minor units.
    pub held: i64,
    /// The position of the last event in it; 0 if there was none.
    pub position: u64,
}

/// An agent's quota now; nothing if there never was any.
///
/// # Errors
/// If the database refuses.
pub async fn balance(db: impl PgExecutor<'_>, tenant: TenantId, agent: AccountId) -> Result<Balance, sqlx::Error> {
    let row = sqlx::query("select available, held, position from read.balances where tenant_id = $1 and agent_id = $2")
        .bind(tenant.0)
        .bind(agent.0)
        .fetch_optional(db)
        .await?;
    row.map_or(Ok(Balance::default()), |row| read_balance(&row))
}

/// An agent's quota at a moment of the past.
///
/// At a position: what the log said when it ended there. At a time: everything that had happened by then, also what was
/// recorded later (imported history).
///
/// # Errors
/// If the database refuses.
pub async fn balance_at(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    agent: AccountId,
    at: Moment,
) -> Result<Balance, sqlx::Error> {
    let row = match at {
        Moment::Position(position) => {
            // One probe of the primary key: each entry knows the balance after it.
            sqlx::query(
                "select available_after as available, held_after as held, position from read.entries
                 where tenant_id = $1 and agent_id = $2 and position <= $3 order by position desc limit 1",
            )
            .bind(tenant.0)
            .bind(agent.0)
            .bind(position.cast_signed())
            .fetch_optional(db)
            .await?
        }
        Moment::Time(time) => {
            // Whole days from the daily sums, the rest of the last day from its entries.
            sqlx::query(
                "select coalesce(sum(available), 0)::bigint as available, coalesce(sum(held), 0)::bigint as held,
                        coalesce(max(position), 0) as position
                 from (
                     select available, held, last_position as position from read.quota_daily
                     where tenant_id = $1 and agent_id = $2 and day < $3
                     union all
                     select available, held, position from read.entries
                     where tenant_id = $1 and agent_id = $2 and occurred_at >= $4 and occurred_at <= $5
                 ) changes",
            )
            .bind(tenant.0)
            .bind(agent.0)
            .bind(time.date_naive())
            .bind(start_of_day(time))
            .bind(time)
            .fetch_optional(db)
            .await?
        }
    };
    row.map_or(Ok(Balance::default()), |row| read_balance(&row))
}

fn read_balance(row: &sqlx::postgres::PgRow) -> Result<Balance, sqlx::Error> {
    Ok(Balance {
        available: row.try_get("available")?,
        held: row.try_get("held")?,
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// Midnight (UTC) of the day of `time`.
pub(crate) fn start_of_day(time: DateTime<Utc>) -> DateTime<Utc> {
    time.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}
