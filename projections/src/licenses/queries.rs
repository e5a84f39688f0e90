//! Questions about licences, machines and batches.
//!
//! Every query names the tenant; lists are cut to what the actor may see.

use chrono::{DateTime, Utc};
use quotary_domain::license::{LicenseStatus, Policy};
use quotary_domain::{AccountId, Actor, BatchId, LicenseId, PlanId, ProjectId, Quota, TenantId};
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor, QueryBuilder};
use uuid::Uuid;

use crate::page::{Page, PageError, PageRequest};
use crate::visibility::push_visible;

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicenseRecord {
    #[sqlx(try_from = "Uuid")]
    pub license_id: LicenseId,
    #[sqlx(try_from = "Uuid")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    pub plan_id: PlanId,
    pub plan_version: i64,
    #[sqlx(try_from = "Uuid")]
    pub agent_id: AccountId,
    #[sqlx(try_from = "Uuid")]
    pub batch_id: BatchId,
    /// Within the batch, from 1.
    pub number: i64,
    pub key_sealed: String,
    pub duration_days: Option<i64>,
    pub max_machines: i64,
    pub features: Json<Vec<String>>,
    /// `None` is the usual one.
    pub policy: Option<Json<Policy>>,
    pub issued_at: DateTime<Utc>,
    /// Of its issue.
    pub position: i64,
    pub activated_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub in_use: bool,
    pub disabled: bool,
    pub revoked: bool,
    pub extra_days: i64,
    pub unbinds: i64,
    pub unbound_at: Option<DateTime<Utc>>,
    /// Sealed.
    pub holder: Option<String>,
    pub transfers: i64,
    /// How many machines it is bound to.
    pub machines: i64,
    /// For `ETag`.
    pub sequence: i64,
}

impl LicenseRecord {
    /// How the licence stands at `at`; the same rule as `License::status`.
    #[must_use]
    pub fn status(&self, at: DateTime<Utc>) -> LicenseStatus {
        if self.revoked {
            LicenseStatus::Revoked
        } else if self.disabled {
            LicenseStatus::Disabled
        } else if self.expires_at.is_some_and(|end| end <= at) {
            LicenseStatus::Expired
        } else if self.in_use {
            LicenseStatus::Active
        } else {
            LicenseStatus::Unused
        }
    }
}

/// A machine that a licence is bound to.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MachineRecord {
    pub fingerprint_hash: String,
    /// Sealed.
    pub name: Option<String>,
    pub bound_at: DateTime<Utc>,
    /// Until when it holds its place; `None` if it need not be heard of.
    pub held_until: Option<DateTime<Utc>>,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BatchRecord {
    #[sqlx(try_from = "Uuid")]
    pub batch_id: BatchId,
    #[sqlx(try_from = "Uuid")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "Uuid")]
    pub agent_id: AccountId,
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    pub plan_id: PlanId,
    pub count: i64,
    #[sqlx(try_from = "i64")]
    pub total_price: Quota,
    pub issued: i64,
    /// `issuing`, `completed` or `stopped`.
    pub status: String,
    pub requested_at: DateTime<Utc>,
    /// When all were issued, or when it was stopped.
    pub completed_at: Option<DateTime<Utc>>,
    /// How often keys were handed out.
    pub exports: i64,
    /// The most keys handed out at a time.
    pub exported: i64,
    /// Of its request.
    pub position: i64,
    /// For `ETag`.
    pub sequence: i64,
    /// The payment that bought it, if there was one.
    pub order_id: Option<Uuid>,
    /// When its payment was taken back.
    pub refunded_at: Option<DateTime<Utc>>,
    /// What returned to the agent then, in minor units.
    pub refunded: Option<i64>,
    /// How many of its licences were disabled since.
    pub disabled: i64,
}

/// A key of a batch, still encrypted.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SealedKey {
    pub number: i64,
    #[sqlx(try_from = "Uuid")]
    pub license_id: LicenseId,
    pub key_sealed: String,
}

/// What a list of licences is narrowed to.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicenseFilter {
    pub project_id: Option<ProjectId>,
    pub batch_id: Option<BatchId>,
    pub agent_id: Option<AccountId>,
    /// At the time of asking.
    pub status: Option<LicenseStatus>,
}

const LICENSE_COLUMNS: &str = "select l.license_id, l.tenant_id, l.project_id, l.plan_id, l.agent_id, l.batch_id,
    l.number, l.key_sealed, l.duration_days, l.max_machines, l.features, l.issued_at, l.position, l.activated_at,
    l.expires_at, l.in_use, l.disabled, l.revoked, l.extra_days, l.unbinds, l.sequence, l.plan_version, l.policy,
    l.unbound_at, l.holder, l.transfers,
    (select count(*) from read.machines m where m.license_id = l.license_id) as machines
    from read.licenses l where ";

/// The licence, if the actor may see it.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn get(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    license_id: LicenseId,
) -> Result<Option<LicenseRecord>, sqlx::Error> {
    let mut query = QueryBuilder::new(LICENSE_COLUMNS);
    push_visible(&mut query, actor, "l");
    query.push(" and l.license_id = ").push_bind(license_id.0);
    query.build_query_as().fetch_optional(database).await
}

/// The licence of a tenant with this keyed hash of its key (base64url, as it stands in events).
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn by_key_hash(
    database: impl PgExecutor<'_>,
    tenant_id: TenantId,
    key_hash: &str,
) -> Result<Option<LicenseRecord>, sqlx::Error> {
    let mut query = QueryBuilder::new(LICENSE_COLUMNS);
    query.push("l.tenant_id = ").push_bind(tenant_id.0);
    query.push(" and l.key_hash = ").push_bind(key_hash);
    query.build_query_as().fetch_optional(database).await
}

