//! Withdrawals: who asked for how much, who decided, and whether it was paid.
//!
//! Bank details are not here; they stay sealed in the log.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::risk::RiskReason;
use quotary_domain::withdrawal::{WithdrawalEvent, WithdrawalStatus};
use quotary_domain::{AccountId, Actor, Event, RecordedEvent, TenantId, WithdrawalId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;
use crate::visibility::push_visible;

/// The name of this read model.
pub const NAME: &str = "withdrawals";

/// The withdrawals read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Withdrawals;

const TABLES: &str = "
create table withdrawals (
    withdrawal_id uuid        primary key,
    tenant_id     uuid        not null,
    agent_id      uuid        not null,
    amount        bigint      not null check (amount > 0),   -- to be paid: what a review let go, if there was one
    asked_amount  bigint      not null check (asked_amount >= amount),
    status        text        not null check (status in ('requested', 'approved', 'refused', 'paid', 'suspended',
                                                         'cancelled', 'expired')),
    reasons       text,                   -- JSON: the rules that suspended it; null if none did
    expires_at    timestamptz,            -- when a suspended one ends by itself
    released_by   uuid,
    released_at   timestamptz,
    requested_at  timestamptz not null,
    decided_by    uuid,
    decided_at    timestamptz,
    reason        text,
    paid_by       uuid,
    paid_at       timestamptz,
    reference     text,
    sequence      bigint      not null,   -- of the withdrawal's last event: its ETag
    position      bigint      not null    -- of the request
);
create index on withdrawals (tenant_id, position);
create index on withdrawals (agent_id, position);
create index on withdrawals (tenant_id, status, position) where status in ('requested', 'suspended', 'approved');
";

/// A withdrawal as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Its id.
    pub withdrawal_id: WithdrawalId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Whose quota it is.
    pub agent_id: AccountId,
    /// To be paid, in minor units: what was asked for, or what a review let go of it.
    pub amount: i64,
    /// What was asked for.
    pub asked_amount: i64,
    /// The rules that suspended it.
    pub reasons: Vec<RiskReason>,
    /// When a suspended one ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who let it go on after it was suspended.
    pub released_by: Option<AccountId>,
    /// When.
    pub released_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub status: WithdrawalStatus,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Who approved, refused or cancelled.
    pub decided_by: Option<AccountId>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Who said that it was paid.
    pub paid_by: Option<AccountId>,
    /// When.
    pub paid_at: Option<DateTime<Utc>>,
    /// The bank's reference.
    pub reference: Option<String>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Where the request stands in the log.
    pub position: u64,
}

/// What later events of a run changed.
#[derive(Default)]
struct Change {
    status: Option<WithdrawalStatus>,
    released: Option<(Uuid, DateTime<Utc>, i64)>,
    decided: Option<(Uuid, DateTime<Utc>)>,
    reason: Option<String>,
    paid: Option<(Uuid, DateTime<Utc>)>,
    reference: Option<String>,
    sequence: i64,
}

struct Request {
    id: Uuid,
    tenant: Uuid,
    agent: Uuid,
    amount: i64,
    status: &'static str,
    reasons: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    position: i64,
}

/// What a run of events means for withdrawals: requests first, then the changes to them and to earlier ones.
#[derive(Default)]
pub struct WithdrawalRows {
    requested: Vec<Request>,
    changed: HashMap<Uuid, Change>,
}

impl Projection for Withdrawals {
    type Rows = WithdrawalRows;

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
        &["withdrawals"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Withdrawal"
    }

