//! Open holds: what of an agent's quota is reserved, for what, and until when.
//!
//! One row per hold that has not ended. It is also the work list of whatever ends holds whose time is over, so it may be
//! late and is never decided on.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::agent_quota::{AgentQuotaEvent, HoldPurpose};
use quotary_domain::{AccountId, Actor, BatchId, Event, HoldId, JournalId, RecordedEvent, TenantId, WithdrawalId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;
use crate::visibility::push_visible;

/// The name of this read model.
pub const NAME: &str = "holds";

/// The open holds read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holds;

const TABLES: &str = "
create table holds (
    hold_id     uuid        not null,
    agent_id    uuid        not null,
    tenant_id   uuid        not null,
    amount      bigint      not null check (amount > 0),
    amount_left bigint      not null check (amount_left between 0 and amount),
    purpose     text        not null check (purpose in ('batch', 'withdrawal', 'transfer')),
    purpose_id  uuid        not null,
    held_at     timestamptz not null,
    expires_at  timestamptz,
    position    bigint      not null,
    primary key (hold_id, agent_id)
);
create index on holds (agent_id, position);
create index on holds (expires_at) where expires_at is not null;
";

/// An open hold as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// Whose quota it is.
    pub agent_id: AccountId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// What was reserved, in minor units.
    pub amount: i64,
    /// What is left of it.
    pub amount_left: i64,
    /// Why.
    pub purpose: HoldPurpose,
    /// When it was made.
    pub held_at: DateTime<Utc>,
    /// When what is left returns by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where it stands in the log.
    pub position: u64,
}

/// What a run means for one hold.
#[derive(Default)]
struct Change {
    /// What was taken of the hold that stands in the table.
    taken: i64,
    /// A hold of that id that began in this run.
    opened: Option<Hold>,
}

/// What a run of events means for holds.
#[derive(Default)]
pub struct HoldRows(HashMap<(Uuid, Uuid), Change>);

impl Projection for Holds {
    type Rows = HoldRows;

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
        &["holds"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "AgentQuota"
    }

    fn fold(&self, rows: &mut HoldRows, recorded: &RecordedEvent, event: &Event) {
        let Event::AgentQuota(event) = event else { return };
        let agent = recorded.aggregate_id;
        match event {
            AgentQuotaEvent::QuotaHeld { hold_id, amount, purpose, expires_at, .. } => {
                let change = rows.0.entry((hold_id.0, agent)).or_default();
                change.opened = Some(Hold {
                    hold_id: *hold_id,
                    agent_id: AccountId(agent),
                    tenant_id: recorded.tenant_id,
                    amount: amount.minor_units(),
                    amount_left: amount.minor_units(),
                    purpose: *purpose,
                    held_at: recorded.occurred_at(),
                    expires_at: *expires_at,
                    position: recorded.position,
                });
            }
            AgentQuotaEvent::HoldSettled { hold_id, amount, .. }
            | AgentQuotaEvent::HoldReleased { hold_id, amount, .. }
            | AgentQuotaEvent::HoldExpired { hold_id, amount, .. } => {
                let change = rows.0.entry((hold_id.0, agent)).or_default();
                match &mut change.opened {
                    Some(hold) => hold.amount_left -= amount.minor_units(),
                    None => change.taken += amount.minor_units(),
                }
            }
            _ => {}
        }
    }

    async fn write(&self, rows: HoldRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (mut taken, mut opened) = (vec![], vec![]);
        for ((hold, agent), change) in rows.0 {
            if change.taken > 0 {
                taken.push((hold, agent, change.taken));
            }
            opened.extend(change.opened.filter(|hold| hold.amount_left > 0));
        }
        write_taken(taken, connection).await?;
        write_opened(&opened, connection).await
    }
}

