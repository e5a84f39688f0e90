//! Movements of quota to an agent: transfers between agents and top-ups.
//!
//! One row per movement, written from its first half; both halves are appended in one step, so the other one stands in the
//! log as well. A movement that a risk rule suspended has one row too, from its suspension on: what it moves later is told
//! by its stream, and the ledger's own event of it makes no second row. A reversal of what moved changes the row's status.

use chrono::{DateTime, Utc};
use hashbrown::{HashMap, HashSet};
use quotary_domain::agent_quota::{AgentQuotaEvent, TransferKind};
use quotary_domain::reversal::ReversalEvent;
use quotary_domain::risk::RiskReason;
use quotary_domain::transfer::TransferEvent;
use quotary_domain::{AccountId, Actor, Event, JournalId, RecordedEvent, Role, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::{CopyRows, storable};
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;

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
    status      text        not null check (status in ('completed', 'suspended', 'refused', 'expired', 'reversed',
                                                           'partly_reversed')),
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    reasons     text,                      -- JSON: the rules that suspended it; null if it moved at once
    expires_at  timestamptz,               -- when a suspended one ends by itself
    settlement  uuid,                      -- the journal in which a suspended one moves if it is let go
    moved       bigint check (moved > 0 and moved <= amount),  -- what was let go of a suspended one
    decided_by  uuid,
    decided_at  timestamptz,
    reason      text,                      -- why it was refused
    reversal    uuid,                      -- the journal that took it, or a part of it, back
    reversed    bigint check (reversed > 0 and reversed <= coalesce(moved, amount)),  -- how much
    primary key (journal_id, position)
);
create index on transfers (tenant_id, position);
create index on transfers (from_id, position) where from_id is not null;
create index on transfers (to_id, position);
create index on transfers (tenant_id, position) where status = 'suspended';
create index on transfers (expires_at) where status = 'suspended' and from_id is null;
create unique index on transfers (settlement) where settlement is not null;
";

const COPY: &str = "copy transfers (journal_id, position, tenant_id, kind, from_id, to_id, amount, note, actor, status, \
    occurred_at, recorded_at, reasons, expires_at, settlement) from stdin (format binary)";

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
    /// `completed`, `suspended`, `refused` or `expired`; `reversed` or `partly_reversed` after it was completed.
    pub status: String,
    /// Where its first event stands in the log.
    pub position: u64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// What is only known of one that a rule suspended.
    pub review: Option<Review>,
    /// How it was taken back.
    pub reversal: Option<Reversal>,
}

/// How a movement was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// The journal that did it.
    pub journal_id: JournalId,
    /// How much.
    pub amount: i64,
}

/// What is known of a movement that a rule suspended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The rules that suspended it.
    pub reasons: Vec<RiskReason>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The journal in which it moves if it is let go.
    pub settlement: JournalId,
    /// How much was let go.
    pub moved: Option<i64>,
    /// Who let it go or refused it.
    pub decided_by: Option<AccountId>,
    /// When it was decided on or expired.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// What became of a suspended movement.
#[derive(Debug)]
struct Decision {
    status: &'static str,
    moved: Option<i64>,
    by: Option<Uuid>,
    at: DateTime<Utc>,
    reason: Option<String>,
}

/// What a run of events means: movements first, then what became of these and of earlier ones, reversals last.
#[derive(Debug, Default)]
pub struct MovementRows {
    made: Vec<Movement>,
    decided: HashMap<Uuid, Decision>,
    /// By the journal that was taken back.
    reversed: Vec<(JournalId, Reversal)>,
}

impl Projection for Movements {
    type Rows = MovementRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        3
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["transfers"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        matches!(aggregate_type, "AgentQuota" | "Transfer" | "Reversal")
    }

    fn fold(&self, rows: &mut MovementRows, recorded: &RecordedEvent, event: &Event) {
        let agent = AccountId(recorded.aggregate_id);
        match event {
            Event::AgentQuota(AgentQuotaEvent::QuotaToppedUp { journal_id, amount, note }) => {
                let amount = amount.minor_units();
                rows.made.push(movement(
                    recorded,
                    *journal_id,
                    MovementKind::TopUp,
                    (None, agent),
                    amount,
                    note.as_ref(),
                ));
            }
            Event::AgentQuota(AgentQuotaEvent::QuotaSent { journal_id, kind, to, amount, note, .. }) => {
                let (parties, amount) = ((Some(agent), *to), amount.minor_units());
                rows.made.push(movement(recorded, *journal_id, (*kind).into(), parties, amount, note.as_ref()));
            }
            Event::Transfer(event) => fold_review(rows, recorded, event),
            Event::Reversal(ReversalEvent::JournalReversed(made)) => {
                let reversal = Reversal { journal_id: made.journal_id, amount: made.amount.minor_units() };
                rows.reversed.push((made.reverses, reversal));
            }
            _ => {}
        }
    }

