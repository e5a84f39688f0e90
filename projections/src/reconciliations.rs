//! Reconciliation runs: what was asked for and what came of it.
//!
//! The differences of a run stand in a table of their own beside the log (`reconciliation_differences`); a run of the whole
//! installation belongs to no tenant, and each tenant sees of it what concerns it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::reconciliation::{Class, ReconciliationEvent, RunKind, RunOutcome, RunRequest};
use quotary_domain::{CaseId, Event, ReconciliationId, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;

/// The name of this read model.
pub const NAME: &str = "reconciliations";

/// The tenant of runs that concern the whole installation.
pub const INSTALLATION: TenantId = TenantId(Uuid::nil());

/// The read model of runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reconciliations;

const TABLES: &str = "
create table reconciliations (
    run_id       uuid        primary key,
    tenant_id    uuid        not null,
    kind         text        not null check (kind in ('internal', 'external')),
    request      jsonb       not null,
    status       text        not null check (status in ('requested', 'completed', 'incomplete')),
    requested_at timestamptz not null,
    ended_at     timestamptz,
    outcome      jsonb,                    -- of a completed run
    differences  bigint,
    proved       bigint,                   -- the position up to which a completed run speaks
    reason       text,                     -- of an incomplete one
    detail       text,
    sequence     bigint      not null,
    position     bigint      not null      -- of the request
);
create index on reconciliations (tenant_id, position);
create index on reconciliations (position) where status = 'requested';
";

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Not ended yet.
    Requested,
    /// Everything was compared.
    Completed,
    /// It could not be completed.
    Incomplete,
}

impl RunStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A run as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: ReconciliationId,
    /// Its tenant; [`INSTALLATION`] for a run of all.
    pub tenant_id: TenantId,
    /// What was asked for.
    pub request: RunRequest,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What a completed run says.
    pub outcome: Option<RunOutcome>,
    /// Why an incomplete one is.
    pub reason: Option<String>,
    /// In words.
    pub detail: Option<String>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Where the request stands in the log.
    pub position: u64,
}

struct Requested {
    id: Uuid,
    tenant: Uuid,
    request: RunRequest,
    at: DateTime<Utc>,
    position: i64,
}

struct Ended {
    at: DateTime<Utc>,
    outcome: Option<RunOutcome>,
    reason: Option<&'static str>,
    detail: Option<String>,
    sequence: i64,
}

/// What a run of events means: requests first, then ends.
#[derive(Default)]
pub struct ReconciliationRows {
    requested: Vec<Requested>,
    ended: HashMap<Uuid, Ended>,
}

impl Projection for Reconciliations {
    type Rows = ReconciliationRows;

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
        &["reconciliations"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Reconciliation"
    }

    fn fold(&self, rows: &mut ReconciliationRows, recorded: &RecordedEvent, event: &Event) {
        let Event::Reconciliation(event) = event else {
            return;
        };
        let (outcome, reason, detail) = match event {
            ReconciliationEvent::ReconciliationRequested(request) => {
                rows.requested.push(Requested {
                    id: recorded.aggregate_id,
                    tenant: recorded.tenant_id.0,
                    request: request.clone(),
                    at: recorded.recorded_at,
                    position: recorded.position.cast_signed(),
                });
                return;
            }
            ReconciliationEvent::ReconciliationCompleted(outcome) => (Some(outcome.clone()), None, None),
            ReconciliationEvent::ReconciliationAbandoned { reason, detail } => {
                (None, Some(reason.as_str()), detail.as_deref().map(|text| storable(text).into_owned()))
            }
        };
        let sequence = recorded.sequence.cast_signed();
        rows.ended.insert(recorded.aggregate_id, Ended { at: recorded.recorded_at, outcome, reason, detail, sequence });
    }

    async fn write(&self, rows: ReconciliationRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // Runs are few; a statement for each keeps this plain.
        for run in rows.requested {
            sqlx::query(
                "insert into reconciliations (run_id, tenant_id, kind, request, status, requested_at, sequence, position)
                 values ($1, $2, $3, $4, 'requested', $5, 1, $6)",
            )
            .bind(run.id)
            .bind(run.tenant)
            .bind(run.request.subject.kind().as_str())
            .bind(Json(run.request))
            .bind(run.at)
            .bind(run.position)
            .execute(&mut *connection)
            .await?;
        }
        for (id, end) in rows.ended {
            let differences = end.outcome.as_ref().map(|outcome| outcome.differences().cast_signed());
            let done = sqlx::query(
                "update reconciliations
                 set status = $2, ended_at = $3, outcome = $4, differences = $5, proved = $6, reason = $7, detail = $8,
                     sequence = $9
                 where run_id = $1",
            )
            .bind(id)
            .bind(if end.outcome.is_some() { "completed" } else { "incomplete" })
            .bind(end.at)
            .bind(end.outcome.as_ref().map(Json))
            .bind(differences)
            .bind(end.outcome.as_ref().map(|outcome| outcome.position.cast_signed()))
            .bind(end.reason)
            .bind(end.detail)
            .bind(end.sequence)
            .execute(&mut *connection)
            .await?;
            expect_rows("reconciliations", &done, 1)?;
        }
        Ok(())
    }
}

const COLUMNS: &str = "run_id, tenant_id, request, status, requested_at, ended_at, outcome, reason, detail, sequence, \
    position";

