//! The read model of licences, their machines and their batches (rows L1–L7).
//!
//! A licence's row equals the aggregate folded from its events. Several events of one licence in a run become one row or
//! one change; a change of a licence that is not known stops the run.

mod fold;
mod queries;
mod write;

use quotary_domain::license::{LicenseTerms, Policy};
use quotary_domain::{Event, RecordedEvent};
use sqlx::PgConnection;

pub use fold::LicenseRows;
pub use queries::{
    BatchRecord, LicenseFilter, LicenseRecord, MachineRecord, SealedKey, batch, batches, batches_to_disable,
    by_key_hash, get, keys_of_batch, licenses_of_batch, list, machines, used,
};

use crate::projection::Projection;

const TABLES: &str = r#"
create table licenses (
    license_id    uuid        primary key,
    tenant_id     uuid        not null,
    project_id    uuid        not null,
    plan_id       uuid        not null,
    plan_version  bigint      not null,
    agent_id      uuid        not null,
    batch_id      uuid        not null,
    number        bigint      not null,             -- within the batch, in the order of issue, from 1
    key_hash      text        not null collate "C",
    key_sealed    text        not null,
    duration_days bigint,                           -- null is perpetual
    max_machines  bigint      not null,
    features      json        not null,
    policy        json,                             -- null is the usual one
    issued_at     timestamptz not null,
    position      bigint      not null,             -- of its issue: the order of lists
    activated_at  timestamptz,
    expires_at    timestamptz,
    in_use        boolean     not null,
    disabled      boolean     not null,
    revoked       boolean     not null,
    extra_days    bigint      not null,
    unbinds       bigint      not null,
    unbound_at    timestamptz,
    holder        text,                             -- sealed
    transfers     bigint      not null,
    sequence      bigint      not null check (sequence > 0)
) with (fillfactor = 50);                           -- an activation rewrites the row: on its page, no index changes
-- Hashes are random: a B-tree of them costs more than all other indexes together. Keys are unique by their making.
create index licenses_key_hash on licenses using hash (key_hash);
create unique index licenses_batch on licenses (batch_id, number);
create index licenses_tenant on licenses (tenant_id, position);
create index licenses_project on licenses (project_id, position);
create index licenses_agent on licenses (agent_id, position);
create table machines (
    license_id       uuid        not null,
    fingerprint_hash text        not null collate "C",
    tenant_id        uuid        not null,
    name             text,                          -- sealed
    held_until       timestamptz,                   -- null: need not be heard of
    bound_at         timestamptz not null,
    position         bigint      not null,          -- of the binding: the order of lists
    primary key (license_id, position)              -- narrower than the hash; a licence has few machines
);
-- What was used of each meter.
create table meters (
    license_id uuid   not null,
    meter      text   not null,
    used       bigint not null check (used > 0),
    primary key (license_id, meter)
);
create table batches (
    batch_id     uuid        primary key,
    tenant_id    uuid        not null,
    agent_id     uuid        not null,
    project_id   uuid        not null,
    plan_id      uuid        not null,
    count        bigint      not null,
    total_price  bigint      not null check (total_price >= 0),
    issued       bigint      not null,
    status       text        not null check (status in ('issuing', 'completed', 'stopped')),
    requested_at timestamptz not null,
    completed_at timestamptz,                       -- when all were issued, or when it was stopped
    exports      bigint      not null,              -- how often keys were handed out
    exported     bigint      not null,              -- the most keys handed out at a time
    order_id     uuid,                              -- the payment that bought it, if there was one
    refunded_at  timestamptz,
    refunded     bigint,                            -- what returned to the agent
    disabled     bigint      not null,              -- licences disabled since the refund
    position     bigint      not null,
    sequence     bigint      not null check (sequence > 0),
    check (issued between 0 and count),
    check (disabled between 0 and issued)
);
create index batches_tenant on batches (tenant_id, position);
create index batches_issuing on batches (position) where status = 'issuing';
create index batches_refunded on batches (position) where refunded_at is not null and disabled < issued;
create index batches_agent on batches (agent_id, position);
-- How many licences of a batch have a number.
create table batch_numbers (
    batch_id uuid   primary key,
    last     bigint not null
);
"#;

/// The terms that the columns of a licence or a plan hold.
///
/// # Errors
/// If `features` or `policy` are not what this program writes.
pub(crate) fn terms(
    duration_days: Option<i64>,
    max_machines: i64,
    features: &str,
    policy: Option<&str>,
) -> Result<LicenseTerms, serde_json::Error> {
    Ok(LicenseTerms {
        duration_days: duration_days.and_then(|days| u32::try_from(days).ok()),
        max_machines: u32::try_from(max_machines).unwrap_or_default(),
        features: serde_json::from_str(features)?,
        policy: policy.map_or_else(|| Ok(Policy::default()), serde_json::from_str)?,
    })
}

/// The projection `licenses`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Licenses;

impl Projection for Licenses {
    type Rows = LicenseRows;

    fn name(&self) -> &'static str {
        "licenses"
    }

    fn version(&self) -> i32 {
        3
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["licenses", "machines", "meters", "batches"]
    }

    fn fold(&self, rows: &mut LicenseRows, recorded: &RecordedEvent, event: &Event) {
        match event {
            Event::License(event) => rows.fold_license(recorded, event),
            Event::LicenseBatch(event) => rows.fold_batch(recorded, event),
            _ => {}
        }
    }

    async fn write(&self, rows: LicenseRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write::write(rows, connection).await
    }
}