async fn write_taken(taken: Vec<(Uuid, Uuid, i64)>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let expected = taken.len();
    let (mut holds, mut agents, mut amounts) = (vec![], vec![], vec![]);
    for (hold, agent, amount) in taken {
        holds.push(hold);
        agents.push(agent);
        amounts.push(amount);
    }
    let done = sqlx::query(
        "update holds h set amount_left = h.amount_left - n.amount
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as n (hold_id, agent_id, amount)
         where h.hold_id = n.hold_id and h.agent_id = n.agent_id",
    )
    .bind(&holds)
    .bind(&agents)
    .bind(amounts)
    .execute(&mut *connection)
    .await?;
    expect_rows("holds", &done, expected)?;
    sqlx::query(
        "delete from holds h using unnest($1::uuid[], $2::uuid[]) as n (hold_id, agent_id)
         where h.hold_id = n.hold_id and h.agent_id = n.agent_id and h.amount_left = 0",
    )
    .bind(holds)
    .bind(agents)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_opened(opened: &[Hold], connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if opened.is_empty() {
        return Ok(());
    }
    let purposes: Vec<(&str, Uuid)> = opened.iter().map(|hold| named(hold.purpose)).collect();
    sqlx::query(
        "insert into holds (hold_id, agent_id, tenant_id, amount, amount_left, purpose, purpose_id, held_at, expires_at,
                            position)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::uuid[],
                              $8::timestamptz[], $9::timestamptz[], $10::bigint[])",
    )
    .bind(opened.iter().map(|hold| hold.hold_id.0).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.agent_id.0).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.tenant_id.0).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.amount).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.amount_left).collect::<Vec<_>>())
    .bind(purposes.iter().map(|(name, _)| *name).collect::<Vec<_>>())
    .bind(purposes.iter().map(|(_, id)| *id).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.held_at).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.expires_at).collect::<Vec<_>>())
    .bind(opened.iter().map(|hold| hold.position.cast_signed()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// The purpose's name in columns and answers, and what it is for.
#[must_use]
pub fn named(purpose: HoldPurpose) -> (&'static str, Uuid) {
    match purpose {
        HoldPurpose::Batch(BatchId(id)) => ("batch", id),
        HoldPurpose::Withdrawal(WithdrawalId(id)) => ("withdrawal", id),
        HoldPurpose::Transfer(JournalId(id)) => ("transfer", id),
    }
}

const COLUMNS: &str = "h.hold_id, h.agent_id, h.tenant_id, h.amount, h.amount_left, h.purpose, h.purpose_id, h.held_at, \
    h.expires_at, h.position";

/// The open holds of an agent that `actor` may see, the oldest first. Visibility also reads the read model `accounts`.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn of_agent(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    agent: AccountId,
    request: &PageRequest,
) -> Result<Page<Hold>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.holds h where "));
    push_visible(&mut query, actor, "h");
    query.push(" and h.agent_id = ").push_bind(agent.0);
    if let Some(after) = request.after::<i64>()? {
        query.push(" and h.position > ").push_bind(after);
    }
    query.push(" order by h.position limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let holds = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(holds, |hold| hold.position))
}

/// Open holds of all tenants whose time is over at `now`, the longest overdue first.
///
/// # Errors
/// If the database refuses.
pub async fn expired(db: impl PgExecutor<'_>, now: DateTime<Utc>, limit: i64) -> Result<Vec<Hold>, sqlx::Error> {
    let query = format!("select {COLUMNS} from read.holds h where h.expires_at <= $1 order by h.expires_at limit $2");
    let rows = sqlx::query(&query).bind(now).bind(limit).fetch_all(db).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Hold, sqlx::Error> {
    let id: Uuid = row.try_get("purpose_id")?;
    Ok(Hold {
        hold_id: HoldId(row.try_get("hold_id")?),
        agent_id: AccountId(row.try_get("agent_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        amount: row.try_get("amount")?,
        amount_left: row.try_get("amount_left")?,
        // The column's check knows no fourth.
        purpose: match row.try_get::<&str, _>("purpose")? {
            "batch" => HoldPurpose::Batch(BatchId(id)),
            "withdrawal" => HoldPurpose::Withdrawal(WithdrawalId(id)),
            _ => HoldPurpose::Transfer(JournalId(id)),
        },
        held_at: row.try_get("held_at")?,
        expires_at: row.try_get("expires_at")?,
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}