fn read(row: &PgRow) -> Result<Run, sqlx::Error> {
    let Json(request): Json<RunRequest> = row.try_get("request")?;
    let outcome: Option<Json<RunOutcome>> = row.try_get("outcome")?;
    let status: &str = row.try_get("status")?;
    Ok(Run {
        id: ReconciliationId(row.try_get("run_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        request,
        // The column's check knows no fourth.
        status: match status {
            "completed" => RunStatus::Completed,
            "incomplete" => RunStatus::Incomplete,
            _ => RunStatus::Requested,
        },
        requested_at: row.try_get("requested_at")?,
        ended_at: row.try_get("ended_at")?,
        outcome: outcome.map(|Json(outcome)| outcome),
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// A run of the tenant's own or of the whole installation.
///
/// # Errors
/// If the database refuses.
pub async fn get(db: impl PgExecutor<'_>, tenant: TenantId, id: ReconciliationId) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query(&format!("select {COLUMNS} from read.reconciliations where tenant_id in ($1, $2) and run_id = $3"))
        .bind(tenant.0)
        .bind(INSTALLATION.0)
        .bind(id.0)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// What a list of runs is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter {
    /// One kind only.
    pub kind: Option<RunKind>,
    /// One status only.
    pub status: Option<RunStatus>,
}

/// The runs of a tenant and of the whole installation, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    filter: RunFilter,
    request: &PageRequest,
) -> Result<Page<Run>, PageError> {
    let mut query =
        QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.reconciliations where tenant_id in ("));
    query.push_bind(tenant.0).push(", ").push_bind(INSTALLATION.0).push(")");
    if let Some(kind) = filter.kind {
        query.push(" and kind = ").push_bind(kind.as_str());
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status.as_str());
    }
    if let Some(before) = request.after::<i64>()? {
        query.push(" and position < ").push_bind(before);
    }
    query.push(" order by position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let runs = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(runs, |run| run.position))
}

/// Runs that have not ended, the oldest first: the work list of those who compare.
///
/// # Errors
/// If the database refuses.
pub async fn requested(db: impl PgExecutor<'_>, kind: RunKind, limit: i64) -> Result<Vec<Run>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from read.reconciliations where status = 'requested' and kind = $1 order by position limit $2"
    );
    sqlx::query(&query).bind(kind.as_str()).bind(limit).fetch_all(db).await?.iter().map(read).collect()
}

/// The runs of a tenant that have ended, the newest first.
///
/// # Errors
/// If the database refuses.
pub async fn ended(db: impl PgExecutor<'_>, tenant: TenantId, limit: i64) -> Result<Vec<Run>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from read.reconciliations where status <> 'requested' and tenant_id = $1
         order by position desc limit $2"
    );
    sqlx::query(&query).bind(tenant.0).bind(limit).fetch_all(db).await?.iter().map(read).collect()
}

/// A difference of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The order in which it was found.
    pub line: u64,
    /// What kind of difference it is.
    pub class: Class,
    /// A table of ours, or the log.
    pub source: String,
    /// Which row.
    pub key: String,
    /// What the log says.
    pub ours: Option<String>,
    /// What the read model says.
    pub theirs: Option<String>,
    /// By how much they differ, ours less theirs.
    pub amount: Option<i64>,
    /// Where the log says it.
    pub position: Option<u64>,
    /// The case about it.
    pub case_id: Option<CaseId>,
}

/// The differences of a run that concern a tenant, in the order in which they were found.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn differences(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    run: ReconciliationId,
    class: Option<Class>,
    request: &PageRequest,
) -> Result<Page<Difference>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(
        "select line, class, source, key, ours, theirs, amount, position, case_id
         from public.reconciliation_differences where tenant_id = ",
    );
    query.push_bind(tenant.0).push(" and run_id = ").push_bind(run.0);
    if let Some(class) = class {
        query.push(" and class = ").push_bind(class.as_str());
    }
    if let Some(after) = request.after::<i64>()? {
        query.push(" and line > ").push_bind(after);
    }
    query.push(" order by line limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let found = rows.iter().map(read_difference).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(found, |difference| difference.line))
}

/// How many differences of each class a run has of a tenant.
///
/// # Errors
/// If the database refuses.
pub async fn counts(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    run: ReconciliationId,
) -> Result<BTreeMap<Class, u64>, sqlx::Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select class, count(*) from public.reconciliation_differences where tenant_id = $1 and run_id = $2 group by class",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|(class, count)| Some((Class::parse(&class)?, count.cast_unsigned()))).collect())
}

pub(crate) fn read_difference(row: &PgRow) -> Result<Difference, sqlx::Error> {
    let class: &str = row.try_get("class")?;
    Ok(Difference {
        line: row.try_get::<i64, _>("line")?.cast_unsigned(),
        class: Class::parse(class).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "class".to_owned(),
            source: format!("there is no class {class}").into(),
        })?,
        source: row.try_get("source")?,
        key: row.try_get("key")?,
        ours: row.try_get("ours")?,
        theirs: row.try_get("theirs")?,
        amount: row.try_get("amount")?,
        position: row.try_get::<Option<i64>, _>("position")?.map(i64::cast_unsigned),
        case_id: row.try_get::<Option<Uuid>, _>("case_id")?.map(CaseId),
    })
}