    async fn write(&self, rows: MovementRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write_made(rows.made, connection).await?;
        write_decided(rows.decided, connection).await?;
        write_reversed(&rows.reversed, connection).await
    }
}

impl From<TransferKind> for MovementKind {
    fn from(kind: TransferKind) -> Self {
        match kind {
            TransferKind::Transfer => Self::Transfer,
            TransferKind::TopUp => Self::TopUp,
        }
    }
}

fn movement(
    recorded: &RecordedEvent,
    id: JournalId,
    kind: MovementKind,
    (from, to): (Option<AccountId>, AccountId),
    amount: i64,
    note: Option<&String>,
) -> Movement {
    Movement {
        id,
        tenant_id: recorded.tenant_id,
        kind,
        from,
        to,
        amount,
        note: note.cloned(),
        actor: recorded.metadata.actor.clone(),
        status: "completed".to_owned(),
        position: recorded.position,
        occurred_at: recorded.occurred_at(),
        recorded_at: recorded.recorded_at,
        review: None,
        reversal: None,
    }
}

fn fold_review(rows: &mut MovementRows, recorded: &RecordedEvent, event: &TransferEvent) {
    let id = JournalId(recorded.aggregate_id);
    let (status, moved, by, reason) = match event {
        TransferEvent::TransferSuspended(request) => {
            let (parties, amount) = ((request.from, request.to), request.amount.minor_units());
            let made = movement(recorded, id, request.kind.into(), parties, amount, request.note.as_ref());
            let review = Review {
                reasons: request.reasons.clone(),
                expires_at: request.expires_at,
                settlement: request.settlement(id),
                moved: None,
                decided_by: None,
                decided_at: None,
                reason: None,
            };
            rows.made.push(Movement { status: "suspended".to_owned(), review: Some(review), ..made });
            return;
        }
        TransferEvent::TransferReleased { by, amount } => ("completed", Some(amount.minor_units()), Some(by.0), None),
        TransferEvent::TransferRefused { by, reason } => ("refused", None, Some(by.0), reason.as_deref()),
        TransferEvent::TransferExpired {} => ("expired", None, None, None),
    };
    let reason = reason.map(|text| storable(text).into_owned());
    rows.decided.insert(id.0, Decision { status, moved, by, at: recorded.occurred_at(), reason });
}

async fn write_made(mut made: Vec<Movement>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    leave_out_settlements(&mut made, connection).await?;
    if made.is_empty() {
        return Ok(());
    }
    let mut copy = CopyRows::new(15, made.len());
    for row in made {
        let reasons = match &row.review {
            Some(review) => Some(serde_json::to_string(&review.reasons).map_err(|e| sqlx::Error::Encode(e.into()))?),
            None => None,
        };
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
            .time(row.recorded_at)
            .text_or_null(reasons.as_deref())
            .time_or_null(row.review.as_ref().and_then(|review| review.expires_at))
            .uuid_or_null(row.review.as_ref().map(|review| review.settlement.0));
    }
    copy.send(connection, COPY).await
}

/// A top-up that is the settlement of a suspended one has its row already.
async fn leave_out_settlements(made: &mut Vec<Movement>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_candidate = |row: &Movement| row.from.is_none() && row.review.is_none();
    let candidates: Vec<Uuid> = made.iter().filter(|row| is_candidate(row)).map(|row| row.id.0).collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let known: Vec<Uuid> = sqlx::query_scalar("select settlement from transfers where settlement = any($1)")
        .bind(candidates)
        .fetch_all(connection)
        .await?;
    let of_this_run = made.iter().filter_map(|row| row.review.as_ref()).map(|review| review.settlement.0);
    let settlements: HashSet<Uuid> = of_this_run.chain(known).collect();
    made.retain(|row| !is_candidate(row) || !settlements.contains(&row.id.0));
    Ok(())
}

async fn write_decided(decided: HashMap<Uuid, Decision>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if decided.is_empty() {
        return Ok(());
    }
    let (mut ids, mut states, mut moved) = (vec![], vec![], vec![]);
    let (mut deciders, mut times, mut reasons) = (vec![], vec![], vec![]);
    for (id, decision) in decided {
        ids.push(id);
        states.push(decision.status);
        moved.push(decision.moved);
        deciders.push(decision.by);
        times.push(decision.at);
        reasons.push(decision.reason);
    }
    let expected = ids.len();
    let done = sqlx::query(
        "update transfers t
         set status = n.status, moved = n.moved, decided_by = n.decided_by, decided_at = n.decided_at, reason = n.reason
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[])
              as n (id, status, moved, decided_by, decided_at, reason)
         where t.journal_id = n.id and t.settlement is not null",
    )
    .bind(ids)
    .bind(states)
    .bind(moved)
    .bind(deciders)
    .bind(times)
    .bind(reasons)
    .execute(connection)
    .await?;
    expect_rows("transfers", &done, expected)
}

