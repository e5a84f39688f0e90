//! The audit trail: who did what, when, one row per event; and the events themselves for auditors.
//!
//! The trail finds positions by tenant, aggregate and actor, so that the log needs no further index; the events are then
//! read from the log by their primary key.

use chrono::{DateTime, Utc};
use quotary_domain::{AccountId, Event, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::CopyRows;
use crate::log_reader::{self, LogError};
use crate::moment::Moment;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "audit";

/// The audit read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audit;

const TABLES: &str = "
create table audit_trail (
    tenant_id      uuid        not null,
    position       bigint      not null,
    actor          text,
    command        text,
    aggregate_type text        not null,
    aggregate_id   uuid        not null,
    event_type     text        not null,
    correlation_id text,
    recorded_at    timestamptz not null,
    occurred_at    timestamptz not null,
    primary key (tenant_id, position)
);
create index on audit_trail (tenant_id, aggregate_type, position);
create index on audit_trail (aggregate_id, position);
create index on audit_trail (tenant_id, actor, position) where actor is not null;
create index on audit_trail (tenant_id, correlation_id) where correlation_id is not null;
create index on audit_trail using brin (recorded_at);
";

const COPY: &str = "copy audit_trail (tenant_id, position, actor, command, aggregate_type, aggregate_id, event_type, \
    correlation_id, recorded_at, occurred_at) from stdin (format binary)";

/// One action, as the trail shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Where it stands in the log.
    pub position: u64,
    /// Who acted; absent for what runs by itself.
    pub actor: Option<String>,
    /// The command behind it.
    pub command: Option<String>,
    /// What it happened to.
    pub aggregate_type: String,
    /// Which one.
    pub aggregate_id: Uuid,
    /// What happened.
    pub event_type: String,
    /// What all events of one business step share.
    pub correlation_id: Option<String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl Projection for Audit {
    type Rows = Vec<Action>;

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
        &["audit_trail"]
    }

    fn fold(&self, rows: &mut Vec<Action>, recorded: &RecordedEvent, _event: &Event) {
        rows.push(Action {
            tenant_id: recorded.tenant_id,
            position: recorded.position,
            actor: recorded.metadata.actor.clone(),
            command: recorded.metadata.command.clone(),
            aggregate_type: recorded.aggregate_type.clone(),
            aggregate_id: recorded.aggregate_id,
            event_type: recorded.event_type.clone(),
            correlation_id: recorded.metadata.correlation_id.clone(),
            recorded_at: recorded.recorded_at,
            occurred_at: recorded.occurred_at(),
        });
    }

    async fn write(&self, rows: Vec<Action>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut copy = CopyRows::new(10, rows.len());
        for row in rows {
            copy.row()
                .uuid(row.tenant_id.0)
                .int8(row.position.cast_signed())
                .text_or_null(row.actor.as_deref())
                .text_or_null(row.command.as_deref())
                .text(&row.aggregate_type)
                .uuid(row.aggregate_id)
                .text(&row.event_type)
                .text_or_null(row.correlation_id.as_deref())
                .time(row.recorded_at)
                .time(row.occurred_at);
        }
        copy.send(connection, COPY).await
    }
}

/// What actions are asked for.
#[derive(Clone, Debug, Default)]
pub struct ActionFilter {
    /// Only what came after this position, or after this time of recording.
    pub after: Option<Moment>,
    /// Only what came up to this position, or up to this time of recording.
    pub until: Option<Moment>,
    /// One type of aggregate.
    pub aggregate_type: Option<String>,
    /// One aggregate.
    pub aggregate_id: Option<Uuid>,
    /// One actor.
    pub actor: Option<AccountId>,
    /// One business step.
    pub correlation_id: Option<String>,
}

fn push_filter(query: &mut QueryBuilder<'_, Postgres>, tenant: TenantId, filter: &ActionFilter) {
    query.push("t.tenant_id = ").push_bind(tenant.0);
    // "Until" includes its place, "after" does not.
    for (bound, sign) in [(filter.after, ">"), (filter.until, "<=")] {
        match bound {
            Some(Moment::Position(position)) => {
                query.push(format_args!(" and t.position {sign} ")).push_bind(position.cast_signed());
            }
            Some(Moment::Time(time)) => {
                query.push(format_args!(" and t.recorded_at {sign} ")).push_bind(time);
            }
            None => {}
        }
    }
    if let Some(aggregate_type) = &filter.aggregate_type {
        query.push(" and t.aggregate_type = ").push_bind(aggregate_type.clone());
    }
    if let Some(id) = filter.aggregate_id {
        query.push(" and t.aggregate_id = ").push_bind(id);
    }
    if let Some(actor) = filter.actor {
        query.push(" and t.actor = ").push_bind(actor.to_string());
    }
    if let Some(correlation) = &filter.correlation_id {
        query.push(" and t.correlation_id = ").push_bind(correlation.clone());
    }
}

/// The actions of a tenant, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn actions(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    filter: &ActionFilter,
    request: &PageRequest,
) -> Result<Page<Action>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(
        "select tenant_id, position, actor, command, aggregate_type, aggregate_id, event_type, correlation_id,
                recorded_at, occurred_at
         from read.audit_trail t where ",
    );
    push_filter(&mut query, tenant, filter);
    if let Some(before) = request.after::<i64>()? {
        query.push(" and t.position < ").push_bind(before);
    }
    query.push(" order by t.position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let found = rows
        .iter()
        .map(|row| {
            Ok(Action {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                position: row.try_get::<i64, _>("position")?.cast_unsigned(),
                actor: row.try_get("actor")?,
                command: row.try_get("command")?,
                aggregate_type: row.try_get("aggregate_type")?,
                aggregate_id: row.try_get("aggregate_id")?,
                event_type: row.try_get("event_type")?,
                correlation_id: row.try_get("correlation_id")?,
                recorded_at: row.try_get("recorded_at")?,
                occurred_at: row.try_get("occurred_at")?,
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(request.page(found, |action| action.position))
}

/// Up to `limit` events of a tenant with their payloads, in log order; go on with `after` the last position.
///
/// # Errors
/// [`LogError`] if the database refuses or an event can't be read.
pub async fn events(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    filter: &ActionFilter,
    limit: u32,
) -> Result<Vec<RecordedEvent>, LogError> {
    // The trail's indexes find the positions; the log is probed by its primary key. Its own tenant is asked for again:
    // what a read model says is never the only fence between tenants.
    let mut query = QueryBuilder::<Postgres>::new(format!(
        "select {} from (select t.position from read.audit_trail t where ",
        log_reader::COLUMNS.split(", ").map(|column| format!("e.{}", column.trim())).collect::<Vec<_>>().join(", ")
    ));
    push_filter(&mut query, tenant, filter);
    query.push(" order by t.position limit ").push_bind(i64::from(limit));
    query.push(") found join public.events e on e.position = found.position where e.tenant_id = ").push_bind(tenant.0);
    query.push(" order by e.position");
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(log_reader::recorded_event).collect()
}
