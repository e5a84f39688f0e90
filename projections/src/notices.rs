//! Notices: who is told of what happened to a movement of quota (rows Q2, Q4).
//!
//! Told are its parties, whoever asked, and the admins who decide on it: those above the giver and the tenant's super
//! admins. A notice follows from the events alone, one per account and event, so a replay tells nothing twice. Movements
//! that complete at once are told from the read model of movements, without a row of their own here.

use chrono::{DateTime, Utc};
use quotary_domain::account::AccountEvent;
use quotary_domain::transfer::TransferEvent;
use quotary_domain::withdrawal::WithdrawalEvent;
use quotary_domain::{Actor, Event, Quota, RecordedEvent};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Row};
use uuid::Uuid;

use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;

/// The name of this read model.
pub const NAME: &str = "notices";

/// The notices read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notices;

const TABLES: &str = "
create table people (
    account_id uuid   primary key,
    tenant_id  uuid   not null,
    role       text   not null,
    ancestors  uuid[] not null,
    position   bigint not null
);
create index on people (tenant_id) where role = 'super_admin';
create table subjects (
    subject_id uuid   primary key,    -- a suspended transfer or a withdrawal
    tenant_id  uuid   not null,
    from_id    uuid,                  -- null when the tenant itself gives
    to_id      uuid,                  -- null when money is paid out
    asked_by   uuid   not null,
    amount     bigint not null
);
create table notices (
    account_id  uuid        not null,
    position    bigint      not null,
    tenant_id   uuid        not null,
    kind        text        not null,
    subject_id  uuid        not null,
    amount      bigint      not null,
    occurred_at timestamptz not null,
    primary key (account_id, position)
);
";

/// A notice as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Where the event that it tells of stands in the log.
    pub position: u64,
    /// What happened, e.g. `transfer-suspended`.
    pub kind: String,
    /// The transfer or withdrawal.
    pub subject_id: Uuid,
    /// How much, in minor units.
    pub amount: i64,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

impl Notice {
    /// The path of what it tells of.
    #[must_use]
    pub fn path(&self) -> String {
        let folder = if self.kind.starts_with("withdrawal-") { "withdrawals" } else { "quota/transfers" };
        format!("/v1/{folder}/{}", self.subject_id)
    }
}

struct Person {
    id: Uuid,
    tenant: Uuid,
    role: &'static str,
    ancestors: Vec<Uuid>,
    position: i64,
}

struct Subject {
    id: Uuid,
    tenant: Uuid,
    from: Option<Uuid>,
    to: Option<Uuid>,
    asked_by: Uuid,
    amount: i64,
}

struct Told {
    subject: Uuid,
    position: i64,
    kind: &'static str,
    /// The subject's if absent.
    amount: Option<i64>,
    at: DateTime<Utc>,
}

/// What a run of events tells: people and subjects first, since notices are addressed by them.
#[derive(Default)]
pub struct NoticeRows {
    people: Vec<Person>,
    subjects: Vec<Subject>,
    told: Vec<Told>,
}

impl Projection for Notices {
    type Rows = NoticeRows;

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
        &["notices"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        matches!(aggregate_type, "Account" | "Transfer" | "Withdrawal")
    }

    fn fold(&self, rows: &mut NoticeRows, recorded: &RecordedEvent, event: &Event) {
        let (id, tenant, position) = (recorded.aggregate_id, recorded.tenant_id.0, recorded.position.cast_signed());
        let (kind, amount) = match event {
            Event::Account(AccountEvent::AccountCreated(profile)) => {
                let ancestors = profile.ancestors.iter().map(|ancestor| ancestor.0).collect();
                rows.people.push(Person { id, tenant, role: profile.role.as_str(), ancestors, position });
                return;
            }
            Event::Transfer(event) => {
                if let TransferEvent::TransferSuspended(request) = event {
                    rows.subjects.push(Subject {
                        id,
                        tenant,
                        from: request.from.map(|from| from.0),
                        to: Some(request.to.0),
                        asked_by: request.asked_by.0,
                        amount: request.amount.minor_units(),
                    });
                }
                of_transfer(event)
            }
            Event::Withdrawal(event) => {
                if let WithdrawalEvent::WithdrawalRequested(request) = event {
                    let (agent, amount) = (request.agent_id.0, request.amount.minor_units());
                    rows.subjects.push(Subject { id, tenant, from: Some(agent), to: None, asked_by: agent, amount });
                }
                of_withdrawal(event)
            }
            _ => return,
        };
        let amount = amount.map(Quota::minor_units);
        rows.told.push(Told { subject: id, position, kind, amount, at: recorded.occurred_at() });
    }

    async fn write(&self, rows: NoticeRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write_people(rows.people, connection).await?;
        write_subjects(rows.subjects, connection).await?;
        write_told(rows.told, connection).await
    }
}

fn of_transfer(event: &TransferEvent) -> (&'static str, Option<Quota>) {
    match event {
        TransferEvent::TransferSuspended(_) => ("transfer-suspended", None),
        TransferEvent::TransferReleased { amount, .. } => ("transfer-released", Some(*amount)),
        TransferEvent::TransferRefused { .. } => ("transfer-refused", None),
        TransferEvent::TransferExpired {} => ("transfer-expired", None),
    }
}

