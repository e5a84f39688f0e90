//! Movements of quota to an agent: transfers between agents and top-ups.
//!
//! One row per movement, written from its first half; both halves are appended in one step, so the other one stands in the
//! log as well.

use chrono::{DateTime, Utc};
use quotary_domain::agent_quota::{AgentQuotaEvent, TransferKind};
use quotary_domain::{AccountId, Actor, Event, JournalId, RecordedEvent, Role, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::CopyRows;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "movements";

/// The movements read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Movements;

const TABLES: &str = "
create table transfers (
    journal_id  uuid        not null,
    position    bigint      not null,
    tenant_id   uuid        not null,
    kind        text        not null check (kind in ('transfer', 'top_up')),
    from_id     uuid,                      -- null when the tenant itself tops up
    to_id       uuid        not null,
    amount      bigint      not null check (amount > 0),
    note        text,
    actor       text,
    status      text        not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    primary key (journal_id, position)
);
create index on transfers (tenant_id, position);
create index on transfers (from_id, position) where from_id is not null;
create index on transfers (to_id, position);
";

const COPY: &str = "copy transfers (journal_id, position, tenant_id, kind, from_id, to_id, amount, note, actor, status, \
    occurred_at, recorded_at) from stdin (format binary)";

/// What kind of movement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// One agent gave to another.
    Transfer,
    /// An admin or the tenant itself gave to an agent.
    TopUp,
}

impl MovementKind {
    /// The kind's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::TopUp => "top_up",
        }
    }
}

/// A movement as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Its id.
    pub id: JournalId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// What kind it is.
    pub kind: MovementKind,
    /// The giver; `None` when the tenant itself tops up.
    pub from: Option<AccountId>,
    /// The receiver.
    pub to: AccountId,
    /// In minor units.
    pub amount: i64,
    /// A remark.
    pub note: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// `completed`.
    pub status: String,
    /// Where its first event stands in the log.
    pub position: u64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Projection for Movements {
    type Rows = Vec<Movement>;

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
        &["transfers"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "AgentQuota"
    }

    fn fold(&self, rows: &mut Vec<Movement>, recorded: &RecordedEvent, event: &Event) {
        let agent = AccountId(recorded.aggregate_id);
        let (id, kind, from, to, amount, note) = match event {
            Event::AgentQuota(AgentQuotaEvent::QuotaToppedUp { journal_id, amount, note }) => {
                (*journal_id, MovementKind::TopUp, None, agent, amount, note)
            }
            Event::AgentQuota(AgentQuotaEvent::QuotaSent { journal_id, kind, to, amount, note, .. }) => {
                let kind = match kind {
                    TransferKind::Transfer => MovementKind::Transfer,
                    TransferKind::TopUp => MovementKind::TopUp,
                };
                (*journal_id, kind, Some(agent), *to, amount, note)
            }
            _ => return,
        };
        rows.push(Movement {
            id,
            tenant_id: recorded.tenant_id,
            kind,
            from,
            to,
            amount: amount.minor_units(),
            note: note.clone(),
            actor: recorded.metadata.actor.clone(),
            status: "completed".to_owned(),
            position: recorded.position,
            occurred_at: recorded.occurred_at(),
            recorded_at: recorded.recorded_at,
        });
    }

    async fn write(&self, rows: Vec<Movement>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut copy = CopyRows::new(12, rows.len());
        for row in rows {
            copy.row()
                .uuid(row.id.0)
                .int8(row.position.cast_signed())
                .uuid(row.tenant_id.0)
                .text(row.kind.as_str())
                .uuid_or_null(row.from.map(|agent| agent.0))
                .uuid(row.to.0)
                .int8(row.amount)
                .text_or_null(row.note.as_deref())
                .text_or_null(row.actor.as_deref())
                .text(&row.status)
                .time(row.occurred_at)
                .time(row.recorded_at);
        }
        copy.send(connection, COPY).await
    }
}

/// What a list of movements is asked for.
#[derive(Clone, Debug, Default)]
pub struct MovementFilter {
    /// One kind only.
    pub kind: Option<MovementKind>,
    /// Only those that this agent gave or got.
    pub agent_id: Option<AccountId>,
}

fn query(actor: &Actor) -> QueryBuilder<'static, Postgres> {
    let mut query = QueryBuilder::new(
        "select journal_id, position, tenant_id, kind, from_id, to_id, amount, note, actor, status, occurred_at, recorded_at
         from read.transfers t where t.tenant_id = ",
    );
    let me = actor.account_id.0;
    query.push_bind(actor.tenant_id.0);
    match actor.role {
        Role::SuperAdmin | Role::Analyst | Role::Auditor => {}
        Role::Agent => {
            query.push(" and (t.from_id = ").push_bind(me).push(" or t.to_id = ").push_bind(me).push(")");
        }
        Role::AgentAdmin => {
            query.push(" and exists (select from read.accounts a where a.tenant_id = t.tenant_id");
            query.push(" and a.account_id in (t.from_id, t.to_id) and (a.account_id = ").push_bind(me);
            query.push(" or a.ancestors @> array[").push_bind(me).push("]))");
        }
    }
    query
}

/// A movement, if `actor` may see its giver or its receiver. Visibility also reads the read model `accounts`.
///
/// # Errors
/// If the database refuses.
pub async fn get(db: impl PgExecutor<'_>, actor: &Actor, id: JournalId) -> Result<Option<Movement>, sqlx::Error> {
    let mut query = query(actor);
    query.push(" and t.journal_id = ").push_bind(id.0).push(" order by t.position limit 1");
    query.build().fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// The movements that `actor` may see, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &MovementFilter,
    request: &PageRequest,
) -> Result<Page<Movement>, PageError> {
    let mut query = query(actor);
    if let Some(kind) = filter.kind {
        query.push(" and t.kind = ").push_bind(kind.as_str());
    }
    if let Some(AccountId(agent)) = filter.agent_id {
        query.push(" and (t.from_id = ").push_bind(agent).push(" or t.to_id = ").push_bind(agent).push(")");
    }
    if let Some(before) = request.after::<i64>()? {
        query.push(" and t.position < ").push_bind(before);
    }
    query.push(" order by t.position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let movements = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(movements, |movement| movement.position))
}

fn read(row: &PgRow) -> Result<Movement, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    Ok(Movement {
        id: JournalId(row.try_get("journal_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        // The column's check knows no third.
        kind: if kind == "top_up" { MovementKind::TopUp } else { MovementKind::Transfer },
        from: row.try_get::<Option<Uuid>, _>("from_id")?.map(AccountId),
        to: AccountId(row.try_get("to_id")?),
        amount: row.try_get("amount")?,
        note: row.try_get("note")?,
        actor: row.try_get("actor")?,
        status: row.try_get("status")?,
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
        occurred_at: row.try_get("occurred_at")?,
        recorded_at: row.try_get("recorded_at")?,
    })
}