    fn fold(&self, rows: &mut WithdrawalRows, recorded: &RecordedEvent, event: &Event) {
        let Event::Withdrawal(event) = event else {
            return;
        };
        let at = recorded.occurred_at();
        if let WithdrawalEvent::WithdrawalRequested(request) = event {
            rows.requested.push(Request {
                id: recorded.aggregate_id,
                tenant: recorded.tenant_id.0,
                agent: request.agent_id.0,
                amount: request.amount.minor_units(),
                status: if request.reasons.is_empty() { "requested" } else { "suspended" },
                // Reasons are numbers and names; writing them to memory as JSON can't fail.
                reasons: (!request.reasons.is_empty())
                    .then(|| serde_json::to_string(&request.reasons).unwrap_or_default()),
                expires_at: request.expires_at,
                at,
                position: recorded.position.cast_signed(),
            });
            return;
        }
        let change = rows.changed.entry(recorded.aggregate_id).or_default();
        change.sequence = recorded.sequence.cast_signed();
        match event {
            WithdrawalEvent::WithdrawalRequested(_) => {}
            WithdrawalEvent::WithdrawalReleased { by, amount } => {
                change.status = Some(WithdrawalStatus::Requested);
                change.released = Some((by.0, at, amount.minor_units()));
            }
            WithdrawalEvent::WithdrawalCancelled {} => {
                change.status = Some(WithdrawalStatus::Cancelled);
                let by = recorded.metadata.actor.as_deref().and_then(|actor| Uuid::parse_str(actor).ok());
                change.decided = by.map(|by| (by, at));
            }
            WithdrawalEvent::WithdrawalExpired {} => change.status = Some(WithdrawalStatus::Expired),
            WithdrawalEvent::WithdrawalApproved { by } => {
                change.status = Some(WithdrawalStatus::Approved);
                change.decided = Some((by.0, at));
            }
            WithdrawalEvent::WithdrawalRefused { by, reason } => {
                change.status = Some(WithdrawalStatus::Refused);
                change.decided = Some((by.0, at));
                change.reason = reason.as_deref().map(|text| storable(text).into_owned());
            }
            WithdrawalEvent::WithdrawalPaid { by, reference } => {
                change.status = Some(WithdrawalStatus::Paid);
                change.paid = Some((by.0, at));
                change.reference = reference.as_deref().map(|text| storable(text).into_owned());
            }
        }
    }

    async fn write(&self, rows: WithdrawalRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write_requested(rows.requested, connection).await?;
        write_changed(rows.changed, connection).await
    }
}

async fn write_requested(requested: Vec<Request>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if requested.is_empty() {
        return Ok(());
    }
    let (mut ids, mut tenants, mut agents) = (vec![], vec![], vec![]);
    let (mut amounts, mut times, mut positions) = (vec![], vec![], vec![]);
    let (mut states, mut reasons, mut ends) = (vec![], vec![], vec![]);
    for request in requested {
        ids.push(request.id);
        tenants.push(request.tenant);
        agents.push(request.agent);
        amounts.push(request.amount);
        states.push(request.status);
        reasons.push(request.reasons);
        ends.push(request.expires_at);
        times.push(request.at);
        positions.push(request.position);
    }
    sqlx::query(
        "insert into withdrawals (withdrawal_id, tenant_id, agent_id, amount, asked_amount, status, reasons, expires_at,
                                  requested_at, sequence, position)
         select n.id, n.tenant, n.agent, n.amount, n.amount, n.status, n.reasons, n.expires_at, n.at, 1, n.position
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[],
                     $8::text[], $9::timestamptz[])
              as n (id, tenant, agent, amount, at, position, status, reasons, expires_at)",
    )
    .bind(ids)
    .bind(tenants)
    .bind(agents)
    .bind(amounts)
    .bind(times)
    .bind(positions)
    .bind(states)
    .bind(reasons)
    .bind(ends)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_changed(changed: HashMap<Uuid, Change>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let (mut ids, mut states, mut sequences) = (vec![], vec![], vec![]);
    let (mut deciders, mut decided, mut reasons) = (vec![], vec![], vec![]);
    let (mut payers, mut paid, mut references) = (vec![], vec![], vec![]);
    let (mut releasers, mut released, mut amounts) = (vec![], vec![], vec![]);
    for (id, change) in changed {
        ids.push(id);
        states.push(change.status.map(WithdrawalStatus::as_str));
        sequences.push(change.sequence);
        deciders.push(change.decided.map(|(by, _)| by));
        decided.push(change.decided.map(|(_, at)| at));
        reasons.push(change.reason);
        payers.push(change.paid.map(|(by, _)| by));
        paid.push(change.paid.map(|(_, at)| at));
        references.push(change.reference);
        releasers.push(change.released.map(|(by, _, _)| by));
        released.push(change.released.map(|(_, at, _)| at));
        amounts.push(change.released.map(|(_, _, amount)| amount));
    }
    let expected = ids.len();
    let done = sqlx::query(
        "update withdrawals w
         set status = coalesce(n.status, w.status), sequence = n.sequence,
             decided_by = coalesce(n.decided_by, w.decided_by), decided_at = coalesce(n.decided_at, w.decided_at),
             reason = coalesce(n.reason, w.reason),
             paid_by = coalesce(n.paid_by, w.paid_by), paid_at = coalesce(n.paid_at, w.paid_at),
             reference = coalesce(n.reference, w.reference),
             released_by = coalesce(n.released_by, w.released_by), released_at = coalesce(n.released_at, w.released_at),
             amount = coalesce(n.amount, w.amount)
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[], $7::uuid[],
                     $8::timestamptz[], $9::text[], $10::uuid[], $11::timestamptz[], $12::bigint[])
              as n (id, status, sequence, decided_by, decided_at, reason, paid_by, paid_at, reference, released_by,
                    released_at, amount)
         where w.withdrawal_id = n.id",
    )
    .bind(ids)
    .bind(states)
    .bind(sequences)
    .bind(deciders)
    .bind(decided)
    .bind(reasons)
    .bind(payers)
    .bind(paid)
    .bind(references)
    .bind(releasers)
    .bind(released)
    .bind(amounts)
    .execute(connection)
    .await?;
    expect_rows("withdrawals", &done, expected)
}

