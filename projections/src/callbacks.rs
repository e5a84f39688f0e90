//! Deliveries of callbacks as people see them: which there are, what became of each attempt.
//!
//! These tables are no read model of the log: they are kept by who delivers. Every query names the tenant and the project.

use std::time::Duration;

use chrono::{DateTime, Utc};
use quotary_domain::{DeliveryId, ProjectId, TenantId};
use sqlx::{FromRow, PgExecutor, PgPool, QueryBuilder};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::page::{Page, PageError, PageRequest};
use crate::wait::WaitError;

/// What who delivers is called among the read models.
pub const NAME: &str = "callbacks";

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A callback on its way or at its end.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeliveryRecord {
    /// Its `webhook-id`.
    #[sqlx(try_from = "Uuid")]
    pub delivery_id: DeliveryId,
    /// The licence; absent for a test.
    pub license_id: Option<Uuid>,
    /// What it is about.
    pub r#type: String,
    /// `pending`, `delivered` or `dead`.
    pub status: String,
    /// What is sent.
    pub body: String,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it was replayed.
    pub replays: i32,
    /// What became of the last attempt, or why there is none.
    pub outcome: Option<String>,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
    /// When it is tried next; absent if it has ended or waits for an earlier one of its licence.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When trying ends.
    pub expires_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its place in lists.
    pub turn: i64,
}

/// An attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AttemptRecord {
    /// From 1.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i32,
    /// What became of it.
    pub outcome: String,
    /// The status of the answer, if there was one.
    pub http_status: Option<i32>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

const COLUMNS: &str = "select delivery_id, license_id, type, status, body, attempts, replays, outcome, happened_at, created_at,
    case when status = 'pending' and due_at < 'infinity' then due_at end as next_attempt_at, expires_at, finished_at, turn
    from callback_deliveries where ";

/// Which deliveries of a project.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter<'a> {
    /// One status only.
    pub status: Option<&'a str>,
    /// One licence only.
    pub license_id: Option<Uuid>,
}

/// A page of the deliveries of a project, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    database: impl PgExecutor<'_>,
    tenant: TenantId,
    project: ProjectId,
    filter: DeliveryFilter<'_>,
    page: &PageRequest,
) -> Result<Page<DeliveryRecord>, PageError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("project_id = ").push_bind(project.0).push(" and tenant_id = ").push_bind(tenant.0);
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status);
    }
    if let Some(license) = filter.license_id {
        query.push(" and license_id = ").push_bind(license);
    }
    if let Some(before) = page.after::<i64>()? {
        query.push(" and turn < ").push_bind(before);
    }
    query.push(" order by turn desc limit ").push_bind(page.fetch());
    let rows: Vec<DeliveryRecord> = query.build_query_as().fetch_all(database).await?;
    Ok(page.page(rows, |row| row.turn))
}

/// A delivery of a project, and its attempts in order.
///
/// # Errors
/// [`sqlx::Error`] if the database refuses.
pub async fn get(
    pool: &PgPool,
    tenant: TenantId,
    project: ProjectId,
    delivery: DeliveryId,
) -> Result<Option<(DeliveryRecord, Vec<AttemptRecord>)>, sqlx::Error> {
    let query = format!("{COLUMNS} delivery_id = $1 and tenant_id = $2 and project_id = $3");
    let found = sqlx::query_as(&query).bind(delivery.0).bind(tenant.0).bind(project.0).fetch_optional(pool).await?;
    let Some(record) = found else { return Ok(None) };
    let query = "select number, at, duration_ms, outcome, http_status, answer from callback_attempts
                 where delivery_id = $1 order by number";
    Ok(Some((record, sqlx::query_as(query).bind(delivery.0).fetch_all(pool).await?)))
}

/// Waits until who delivers has read the log to `position`, at most for `bound`.
///
/// # Errors
/// [`WaitError::Behind`] when the time is over, [`WaitError::Database`] if the database refuses.
pub async fn wait_for(pool: &PgPool, position: u64, bound: Duration) -> Result<(), WaitError> {
    let deadline = Instant::now() + bound;
    loop {
        let read: i64 = sqlx::query_scalar("select position from callback_intake").fetch_one(pool).await?;
        let checkpoint = read.cast_unsigned();
        if checkpoint >= position {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(WaitError::Behind { name: NAME.to_owned(), checkpoint, position });
        }
        sleep(LOOK_AGAIN).await;
    }
}
