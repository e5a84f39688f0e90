//! Cases: differences that reconciliations found, their age, their notes and their explanation.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::case::{CaseEvent, CaseStatus, Sighting, Subject};
use quotary_domain::reconciliation::{Class, RunKind};
use quotary_domain::{AccountId, CaseId, Event, ReconciliationId, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "cases";

/// The read model of cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cases;

const TABLES: &str = "
create table cases (
    case_id     uuid        primary key,
    tenant_id   uuid        not null,
    kind        text        not null,
    source      text        not null,
    class       text        not null,
    key         text        not null,
    status      text        not null check (status in ('open', 'resolved', 'vanished')),
    run_id      uuid        not null,      -- that saw it last
    ours        text,
    theirs      text,
    amount      bigint,
    opened_at   timestamptz not null,      -- for the first time, or again: its age counts from here
    seen_at     timestamptz not null,
    closed_at   timestamptz,
    resolved_by uuid,
    resolution  text,
    explanation text,
    reference   text,
    sequence    bigint      not null,
    position    bigint      not null       -- of its first sighting
);
create index on cases (tenant_id, status, position);
create index on cases (tenant_id, kind, source) where status = 'open';

create table case_notes (
    case_id  uuid        not null,
    sequence bigint      not null,
    by_id    uuid        not null,
    note     text        not null,
    at       timestamptz not null,
    primary key (case_id, sequence)
);
";

/// A case as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseView {
    /// Its id.
    pub id: CaseId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub status: CaseStatus,
    /// What was seen last.
    pub seen: Sighting,
    /// Since when it is, or was, open.
    pub opened_at: DateTime<Utc>,
    /// When it changed last.
    pub seen_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Who explained it.
    pub resolved_by: Option<AccountId>,
    /// How it was resolved.
    pub resolution: Option<String>,
    /// Why.
    pub explanation: Option<String>,
    /// What a command did about it.
    pub reference: Option<String>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Where it was seen first in the log.
    pub position: u64,
}

/// What somebody said about a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseNote {
    /// Who.
    pub by: AccountId,
    /// What.
    pub note: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a run of events means: each case's events, in order.
#[derive(Default)]
pub struct CaseRows {
    order: Vec<Uuid>,
    cases: HashMap<Uuid, Vec<Change>>,
}

struct Change {
    tenant: Uuid,
    at: DateTime<Utc>,
    sequence: i64,
    position: i64,
    event: CaseEvent,
}

impl Projection for Cases {
    type Rows = CaseRows;

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
        &["cases", "case_notes"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Case"
    }

    fn fold(&self, rows: &mut CaseRows, recorded: &RecordedEvent, event: &Event) {
        let Event::Case(event) = event else {
            return;
        };
        let changes = rows.cases.entry(recorded.aggregate_id).or_default();
        if changes.is_empty() {
            rows.order.push(recorded.aggregate_id);
        }
        changes.push(Change {
            tenant: recorded.tenant_id.0,
            at: recorded.recorded_at,
            sequence: recorded.sequence.cast_signed(),
            position: recorded.position.cast_signed(),
            event: event.clone(),
        });
    }

    async fn write(&self, mut rows: CaseRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut opened = Vec::new();
        for id in &rows.order {
            let Some(changes) = rows.cases.get_mut(id) else { continue };
            if matches!(changes.first(), Some(Change { event: CaseEvent::CaseOpened { .. }, .. })) {
                opened.push((*id, changes.remove(0)));
            }
        }
        insert(opened, connection).await?;
        // What comes after the opening is rare: people's doing, or a difference that changes.
        for id in rows.order {
            for change in rows.cases.remove(&id).unwrap_or_default() {
                apply(id, change, connection).await?;
            }
        }
        Ok(())
    }
}

fn text(value: &str) -> String {
    storable(value).into_owned()
}