const COLUMNS: &str = "w.withdrawal_id, w.tenant_id, w.agent_id, w.amount, w.status, w.requested_at, w.decided_by, \
    w.decided_at, w.reason, w.paid_by, w.paid_at, w.reference, w.sequence, w.position, w.asked_amount, w.reasons, \
    w.expires_at, w.released_by, w.released_at";

fn read(row: &PgRow) -> Result<Withdrawal, sqlx::Error> {
    use WithdrawalStatus::{Approved, Cancelled, Expired, Paid, Refused, Requested, Suspended};
    let status: &str = row.try_get("status")?;
    let reasons = row.try_get::<Option<&str>, _>("reasons")?.map(serde_json::from_str).transpose();
    let known = [Requested, Approved, Refused, Paid, Suspended, Cancelled, Expired]
        .into_iter()
        .find(|known| known.as_str() == status);
    Ok(Withdrawal {
        withdrawal_id: WithdrawalId(row.try_get("withdrawal_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        agent_id: AccountId(row.try_get("agent_id")?),
        amount: row.try_get("amount")?,
        asked_amount: row.try_get("asked_amount")?,
        reasons: reasons
            .map_err(|source| sqlx::Error::ColumnDecode { index: "reasons".to_owned(), source: source.into() })?
            .unwrap_or_default(),
        expires_at: row.try_get("expires_at")?,
        released_by: row.try_get::<Option<Uuid>, _>("released_by")?.map(AccountId),
        released_at: row.try_get("released_at")?,
        status: known.ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "status".to_owned(),
            source: format!("there is no status {status}").into(),
        })?,
        requested_at: row.try_get("requested_at")?,
        decided_by: row.try_get::<Option<Uuid>, _>("decided_by")?.map(AccountId),
        decided_at: row.try_get("decided_at")?,
        reason: row.try_get("reason")?,
        paid_by: row.try_get::<Option<Uuid>, _>("paid_by")?.map(AccountId),
        paid_at: row.try_get("paid_at")?,
        reference: row.try_get("reference")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// A withdrawal, if `actor` may see its agent. Visibility also reads the read model `accounts`.
///
/// # Errors
/// If the database refuses.
pub async fn get(db: impl PgExecutor<'_>, actor: &Actor, id: WithdrawalId) -> Result<Option<Withdrawal>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.withdrawals w where "));
    push_visible(&mut query, actor, "w");
    query.push(" and w.withdrawal_id = ").push_bind(id.0);
    query.build().fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// What a list of withdrawals is asked for.
#[derive(Clone, Debug, Default)]
pub struct WithdrawalFilter {
    /// One status only.
    pub status: Option<WithdrawalStatus>,
    /// One agent only.
    pub agent_id: Option<AccountId>,
}

/// The withdrawals of the agents that `actor` may see, the newest first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &WithdrawalFilter,
    request: &PageRequest,
) -> Result<Page<Withdrawal>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.withdrawals w where "));
    push_visible(&mut query, actor, "w");
    if let Some(status) = filter.status {
        query.push(" and w.status = ").push_bind(status.as_str());
    }
    if let Some(agent) = filter.agent_id {
        query.push(" and w.agent_id = ").push_bind(agent.0);
    }
    if let Some(before) = request.after::<i64>()? {
        query.push(" and w.position < ").push_bind(before);
    }
    query.push(" order by w.position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(found, |withdrawal| withdrawal.position))
}
