//! The read model of ends of licences that nobody has noted yet: the work list of who notes them (rows L7, L11).
//!
//! What always holds: a licence has a row while it has an end, is not revoked, and the end is not noted. Whatever sets an
//! end is an arm of [`Projection::fold`].

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::{Issue, LicenseEvent};
use quotary_domain::{Event, LicenseId, RecordedEvent, TenantId};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::projection::Projection;

const TABLES: &str = r"
create table license_ends (
    license_id uuid        primary key,
    tenant_id  uuid        not null,
    expires_at timestamptz not null
);
create index license_ends_due on license_ends (expires_at, license_id);
";

/// The projection `license_ends`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LicenseEnds;

/// What a run means for ends: the last word on each licence; `None` takes its row away.
#[derive(Default)]
pub struct EndRows(HashMap<LicenseId, Option<EndRow>>);

#[derive(Serialize)]
struct EndRow {
    license_id: LicenseId,
    tenant_id: TenantId,
    expires_at: DateTime<Utc>,
}

impl Projection for LicenseEnds {
    type Rows = EndRows;

    fn name(&self) -> &'static str {
        "license_ends"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["license_ends"]
    }

    fn fold(&self, rows: &mut EndRows, recorded: &RecordedEvent, event: &Event) {
        let Event::License(event) = event else { return };
        let license_id = LicenseId(recorded.aggregate_id);
        let tenant_id = recorded.tenant_id;
        match event {
            LicenseEvent::LicenseActivated { expires_at: Some(expires_at), .. }
            | LicenseEvent::ValidityBegan { expires_at }
            | LicenseEvent::LicenseRenewed { expires_at: Some(expires_at), .. }
            | LicenseEvent::LicenseMoved { expires_at: Some(expires_at), .. }
            | LicenseEvent::LicenseIssued(Issue { expires_at: Some(expires_at), .. }) => {
                rows.0.insert(license_id, Some(EndRow { license_id, tenant_id, expires_at: *expires_at }));
            }
            LicenseEvent::LicenseExpired { .. }
            | LicenseEvent::LicenseRevoked { .. }
            | LicenseEvent::LicenseMoved { expires_at: None, .. } => {
                rows.0.insert(license_id, None);
            }
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
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (license_id, row) in rows.0 {
            match row {
                Some(row) => set.push(row),
                None => gone.push(license_id.0),
            }
        }
        if !set.is_empty() {
            let query = "insert into license_ends select * from jsonb_populate_recordset(null::license_ends, $1)
                         on conflict (license_id) do update set expires_at = excluded.expires_at";
            sqlx::query(query).bind(Json(set)).execute(&mut *connection).await?;
        }
        if !gone.is_empty() {
            // One that came and went within the run has no row.
            sqlx::query("delete from license_ends where license_id = any($1)").bind(gone).execute(connection).await?;
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
                 where expires_at <= $1 and ($2::timestamptz is null or (expires_at, license_id) > ($2, $3))
                 order by expires_at, license_id limit $4";
    let (at, id) = after.map_or((None, None), |(at, id)| (Some(at), Some(id.0)));
    let rows: Vec<(Uuid, Uuid, DateTime<Utc>)> =
        sqlx::query_as(query).bind(now).bind(at).bind(id).bind(limit).fetch_all(database).await?;
    Ok(rows.into_iter().map(|(tenant, license, end)| (TenantId(tenant), LicenseId(license), end)).collect())
}
