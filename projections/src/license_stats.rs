//! Daily statistics and the first funnel of licences (rows S1, S4).
//!
//! A day is the UTC day on which something happened, which for imported history is not when it was recorded. A licence
//! counts once in each step of the funnel of the day it was issued; a batch handed out twice is distributed once.
//!
//! Events of a licence name only the licence, so the read model keeps a slim fact about each: whose it is, and when it
//! was issued.

mod fold;
mod queries;
mod write;

use quotary_domain::{Event, RecordedEvent};
use sqlx::PgConnection;

pub use fold::{LicenseStatRows, Subject};
pub use queries::{Funnel, LicenseStats, Period, StatsFilter, StatsQuery, funnel, stats};

use crate::projection::Projection;

const TABLES: &str = r"
create table license_days (
    tenant_id  uuid   not null,
    project_id uuid   not null,
    plan_id    uuid   not null,
    agent_id   uuid   not null,
    day        date   not null,                     -- UTC, of what happened
    issued     bigint not null,
    exported   bigint not null,
    activated  bigint not null,
    unbound    bigint not null,
    disabled   bigint not null,
    revoked    bigint not null,
    renewed    bigint not null,
    primary key (tenant_id, project_id, plan_id, agent_id, day)
);
create table license_cohorts (
    tenant_id               uuid   not null,
    project_id              uuid   not null,
    plan_id                 uuid   not null,
    agent_id                uuid   not null,
    day                     date   not null,        -- UTC, of the issue
    issued                  bigint not null,
    exported                bigint not null,
    activated               bigint not null,
    activated_within_7_days bigint not null,
    primary key (tenant_id, project_id, plan_id, agent_id, day),
    check (exported <= issued and activated <= issued and activated_within_7_days <= activated)
);
-- Whose a licence is, written out once per combination.
create table license_subjects (
    subject_id int  generated always as identity primary key,
    tenant_id  uuid not null,
    project_id uuid not null,
    plan_id    uuid not null,
    agent_id   uuid not null,
    unique (tenant_id, project_id, plan_id, agent_id)
);
create table license_facts (
    license_id uuid        primary key,
    issued_at  timestamptz not null,
    subject_id int         not null
);
-- How many licences of a batch were issued on a day, and how many of them were handed out.
create table batch_days (
    batch_id   uuid   not null,
    subject_id int    not null,
    day        date   not null,
    issued     bigint not null,
    exported   bigint not null,
    primary key (batch_id, subject_id, day),
    check (exported <= issued)
);
";

/// The projection `license_stats`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LicenseStatistics;

impl Projection for LicenseStatistics {
    type Rows = LicenseStatRows;

    fn name(&self) -> &'static str {
        "license_stats"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["license_days", "license_cohorts"]
    }

    fn fold(&self, rows: &mut LicenseStatRows, recorded: &RecordedEvent, event: &Event) {
        match event {
            Event::License(event) => rows.fold_license(recorded, event),
            Event::LicenseBatch(event) => rows.fold_batch(recorded, event),
            _ => {}
        }
    }

    async fn write(&self, rows: LicenseStatRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write::write(rows, connection).await
    }
}
