//! Proposals: what waits for a second super admin, and what became of it.

use chrono::{DateTime, Utc};
use quotary_domain::proposal::{ProposalEvent, Proposed};
use quotary_domain::{AccountId, Event, ProposalId, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;

/// The name of this read model.
pub const NAME: &str = "proposals";

/// The read model of proposals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proposals;

const TABLES: &str = "
create table proposals (
    proposal_id uuid        primary key,
    tenant_id   uuid        not null,
    proposed    text        not null,      -- JSON: what is to be done, how much it moves, who asked, until when
    status      text        not null check (status in ('open', 'confirmed', 'declined')),
    expires_at  timestamptz,               -- it can be confirmed before
    proposed_at timestamptz not null,
    decided_by  uuid,
    decided_at  timestamptz,
    reason      text,                      -- why it was declined
    sequence    bigint      not null,
    position    bigint      not null       -- of the proposal
);
create index on proposals (tenant_id, position);
create index on proposals (tenant_id, position) where status = 'open';
";

/// A proposal as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalView {
    /// Its id.
    pub id: ProposalId,
    /// What was proposed.
    pub proposed: Proposed,
    /// `open`, `confirmed` or `declined`; an open one whose time is over can't be confirmed.
    pub status: String,
    /// When it was proposed.
    pub proposed_at: DateTime<Utc>,
    /// Who confirmed or declined it.
    pub decided_by: Option<AccountId>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was declined.
    pub reason: Option<String>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Where it stands in the log.
    pub position: u64,
}

/// What a run of events means, in order: people's doing, so few.
#[derive(Default)]
pub struct ProposalRows(Vec<(RecordedEvent, ProposalEvent)>);

impl Projection for Proposals {
    type Rows = ProposalRows;

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
        &["proposals"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Proposal"
    }

    fn fold(&self, rows: &mut ProposalRows, recorded: &RecordedEvent, event: &Event) {
        if let Event::Proposal(event) = event {
            rows.0.push((recorded.clone(), event.clone()));
        }
    }

    async fn write(&self, rows: ProposalRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for (recorded, event) in rows.0 {
            match event {
                ProposalEvent::ActProposed(proposed) => insert(&recorded, &proposed, connection).await?,
                ProposalEvent::ActConfirmed { by } => decide(&recorded, "confirmed", by, None, connection).await?,
                ProposalEvent::ActDeclined { by, reason } => {
                    decide(&recorded, "declined", by, reason.as_deref(), connection).await?;
                }
            }
        }
        Ok(())
    }
}

async fn insert(
    recorded: &RecordedEvent,
    proposed: &Proposed,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let json = serde_json::to_string(proposed).map_err(|e| sqlx::Error::Encode(e.into()))?;
    sqlx::query(
        "insert into proposals (proposal_id, tenant_id, proposed, status, expires_at, proposed_at, sequence, position)
         values ($1, $2, $3, 'open', $4, $5, $6, $7)",
    )
    .bind(recorded.aggregate_id)
    .bind(recorded.tenant_id.0)
    .bind(json)
    .bind(proposed.expires_at)
    .bind(recorded.occurred_at())
    .bind(recorded.sequence.cast_signed())
    .bind(recorded.position.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

async fn decide(
    recorded: &RecordedEvent,
    status: &str,
    by: AccountId,
    reason: Option<&str>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let done = sqlx::query(
        "update proposals set status = $2, decided_by = $3, decided_at = $4, reason = $5, sequence = $6
         where proposal_id = $1",
    )
    .bind(recorded.aggregate_id)
    .bind(status)
    .bind(by.0)
    .bind(recorded.occurred_at())
    .bind(reason.map(|text| storable(text).into_owned()))
    .bind(recorded.sequence.cast_signed())
    .execute(connection)
    .await?;
    expect_rows("proposals", &done, 1)
}

const COLUMNS: &str = "proposal_id, proposed, status, proposed_at, decided_by, decided_at, reason, sequence, position";

fn read(row: &PgRow) -> Result<ProposalView, sqlx::Error> {
    let proposed: &str = row.try_get("proposed")?;
    Ok(ProposalView {
        id: ProposalId(row.try_get("proposal_id")?),
        proposed: serde_json::from_str(proposed)
            .map_err(|source| sqlx::Error::ColumnDecode { index: "proposed".to_owned(), source: source.into() })?,
        status: row.try_get("status")?,
        proposed_at: row.try_get("proposed_at")?,
        decided_by: row.try_get::<Option<Uuid>, _>("decided_by")?.map(AccountId),
        decided_at: row.try_get("decided_at")?,
        reason: row.try_get("reason")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// A proposal of a tenant.
///
/// # Errors
/// If the database refuses.
pub async fn get(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    id: ProposalId,
) -> Result<Option<ProposalView>, sqlx::Error> {
    sqlx::query(&format!("select {COLUMNS} from read.proposals where tenant_id = $1 and proposal_id = $2"))
        .bind(tenant.0)
        .bind(id.0)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// The proposals of a tenant, the newest first; only those that are open if so asked.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    tenant: TenantId,
    only_open: bool,
    request: &PageRequest,
) -> Result<Page<ProposalView>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.proposals where tenant_id = "));
    query.push_bind(tenant.0);
    if only_open {
        // Not bound: there is an index for it.
        query.push(" and status = 'open'");
    }
    if let Some(before) = request.after::<i64>()? {
        query.push(" and position < ").push_bind(before);
    }
    query.push(" order by position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let proposals = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(proposals, |proposal| proposal.position))
}