/// The machines of a licence in the order of binding; the caller has checked that the licence may be seen.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn machines(
    database: impl PgExecutor<'_>,
    tenant_id: TenantId,
    license_id: LicenseId,
) -> Result<Vec<MachineRecord>, sqlx::Error> {
    let query = "select fingerprint_hash, name, bound_at, held_until from read.machines
                 where tenant_id = $1 and license_id = $2 order by position";
    sqlx::query_as(query).bind(tenant_id.0).bind(license_id.0).fetch_all(database).await
}

/// What was used of each meter of a licence, by the meter's name.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn used(database: impl PgExecutor<'_>, license_id: LicenseId) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let query = "select meter, used from read.meters where license_id = $1 order by meter";
    sqlx::query_as(query).bind(license_id.0).fetch_all(database).await
}

/// A page of the licences that the actor may see, newest first; their status is that at `now`.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the read model can't be read.
pub async fn list(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &LicenseFilter,
    now: DateTime<Utc>,
    page: &PageRequest,
) -> Result<Page<LicenseRecord>, PageError> {
    let mut query = QueryBuilder::new(LICENSE_COLUMNS);
    push_visible(&mut query, actor, "l");
    if let Some(project_id) = filter.project_id {
        query.push(" and l.project_id = ").push_bind(project_id.0);
    }
    if let Some(batch_id) = filter.batch_id {
        query.push(" and l.batch_id = ").push_bind(batch_id.0);
    }
    if let Some(agent_id) = filter.agent_id {
        query.push(" and l.agent_id = ").push_bind(agent_id.0);
    }
    if let Some(status) = filter.status {
        // The first condition that holds decides, as in `License::status`.
        query.push(" and case when l.revoked then 'revoked' when l.disabled then 'disabled' when l.expires_at <= ");
        query.push_bind(now).push(" then 'expired' when l.in_use then 'active' else 'unused' end = ");
        query.push_bind(status.as_str());
    }
    if let Some(before) = page.after::<i64>()? {
        query.push(" and l.position < ").push_bind(before);
    }
    query.push(" order by l.position desc limit ").push_bind(page.fetch());
    let rows: Vec<LicenseRecord> = query.build_query_as().fetch_all(database).await?;
    Ok(page.page(rows, |row| row.position))
}

const BATCH_COLUMNS: &str = "select b.batch_id, b.tenant_id, b.agent_id, b.project_id, b.plan_id, b.count,
    b.total_price, b.issued, b.status, b.requested_at, b.completed_at, b.exports, b.exported, b.position, b.sequence,
    b.order_id, b.refunded_at, b.refunded, b.disabled
    from read.batches b where ";

/// The batch, if the actor may see it.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn batch(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    batch_id: BatchId,
) -> Result<Option<BatchRecord>, sqlx::Error> {
    let mut query = QueryBuilder::new(BATCH_COLUMNS);
    push_visible(&mut query, actor, "b");
    query.push(" and b.batch_id = ").push_bind(batch_id.0);
    query.build_query_as().fetch_optional(database).await
}

/// Refunded batches of all tenants whose licences are not all disabled yet, the oldest first; the work list of the
/// process manager that disables them.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn batches_to_disable(
    database: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<(BatchId, TenantId)>, sqlx::Error> {
    let query = "select batch_id, tenant_id from read.batches
                 where refunded_at is not null and disabled < issued order by position limit $1";
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(query).bind(limit).fetch_all(database).await?;
    Ok(rows.into_iter().map(|(batch, tenant)| (BatchId(batch), TenantId(tenant))).collect())
}

/// The licences of a batch with the numbers above `after`, `limit` at most, in the order of issue.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn licenses_of_batch(
    database: impl PgExecutor<'_>,
    tenant_id: TenantId,
    batch_id: BatchId,
    after: u32,
    limit: u32,
) -> Result<Vec<LicenseId>, sqlx::Error> {
    let query = "select license_id from read.licenses
                 where tenant_id = $1 and batch_id = $2 and number > $3 order by number limit $4";
    let rows: Vec<Uuid> = sqlx::query_scalar(query)
        .bind(tenant_id.0)
        .bind(batch_id.0)
        .bind(i64::from(after))
        .bind(i64::from(limit))
        .fetch_all(database)
        .await?;
    Ok(rows.into_iter().map(LicenseId).collect())
}

/// A page of the batches that the actor may see, newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the read model can't be read.
pub async fn batches(
    database: impl PgExecutor<'_>,
    actor: &Actor,
    project_id: Option<ProjectId>,
    page: &PageRequest,
) -> Result<Page<BatchRecord>, PageError> {
    let mut query = QueryBuilder::new(BATCH_COLUMNS);
    push_visible(&mut query, actor, "b");
    if let Some(project_id) = project_id {
        query.push(" and b.project_id = ").push_bind(project_id.0);
    }
    if let Some(before) = page.after::<i64>()? {
        query.push(" and b.position < ").push_bind(before);
    }
    query.push(" order by b.position desc limit ").push_bind(page.fetch());
    let rows: Vec<BatchRecord> = query.build_query_as().fetch_all(database).await?;
    Ok(page.page(rows, |row| row.position))
}

/// The next `limit` keys of a batch from above `after` on, in the order of issue; for exports. The caller has checked
/// that the actor owns the batch.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn keys_of_batch(
    database: impl PgExecutor<'_>,
    tenant_id: TenantId,
    batch_id: BatchId,
    after: i64,
    limit: u32,
) -> Result<Vec<SealedKey>, sqlx::Error> {
    let query = "select number, license_id, key_sealed from read.licenses
                 where tenant_id = $1 and batch_id = $2 and number > $3 order by number limit $4";
    sqlx::query_as(query)
        .bind(tenant_id.0)
        .bind(batch_id.0)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(database)
        .await
}
