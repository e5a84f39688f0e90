//! Journals as tables: one row per event of an agent's quota, which is two postings, found by account, kind, amount, time,
//! cause and source; and the accounts of the tenant that are no agent's, with their balance after every row.
//!
//! What must always hold: a row's two postings sum to zero; an account's balance after a row is the sum of its postings up to
//! there. The read model `ledger` keeps the agents' side; this one the other side, by itself, so that a trial balance
//! compares two folds of the log.

use chrono::{DateTime, NaiveDate, Utc};
use hashbrown::HashMap;
use quotary_domain::ledger::{LedgerAccount, journal, postings, source};
use quotary_domain::{AccountId, Event, JournalId, RecordedEvent, TenantId};
use sqlx::{PgConnection, PgExecutor, Row};
use uuid::Uuid;

use crate::copy_rows::CopyRows;
use crate::ledger;
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "journals";

/// The journals read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Journals;

const TABLES: &str = "
create table journal_rows (
    tenant_id       uuid        not null,
    position        bigint      not null,
    journal_id      uuid        not null,
    kind            text        not null,
    agent_id        uuid        not null,
    available       bigint      not null,  -- what the event added to the agent's available quota
    held            bigint      not null,  -- and to its held quota
    amount          bigint      not null check (amount > 0),  -- of each of its two postings, without a sign
    counter_account text,                  -- the account on the other side that is no agent's; null between available and held
    counter_after   bigint,                -- and its balance after the event
    source_kind     text        not null,
    source_id       uuid        not null,
    counterparty    uuid,
    note            text,
    actor           text,
    command         text,
    correlation_id  text,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null,
    primary key (tenant_id, position),
    check ((counter_account is null) = (available + held = 0)),
    check ((counter_account is null) = (counter_after is null))
);
create index journal_rows_journal on journal_rows (journal_id);
create index journal_rows_agent on journal_rows (agent_id, position);
create index journal_rows_source on journal_rows (source_id, position);
create index journal_rows_actor on journal_rows (tenant_id, actor, position) where actor is not null;
create index journal_rows_cause on journal_rows (tenant_id, correlation_id) where correlation_id is not null;
create index journal_rows_kind on journal_rows (tenant_id, kind, position);
create index journal_rows_time on journal_rows using brin (occurred_at);
create index journal_rows_counter on journal_rows (tenant_id, counter_account, position) where counter_account is not null;
create index journal_rows_counter_time on journal_rows (tenant_id, counter_account, occurred_at, position)
    where counter_account is not null;

create table account_totals (
    tenant_id uuid   not null,
    account   text   not null,             -- every account that is no agent's
    balance   bigint not null,
    position  bigint not null,             -- of its last posting
    primary key (tenant_id, account)
) with (fillfactor = 50);

create table account_daily (
    tenant_id     uuid   not null,
    account       text   not null,
    day           date   not null,         -- of occurred_at, in UTC
    amount        bigint not null,         -- net change
    postings      bigint not null,
    last_position bigint not null,
    primary key (tenant_id, account, day)
) with (fillfactor = 70);
";

const COPY: &str = "copy journal_rows (tenant_id, position, journal_id, kind, agent_id, available, held, amount, \
    counter_account, counter_after, source_kind, source_id, counterparty, note, actor, command, correlation_id, occurred_at, \
    recorded_at) from stdin (format binary)";

/// An event's two postings and what is known about them.
struct JournalRow {
    tenant: Uuid,
    position: i64,
    journal: Uuid,
    kind: &'static str,
    agent: Uuid,
    available: i64,
    held: i64,
    amount: i64,
    counter: Option<(LedgerAccount, i64)>,
    source: (&'static str, Uuid),
    counterparty: Option<Uuid>,
    note: Option<String>,
    actor: Option<String>,
    command: Option<String>,
    correlation_id: Option<String>,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
}

#[derive(Default)]
struct Daily {
    amount: i64,
    postings: i64,
    last_position: i64,
}

/// What a run of events means for the journals.
#[derive(Default)]
pub struct Rows {
    rows: Vec<JournalRow>,
    daily: HashMap<(Uuid, LedgerAccount, NaiveDate), Daily>,
}

impl Projection for Journals {
    type Rows = Rows;

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
        &["journal_rows", "account_totals", "account_daily"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "AgentQuota"
    }

    fn fold(&self, rows: &mut Rows, recorded: &RecordedEvent, event: &Event) {
        let Event::AgentQuota(event) = event else {
            return;
        };
        let agent = AccountId(recorded.aggregate_id);
        let (mut available, mut held, mut amount, mut counter) = (0, 0, 0, None);
        for posting in postings(agent, event) {
            amount = posting.amount.abs();
            match posting.account {
                LedgerAccount::Available(_) => available += posting.amount,
                LedgerAccount::Held(_) => held += posting.amount,
                other => counter = Some((other, posting.amount)),
            }
        }
        let (tenant, position) = (recorded.tenant_id.0, recorded.position.cast_signed());
        let occurred_at = recorded.occurred_at();
        if let Some((account, amount)) = counter {
            let daily = rows.daily.entry((tenant, account, occurred_at.date_naive())).or_default();
            daily.amount += amount;
            daily.postings += 1;
            daily.last_position = position;
        }
        let (journal, kind) = journal(event);
        let metadata = &recorded.metadata;
        rows.rows.push(JournalRow {
            tenant,
            position,
            journal: journal.0,
            kind: kind.as_str(),
            agent: agent.0,
            available,
            held,
            amount,
            counter,
            source: source(event),
            counterparty: ledger::counterparty(event).map(|agent| agent.0),
            note: ledger::note(event).map(str::to_owned),
            actor: metadata.actor.clone(),
            command: metadata.command.clone(),
            correlation_id: metadata.correlation_id.clone(),
            occurred_at,
            recorded_at: recorded.recorded_at,
        });
    }

