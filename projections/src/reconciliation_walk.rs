//! What a reconciliation found, all of it, from one state of the database: for downloads.
//!
//! What must always hold: the run, its rows and their cases come from one snapshot; rows are read some at a time, so memory
//! does not grow with their number; exactly those that were counted are read, or the walk fails. The snapshot ends with it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use quotary_domain::case::CaseStatus;
use quotary_domain::reconciliation::Class;
use quotary_domain::{CaseId, ReconciliationId, TenantId};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, Row, Transaction};
use uuid::Uuid;

use crate::page::EXPORT_LIMIT;
use crate::reconciliations::{self, Difference, INSTALLATION, Run, RunStatus, read_difference};
use crate::statement_walk::{Walk, WalkError, snapshot};

/// The case about something that was found, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseThen {
    /// Where it stands.
    pub status: CaseStatus,
    /// Since when it is, or was, open.
    pub opened_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
}

/// A snapshot with a run in it.
pub struct RunWalk {
    snapshot: Transaction<'static, Postgres>,
    tenant: TenantId,
    /// The run.
    pub run: Run,
}

impl RunWalk {
    /// A run that the tenant may see, in a snapshot of its own; nothing if there is none.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn begin(pool: &PgPool, tenant: TenantId, id: ReconciliationId) -> Result<Option<Self>, sqlx::Error> {
        let mut snapshot = snapshot(pool).await?;
        let run = reconciliations::get(&mut *snapshot, tenant, id).await?;
        Ok(run.map(|run| Self { snapshot, tenant, run }))
    }

    /// The differences of an internal run; one that was not completed has none, whatever it left on its way.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn differences(mut self) -> Result<DifferenceWalk, sqlx::Error> {
        let is_completed = self.run.status == RunStatus::Completed;
        let counts = if is_completed {
            reconciliations::counts(&mut *self.snapshot, self.tenant, self.run.id).await?
        } else {
            BTreeMap::new()
        };
        let kept: i64 = sqlx::query_scalar("select count(*) from public.reconciliation_differences where run_id = $1")
            .bind(self.run.id.0)
            .fetch_one(&mut *self.snapshot)
            .await?;
        let all = self.run.outcome.as_ref().map_or(0, |outcome| outcome.counts.values().sum());
        Ok(DifferenceWalk {
            count: counts.values().sum(),
            // Of one that is not the installation's, the counts are those of what is kept.
            is_all: !is_completed || self.run.tenant_id != INSTALLATION || kept.cast_unsigned() == all,
            counts,
            at: Place { over: !is_completed, ..Place::default() },
            of: self,
        })
    }

    /// The findings of a bill's run, of which there are `count`, and the head of its report; nothing if it has none.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn findings(mut self) -> Result<Option<FindingWalk>, sqlx::Error> {
        let head = sqlx::query_scalar("select head from public.bill_reports where run_id = $1 and tenant_id = $2")
            .bind(self.run.id.0)
            .bind(self.tenant.0)
            .fetch_optional(&mut *self.snapshot)
            .await?;
        let count: i64 =
            sqlx::query_scalar("select count(*) from public.bill_findings where run_id = $1 and tenant_id = $2")
                .bind(self.run.id.0)
                .bind(self.tenant.0)
                .fetch_one(&mut *self.snapshot)
                .await?;
        let of = self;
        Ok(head.map(|head| FindingWalk { head, count: count.cast_unsigned(), at: Place::default(), of }))
    }
}

/// Where a walk stands.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    after: i64,
    read: u64,
    over: bool,
}

impl Place {
    /// Notes what was read up to the row `last`; an error at an end that is not the right one.
    fn step(&mut self, last: Option<i64>, rows: usize, count: u64) -> Result<(), WalkError> {
        self.read += rows as u64;
        self.after = last.unwrap_or(self.after);
        self.over = rows < EXPORT_LIMIT as usize;
        if self.over && self.read != count {
            return Err(WalkError::Count { expected: count, found: self.read });
        }
        Ok(())
    }
}