/// A journal is reversed once, and has one row: by its own id, or as the settlement of one that waited.
async fn write_reversed(reversed: &[(JournalId, Reversal)], connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if reversed.is_empty() {
        return Ok(());
    }
    let originals: Vec<Uuid> = reversed.iter().map(|(original, _)| original.0).collect();
    let journals: Vec<Uuid> = reversed.iter().map(|(_, reversal)| reversal.journal_id.0).collect();
    let amounts: Vec<i64> = reversed.iter().map(|(_, reversal)| reversal.amount).collect();
    let done = sqlx::query(
        "update transfers t
         set reversal = n.journal, reversed = n.amount,
             status = case when n.amount = coalesce(t.moved, t.amount) then 'reversed' else 'partly_reversed' end
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as n (original, journal, amount)
         where t.journal_id = n.original or t.settlement = n.original",
    )
    .bind(originals)
    .bind(journals)
    .bind(amounts)
    .execute(connection)
    .await?;
    expect_rows("transfers", &done, reversed.len())
}

/// What a list of movements is asked for.
#[derive(Clone, Debug, Default)]
pub struct MovementFilter {
    /// One kind only.
    pub kind: Option<MovementKind>,
    /// Only those that this agent gave or got.
    pub agent_id: Option<AccountId>,
    /// One status only.
    pub status: Option<MovementStatus>,
    /// The oldest first, as whoever works off a list wants it.
    pub oldest_first: bool,
}

/// Where a movement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementStatus {
    /// All of it, or what a review let go, has moved.
    Completed,
    /// A rule holds it up until an admin decides.
    Suspended,
    /// An admin refused it.
    Refused,
    /// Nobody decided in time.
    Expired,
    /// All that moved was taken back.
    Reversed,
    /// A part of what moved was taken back.
    PartlyReversed,
}

impl MovementStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Reversed => "reversed",
            Self::PartlyReversed => "partly_reversed",
        }
    }
}

fn query(actor: &Actor) -> QueryBuilder<'static, Postgres> {
    let mut query = QueryBuilder::new(
        "select journal_id, position, tenant_id, kind, from_id, to_id, amount, note, actor, status, occurred_at, recorded_at,
                reasons, expires_at, settlement, moved, decided_by, decided_at, reason, reversal, reversed
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

/// The movements that `actor` may see, the newest first unless the filter says otherwise.
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
    if let Some(status) = filter.status {
        // Not bound: the index of the review list is for one status.
        query.push(format_args!(" and t.status = '{}'", status.as_str()));
    }
    let (beyond, order) = if filter.oldest_first { (">", "asc") } else { ("<", "desc") };
    if let Some(last) = request.after::<i64>()? {
        query.push(format_args!(" and t.position {beyond} ")).push_bind(last);
    }
    query.push(format_args!(" order by t.position {order} limit ")).push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let movements = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(movements, |movement| movement.position))
}

/// Suspended top-ups by tenants themselves whose time is over at `now`, the longest overdue first.
///
/// # Errors
/// If the database refuses.
pub async fn expired_top_ups(
    db: impl PgExecutor<'_>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(TenantId, JournalId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select tenant_id, journal_id from read.transfers
         where status = 'suspended' and from_id is null and expires_at <= $1 order by expires_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), JournalId(id))).collect())
}

fn read(row: &PgRow) -> Result<Movement, sqlx::Error> {
    let kind: &str = row.try_get("kind")?;
    let review = match row.try_get::<Option<&str>, _>("reasons")? {
        None => None,
        Some(reasons) => Some(Review {
            reasons: serde_json::from_str(reasons)
                .map_err(|source| sqlx::Error::ColumnDecode { index: "reasons".to_owned(), source: source.into() })?,
            expires_at: row.try_get("expires_at")?,
            settlement: JournalId(row.try_get("settlement")?),
            moved: row.try_get("moved")?,
            decided_by: row.try_get::<Option<Uuid>, _>("decided_by")?.map(AccountId),
            decided_at: row.try_get("decided_at")?,
            reason: row.try_get("reason")?,
        }),
    };
    let reversal = match row.try_get::<Option<Uuid>, _>("reversal")? {
        None => None,
        Some(journal) => Some(Reversal { journal_id: JournalId(journal), amount: row.try_get("reversed")? }),
    };
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
        review,
        reversal,
    })
}