async fn insert(opened: Vec<(Uuid, Change)>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if opened.is_empty() {
        return Ok(());
    }
    let (mut ids, mut tenants, mut runs) = (vec![], vec![], vec![]);
    let (mut kinds, mut sources, mut classes, mut keys) = (vec![], vec![], vec![], vec![]);
    let (mut ours, mut theirs, mut amounts) = (vec![], vec![], vec![]);
    let (mut times, mut sequences, mut positions) = (vec![], vec![], vec![]);
    for (id, change) in opened {
        let CaseEvent::CaseOpened { subject, seen } = change.event else { continue };
        ids.push(id);
        tenants.push(change.tenant);
        kinds.push(subject.kind.as_str());
        sources.push(text(&subject.source));
        classes.push(subject.class.as_str());
        keys.push(text(&subject.key));
        runs.push(seen.run_id.0);
        ours.push(seen.ours.as_deref().map(text));
        theirs.push(seen.theirs.as_deref().map(text));
        amounts.push(seen.amount);
        times.push(change.at);
        sequences.push(change.sequence);
        positions.push(change.position);
    }
    sqlx::query(
        "insert into cases (case_id, tenant_id, kind, source, class, key, status, run_id, ours, theirs, amount, opened_at,
                            seen_at, sequence, position)
         select n.id, n.tenant, n.kind, n.source, n.class, n.key, 'open', n.run, n.ours, n.theirs, n.amount, n.at, n.at,
                n.sequence, n.position
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                     $9::text[], $10::bigint[], $11::timestamptz[], $12::bigint[], $13::bigint[])
              as n (id, tenant, kind, source, class, key, run, ours, theirs, amount, at, sequence, position)",
    )
    .bind(ids)
    .bind(tenants)
    .bind(kinds)
    .bind(sources)
    .bind(classes)
    .bind(keys)
    .bind(runs)
    .bind(ours)
    .bind(theirs)
    .bind(amounts)
    .bind(times)
    .bind(sequences)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

async fn apply(id: Uuid, change: Change, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("update cases set sequence = ");
    query.push_bind(change.sequence);
    match change.event {
        CaseEvent::CaseOpened { .. } => {}
        CaseEvent::CaseChanged(seen) => push_seen(&mut query, &seen, change.at),
        CaseEvent::CaseReopened(seen) => {
            push_seen(&mut query, &seen, change.at);
            query
                .push(", status = 'open', closed_at = null, resolved_by = null, resolution = null, explanation = null");
            query.push(", reference = null, opened_at = ").push_bind(change.at);
        }
        CaseEvent::CaseVanished { run_id } => {
            query.push(", status = 'vanished', run_id = ").push_bind(run_id.0);
            query.push(", closed_at = ").push_bind(change.at);
        }
        CaseEvent::CaseResolved { by, resolution, explanation, reference } => {
            query.push(", status = 'resolved', resolved_by = ").push_bind(by.0);
            query.push(", closed_at = ").push_bind(change.at);
            query.push(", resolution = ").push_bind(resolution.as_str());
            query.push(", explanation = ").push_bind(text(&explanation));
            query.push(", reference = ").push_bind(reference.as_deref().map(text));
        }
        CaseEvent::CaseNoted { by, note } => {
            sqlx::query("insert into case_notes (case_id, sequence, by_id, note, at) values ($1, $2, $3, $4, $5)")
                .bind(id)
                .bind(change.sequence)
                .bind(by.0)
                .bind(text(&note))
                .bind(change.at)
                .execute(&mut *connection)
                .await?;
        }
    }
    query.push(" where case_id = ").push_bind(id);
    let done = query.build().execute(connection).await?;
    crate::rows::expect_rows("cases", &done, 1)
}

fn push_seen(query: &mut QueryBuilder<'_, Postgres>, seen: &Sighting, at: DateTime<Utc>) {
    query.push(", run_id = ").push_bind(seen.run_id.0);
    query.push(", ours = ").push_bind(seen.ours.as_deref().map(text));
    query.push(", theirs = ").push_bind(seen.theirs.as_deref().map(text));
    query.push(", amount = ").push_bind(seen.amount);
    query.push(", seen_at = ").push_bind(at);
}

const COLUMNS: &str = "case_id, tenant_id, kind, source, class, key, status, run_id, ours, theirs, amount, opened_at, \
    seen_at, closed_at, resolved_by, resolution, explanation, reference, sequence, position";