    async fn write(&self, rows: Rows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.rows.is_empty() {
            return Ok(());
        }
        write_rows(rows.rows, connection).await?;
        write_daily(rows.daily, connection).await
    }
}

/// Adds the rows with the balances of their other accounts after each, and moves the totals.
async fn write_rows(rows: Vec<JournalRow>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // By account: its name, its balance, and the position of its last posting.
    let mut running: HashMap<(Uuid, LedgerAccount), (String, i64, i64)> = HashMap::new();
    for row in &rows {
        if let Some((account, _)) = row.counter {
            running.entry((row.tenant, account)).or_insert_with(|| (account.to_string(), 0, 0));
        }
    }
    let (mut tenants, mut accounts) = (vec![], vec![]);
    for ((tenant, _), (name, _, _)) in &running {
        tenants.push(*tenant);
        accounts.push(name.clone());
    }
    let known = sqlx::query(
        "select t.tenant_id, t.account, t.balance from account_totals t
         join unnest($1::uuid[], $2::text[]) as asked (tenant_id, account) using (tenant_id, account)",
    )
    .bind(&tenants)
    .bind(&accounts)
    .fetch_all(&mut *connection)
    .await?;
    let mut balances: HashMap<(Uuid, String), i64> = HashMap::with_capacity(known.len());
    for row in known {
        balances.insert((row.try_get("tenant_id")?, row.try_get("account")?), row.try_get("balance")?);
    }
    for ((tenant, _), (name, balance, _)) in &mut running {
        *balance = balances.remove(&(*tenant, name.clone())).unwrap_or_default();
    }

    let mut copy = CopyRows::new(19, rows.len());
    for row in rows {
        copy.row()
            .uuid(row.tenant)
            .int8(row.position)
            .uuid(row.journal)
            .text(row.kind)
            .uuid(row.agent)
            .int8(row.available)
            .int8(row.held)
            .int8(row.amount);
        match row.counter.and_then(|(account, amount)| Some((running.get_mut(&(row.tenant, account))?, amount))) {
            Some(((name, balance, position), amount)) => {
                *balance += amount;
                *position = row.position;
                copy.text(name).int8(*balance);
            }
            None => {
                copy.text_or_null(None).text_or_null(None);
            }
        }
        copy.text(row.source.0)
            .uuid(row.source.1)
            .uuid_or_null(row.counterparty)
            .text_or_null(row.note.as_deref())
            .text_or_null(row.actor.as_deref())
            .text_or_null(row.command.as_deref())
            .text_or_null(row.correlation_id.as_deref())
            .time(row.occurred_at)
            .time(row.recorded_at);
    }
    copy.send(&mut *connection, COPY).await?;

    let (mut tenants, mut names, mut totals, mut positions) = (vec![], vec![], vec![], vec![]);
    for ((tenant, _), (name, balance, position)) in running {
        tenants.push(tenant);
        names.push(name);
        totals.push(balance);
        positions.push(position);
    }
    sqlx::query(
        "insert into account_totals (tenant_id, account, balance, position)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
         on conflict (tenant_id, account) do update set balance = excluded.balance, position = excluded.position",
    )
    .bind(tenants)
    .bind(names)
    .bind(totals)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_daily(
    daily: HashMap<(Uuid, LedgerAccount, NaiveDate), Daily>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (mut tenants, mut accounts, mut days) = (vec![], vec![], vec![]);
    let (mut amounts, mut postings, mut positions) = (vec![], vec![], vec![]);
    for ((tenant, account, day), sum) in daily {
        tenants.push(tenant);
        accounts.push(account.to_string());
        days.push(day);
        amounts.push(sum.amount);
        postings.push(sum.postings);
        positions.push(sum.last_position);
    }
    sqlx::query(
        "insert into account_daily as d (tenant_id, account, day, amount, postings, last_position)
         select * from unnest($1::uuid[], $2::text[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[])
         on conflict (tenant_id, account, day) do update
         set amount = d.amount + excluded.amount, postings = d.postings + excluded.postings,
             last_position = excluded.last_position",
    )
    .bind(tenants)
    .bind(accounts)
    .bind(days)
    .bind(amounts)
    .bind(postings)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

/// Where the events of a journal stand in the log; none if the tenant has no such journal.
///
/// # Errors
/// If the database refuses.
pub async fn positions(db: impl PgExecutor<'_>, tenant: TenantId, journal: JournalId) -> Result<Vec<u64>, sqlx::Error> {
    let query = "select position from read.journal_rows where journal_id = $1 and tenant_id = $2 order by position";
    let positions: Vec<i64> = sqlx::query_scalar(query).bind(journal.0).bind(tenant.0).fetch_all(db).await?;
    Ok(positions.into_iter().map(i64::cast_unsigned).collect())
}