fn of_withdrawal(event: &WithdrawalEvent) -> (&'static str, Option<Quota>) {
    match event {
        WithdrawalEvent::WithdrawalRequested(request) if request.reasons.is_empty() => ("withdrawal-requested", None),
        WithdrawalEvent::WithdrawalRequested(_) => ("withdrawal-suspended", None),
        WithdrawalEvent::WithdrawalReleased { amount, .. } => ("withdrawal-released", Some(*amount)),
        WithdrawalEvent::WithdrawalCancelled {} => ("withdrawal-cancelled", None),
        WithdrawalEvent::WithdrawalExpired {} => ("withdrawal-expired", None),
        WithdrawalEvent::WithdrawalApproved { .. } => ("withdrawal-approved", None),
        WithdrawalEvent::WithdrawalRefused { .. } => ("withdrawal-refused", None),
        WithdrawalEvent::WithdrawalPaid { .. } => ("withdrawal-paid", None),
    }
}

async fn write_people(people: Vec<Person>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if people.is_empty() {
        return Ok(());
    }
    let (mut ids, mut tenants, mut roles, mut positions) = (vec![], vec![], vec![], vec![]);
    // An array of arrays would have to be rectangular, so ancestors go as PostgreSQL's own text.
    let mut ancestors = vec![];
    for person in people {
        ids.push(person.id);
        tenants.push(person.tenant);
        roles.push(person.role);
        let texts: Vec<String> = person.ancestors.iter().map(Uuid::to_string).collect();
        ancestors.push(format!("{{{}}}", texts.join(",")));
        positions.push(person.position);
    }
    sqlx::query(
        "insert into people (account_id, tenant_id, role, ancestors, position)
         select n.id, n.tenant, n.role, n.ancestors::uuid[], n.position
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
              as n (id, tenant, role, ancestors, position)",
    )
    .bind(ids)
    .bind(tenants)
    .bind(roles)
    .bind(ancestors)
    .bind(positions)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_subjects(subjects: Vec<Subject>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if subjects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into subjects (subject_id, tenant_id, from_id, to_id, asked_by, amount)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[])",
    )
    .bind(subjects.iter().map(|subject| subject.id).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.tenant).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.from).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.to).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.asked_by).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.amount).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_told(told: Vec<Told>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if told.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into notices (account_id, position, tenant_id, kind, subject_id, amount, occurred_at)
         select whom.id, n.position, s.tenant_id, n.kind, s.subject_id, coalesce(n.amount, s.amount), n.at
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[])
              as n (subject, position, kind, amount, at)
         join subjects s on s.subject_id = n.subject
         cross join lateral (
             select s.from_id as id where s.from_id is not null
             union select s.to_id where s.to_id is not null
             union select s.asked_by
             union select unnest(p.ancestors) from people p where p.account_id = s.from_id
             -- Whoever came later finds it in the lists.
             union select p.account_id from people p
                   where p.tenant_id = s.tenant_id and p.role = 'super_admin' and p.position < n.position
         ) as whom",
    )
    .bind(told.iter().map(|notice| notice.subject).collect::<Vec<_>>())
    .bind(told.iter().map(|notice| notice.position).collect::<Vec<_>>())
    .bind(told.iter().map(|notice| notice.kind).collect::<Vec<_>>())
    .bind(told.iter().map(|notice| notice.amount).collect::<Vec<_>>())
    .bind(told.iter().map(|notice| notice.at).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// What `actor` itself is told, the newest first. It also reads the read model of movements.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(db: impl PgExecutor<'_>, actor: &Actor, request: &PageRequest) -> Result<Page<Notice>, PageError> {
    let before = request.after::<i64>()?.unwrap_or(i64::MAX);
    let rows = sqlx::query(
        "select position, kind, subject_id, amount, occurred_at from (
             (select position, kind, subject_id, amount, occurred_at from read.notices
              where account_id = $1 and tenant_id = $2 and position < $3 order by position desc limit $4)
             union all
             (select position, case kind when 'top_up' then 'top-up-paid' else 'transfer-sent' end, journal_id, amount,
                     occurred_at
              from read.transfers where from_id = $1 and tenant_id = $2 and reasons is null and position < $3
              order by position desc limit $4)
             union all
             (select position, case kind when 'top_up' then 'top-up-received' else 'transfer-received' end, journal_id,
                     amount, occurred_at
              from read.transfers where to_id = $1 and tenant_id = $2 and reasons is null and position < $3
              order by position desc limit $4)
         ) as all_of_it order by position desc limit $4",
    )
    .bind(actor.account_id.0)
    .bind(actor.tenant_id.0)
    .bind(before)
    .bind(request.fetch())
    .fetch_all(db)
    .await?;
    let notices = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(notices, |notice| notice.position))
}

fn read(row: &PgRow) -> Result<Notice, sqlx::Error> {
    Ok(Notice {
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
        kind: row.try_get("kind")?,
        subject_id: row.try_get("subject_id")?,
        amount: row.try_get("amount")?,
        occurred_at: row.try_get("occurred_at")?,
    })
}