fn read(row: &PgRow) -> Result<CaseView, sqlx::Error> {
    let unknown = |column: &str, value: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("there is no {column} {value}").into(),
    };
    let (kind, class, status): (&str, &str, &str) =
        (row.try_get("kind")?, row.try_get("class")?, row.try_get("status")?);
    Ok(CaseView {
        id: CaseId(row.try_get("case_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        subject: Subject {
            kind: RunKind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
            source: row.try_get("source")?,
            class: Class::parse(class).ok_or_else(|| unknown("class", class))?,
            key: row.try_get("key")?,
        },
        status: CaseStatus::parse(status).ok_or_else(|| unknown("status", status))?,
        seen: Sighting {
            run_id: ReconciliationId(row.try_get("run_id")?),
            ours: row.try_get("ours")?,
            theirs: row.try_get("theirs")?,
            amount: row.try_get("amount")?,
        },
        opened_at: row.try_get("opened_at")?,
        seen_at: row.try_get("seen_at")?,
        closed_at: row.try_get("closed_at")?,
        resolved_by: row.try_get::<Option<Uuid>, _>("resolved_by")?.map(AccountId),
        resolution: row.try_get("resolution")?,
        explanation: row.try_get("explanation")?,
        reference: row.try_get("reference")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// A case of a tenant.
///
/// # Errors
/// If the database refuses.
pub async fn get(db: impl PgExecutor<'_>, tenant: TenantId, id: CaseId) -> Result<Option<CaseView>, sqlx::Error> {
    sqlx::query(&format!("select {COLUMNS} from read.cases where tenant_id = $1 and case_id = $2"))
        .bind(tenant.0)
        .bind(id.0)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// What was said about a case, in order.
///
/// # Errors
/// If the database refuses.
pub async fn notes(db: impl PgExecutor<'_>, tenant: TenantId, id: CaseId) -> Result<Vec<CaseNote>, sqlx::Error> {
    let rows: Vec<(Uuid, String, DateTime<Utc>)> = sqlx::query_as(
        "select n.by_id, n.note, n.at from read.case_notes n join read.cases c on c.case_id = n.case_id
         where c.tenant_id = $1 and n.case_id = $2 order by n.sequence",
    )
    .bind(tenant.0)
    .bind(id.0)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(by, note, at)| CaseNote { by: AccountId(by), note, at }).collect())
}

/// What a list of cases is asked for.
#[derive(Clone, Debug, Default)]
pub struct CaseFilter {
    /// One kind only.
    pub kind: Option<RunKind>,
    /// One class only.
    pub class: Option<Class>,
    /// One status only.
    pub status: Option<CaseStatus>,
    /// One source only.
    pub source: Option<String>,
    /// Only those that are open, or were opened, since before this time.
    pub opened_before: Option<DateTime<Utc>>,
}

/// The cases of a tenant, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    filter: &CaseFilter,
    request: &PageRequest,
) -> Result<Page<CaseView>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.cases where tenant_id = "));
    query.push_bind(tenant.0);
    if let Some(kind) = filter.kind {
        query.push(" and kind = ").push_bind(kind.as_str());
    }
    if let Some(class) = filter.class {
        query.push(" and class = ").push_bind(class.as_str());
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status.as_str());
    }
    if let Some(source) = &filter.source {
        query.push(" and source = ").push_bind(source.clone());
    }
    if let Some(before) = filter.opened_before {
        query.push(" and opened_at < ").push_bind(before);
    }
    if let Some(before) = request.after::<i64>()? {
        query.push(" and position < ").push_bind(before);
    }
    query.push(" order by position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let cases = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(cases, |case| case.position))
}

/// The open cases of a kind and, if given, of one source: those that a run which does not see them closes.
///
/// # Errors
/// If the database refuses.
pub async fn open(
    db: impl PgExecutor<'_>,
    kind: RunKind,
    source: Option<&str>,
) -> Result<Vec<(TenantId, CaseId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, case_id from read.cases
         where status = 'open' and kind = $1 and ($2::text is null or source = $2) order by position",
    )
    .bind(kind.as_str())
    .bind(source)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), CaseId(id))).collect())
}