/// The differences of an internal run that concern a tenant, one after the other.
pub struct DifferenceWalk {
    of: RunWalk,
    at: Place,
    /// How many there are of each class.
    pub counts: BTreeMap<Class, u64>,
    /// How many there are.
    pub count: u64,
    /// Whether the run kept all that it found: beyond a limit it only counts.
    pub is_all: bool,
}

impl DifferenceWalk {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.of.run
    }
}

/// The differences, each with its case.
impl Walk for DifferenceWalk {
    type Line = (Difference, Option<CaseThen>);

    async fn next(&mut self) -> Result<Vec<(Difference, Option<CaseThen>)>, WalkError> {
        if self.at.over {
            return Ok(vec![]);
        }
        let rows = sqlx::query(
            "select d.line, d.class, d.source, d.key, d.ours, d.theirs, d.amount, d.position, d.case_id,
                    c.status, c.opened_at, c.closed_at
             from public.reconciliation_differences d
             left join read.cases c on c.case_id = d.case_id and c.tenant_id = d.tenant_id
             where d.run_id = $1 and d.tenant_id = $2 and d.line > $3 order by d.line limit $4",
        )
        .bind(self.of.run.id.0)
        .bind(self.of.tenant.0)
        .bind(self.at.after)
        .bind(i64::from(EXPORT_LIMIT))
        .fetch_all(&mut *self.of.snapshot)
        .await?;
        let found = rows.iter().map(|row| Ok((read_difference(row)?, case(row)?)));
        let found = found.collect::<Result<Vec<_>, sqlx::Error>>()?;
        let last = found.last().map(|(difference, _)| difference.line.cast_signed());
        self.at.step(last, found.len(), self.count)?;
        Ok(found)
    }
}

/// A finding of a bill's run.
#[derive(Clone, Debug)]
pub struct KeptFinding {
    /// Its place in the report, from 1.
    pub number: u64,
    /// As it stands in the report, as JSON.
    pub text: String,
    /// The id of the case about it; absent if it is no difference.
    pub case_id: Option<CaseId>,
    /// The case.
    pub case: Option<CaseThen>,
}

/// The findings of a bill's run in the order of its report.
pub struct FindingWalk {
    of: RunWalk,
    at: Place,
    /// The report's JSON up to the first finding.
    pub head: String,
    /// How many findings there are.
    pub count: u64,
}

impl FindingWalk {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.of.run
    }
}

/// The findings.
impl Walk for FindingWalk {
    type Line = KeptFinding;

    async fn next(&mut self) -> Result<Vec<KeptFinding>, WalkError> {
        if self.at.over {
            return Ok(vec![]);
        }
        let rows = sqlx::query(
            "select f.number, f.finding::text as finding, f.case_id, c.status, c.opened_at, c.closed_at
             from public.bill_findings f
             left join read.cases c on c.case_id = f.case_id and c.tenant_id = f.tenant_id
             where f.run_id = $1 and f.tenant_id = $2 and f.number > $3 order by f.number limit $4",
        )
        .bind(self.of.run.id.0)
        .bind(self.of.tenant.0)
        .bind(self.at.after)
        .bind(i64::from(EXPORT_LIMIT))
        .fetch_all(&mut *self.of.snapshot)
        .await?;
        let read = |row: &PgRow| {
            let number = row.try_get::<i64, _>("number")?.cast_unsigned();
            let case_id = row.try_get::<Option<Uuid>, _>("case_id")?.map(CaseId);
            Ok(KeptFinding { number, text: row.try_get("finding")?, case_id, case: case(row)? })
        };
        let found = rows.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?;
        self.at.step(found.last().map(|finding| finding.number.cast_signed()), found.len(), self.count)?;
        Ok(found)
    }
}

/// The case of a row; nothing as long as the read model of cases does not have it.
fn case(row: &PgRow) -> Result<Option<CaseThen>, sqlx::Error> {
    let Some(status) = row.try_get::<Option<&str>, _>("status")? else { return Ok(None) };
    let status = CaseStatus::parse(status).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "status".to_owned(),
        source: format!("there is no status {status}").into(),
    })?;
    let (opened_at, closed_at) = (row.try_get("opened_at")?, row.try_get("closed_at")?);
    Ok(Some(CaseThen { status, opened_at, closed_at }))
}
