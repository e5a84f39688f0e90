//! The read model of ends of licences that nobody has noted yet: the work list of who notes them (rows L7, L11).
//!
//! What always holds: a licence that is not revoked has a row from its first end on, with its end and the end that was noted
//! last; it is due while the two differ. Whatever sets an end is an arm of [`Projection::fold`], and one that sets the same
//! end again makes nothing due.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::{Issue, LicenseEvent};
use quotary_domain::{Event, LicenseId, RecordedEvent, TenantId};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::projection::Projection;
use crate::rows::expect_rows;

const TABLES: &str = r"
create table license_ends (
    license_id uuid        primary key,
    tenant_id  uuid        not null,
    expires_at timestamptz,             -- null is without end
    noted      timestamptz              -- the end that was noted last
);
create index license_ends_due on license_ends (expires_at, license_id) where noted is distinct from expires_at;
";

/// The projection `license_ends`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LicenseEnds;

/// What a run means for ends.
#[derive(Default)]
pub struct EndRows {
    changed: HashMap<LicenseId, EndChange>,
    revoked: Vec<Uuid>,
}

/// What a run changes for a licence.
#[derive(Serialize)]
struct EndChange {
    license_id: LicenseId,
    tenant_id: TenantId,
    /// Whether it sets an end, or takes it away.
    sets_end: bool,
    expires_at: Option<DateTime<Utc>>,
    noted: Option<DateTime<Utc>>,
}

impl EndRows {
    fn change(&mut self, recorded: &RecordedEvent, change: impl FnOnce(&mut EndChange)) {
        let (license_id, tenant_id) = (LicenseId(recorded.aggregate_id), recorded.tenant_id);
        let nothing = EndChange { license_id, tenant_id, sets_end: false, expires_at: None, noted: None };
        change(self.changed.entry(license_id).or_insert(nothing));
    }

    fn set_end(&mut self, recorded: &RecordedEvent, expires_at: Option<DateTime<Utc>>) {
        self.change(recorded, |change| (change.sets_end, change.expires_at) = (true, expires_at));
    }
}

impl Projection for LicenseEnds {
    type Rows = EndRows;

    fn name(&self) -> &'static str {
        "license_ends"
    }

    fn version(&self) -> i32 {
        2
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["license_ends"]
    }

    fn fold(&self, rows: &mut EndRows, recorded: &RecordedEvent, event: &Event) {
        let Event::License(event) = event else { return };
        match event {
            LicenseEvent::LicenseActivated { expires_at: Some(expires_at), .. }
            | LicenseEvent::ValidityBegan { expires_at }
            | LicenseEvent::LicenseRenewed { expires_at: Some(expires_at), .. }
            | LicenseEvent::LicenseIssued(Issue { expires_at: Some(expires_at), .. }) => {
                rows.set_end(recorded, Some(*expires_at));
            }
            LicenseEvent::LicenseMoved { expires_at, .. } => rows.set_end(recorded, *expires_at),
            LicenseEvent::LicenseExpired { expires_at } => {
                rows.change(recorded, |change| change.noted = Some(*expires_at));
            }
            LicenseEvent::LicenseRevoked { .. } => rows.revoked.push(recorded.aggregate_id),
            LicenseEvent::LicenseIssued(Issue { expires_at: None, .. })
            | LicenseEvent::LicenseActivated { expires_at: None, .. }
            | LicenseEvent::MachineBound { .. }
            | LicenseEvent::MachineChanged { .. }
            | LicenseEvent::MachineDeactivated { .. }
            | LicenseEvent::MachineLapsed { .. }
            | LicenseEvent::LeaseExtended { .. }
            | LicenseEvent::UsageReported { .. }
            | LicenseEvent::LicenseUnbound { .. }
            | LicenseEvent::LicenseTransferred { .. }
            | LicenseEvent::LicenseDisabled {}
            | LicenseEvent::LicenseEnabled {}
            | LicenseEvent::LicenseRenewed { expires_at: None, .. } => {}
        }
    }

    async fn write(&self, rows: EndRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (set, noted): (Vec<EndChange>, Vec<EndChange>) =
            rows.changed.into_values().partition(|change| change.sets_end);
        if !set.is_empty() {
            let query = "
                insert into license_ends as known
                select license_id, tenant_id, expires_at, noted
                from jsonb_to_recordset($1) as x (license_id uuid, tenant_id uuid, expires_at timestamptz, noted timestamptz)
                on conflict (license_id) do update
                set expires_at = excluded.expires_at, noted = coalesce(excluded.noted, known.noted)";
            sqlx::query(query).bind(Json(set)).execute(&mut *connection).await?;
        }
        if !noted.is_empty() {
            let query = "update license_ends e set noted = x.noted
                         from jsonb_to_recordset($1) as x (license_id uuid, noted timestamptz)
                         where e.license_id = x.license_id";
            let expected = noted.len();
            let done = sqlx::query(query).bind(Json(noted)).execute(&mut *connection).await?;
            expect_rows("license_ends", &done, expected)?;
        }
        if !rows.revoked.is_empty() {
            // One that never had an end has no row.
            let query = "delete from license_ends where license_id = any($1)";
            sqlx::query(query).bind(rows.revoked).execute(connection).await?;
        }
        Ok(())
    }
}

/// Up to `limit` licences whose end has come by `now` and is not noted, the first to end first, those alone that come after
/// `after` in this order.
///
/// # Errors
/// [`sqlx::Error`] if the read model can't be read.
pub async fn due(
    database: impl PgExecutor<'_>,
    now: DateTime<Utc>,
    after: Option<(DateTime<Utc>, LicenseId)>,
    limit: i64,
) -> Result<Vec<(TenantId, LicenseId, DateTime<Utc>)>, sqlx::Error> {
    let query = "select tenant_id, license_id, expires_at from read.license_ends
                 where expires_at <= $1 and noted is distinct from expires_at
                   and ($2::timestamptz is null or (expires_at, license_id) > ($2, $3))
                 order by expires_at, license_id limit $4";
    let (at, id) = after.map_or((None, None), |(at, id)| (Some(at), Some(id.0)));
    let rows: Vec<(Uuid, Uuid, DateTime<Utc>)> =
        sqlx::query_as(query).bind(now).bind(at).bind(id).bind(limit).fetch_all(database).await?;
    Ok(rows.into_iter().map(|(tenant, license, end)| (TenantId(tenant), LicenseId(license), end)).collect())
}
