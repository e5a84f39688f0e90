//! The tables of callbacks, as the leader of the deliveries reads and writes them over the connection that holds its lock.
//!
//! What always holds: of the pending deliveries with one `order_key` the one with the smallest `turn` alone is ever due; all
//! others wait at `infinity` until [`promote`] finds them first.

use chrono::{DateTime, Utc};
use quotary_domain::project::Callbacks;
use quotary_domain::{DeliveryId, LicenseId, ProjectId, TenantId};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::endpoint::Endpoint;

/// The position that the log was read to.
pub(super) async fn position(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let position: i64 = sqlx::query_scalar("select position from callback_intake").fetch_one(db).await?;
    Ok(position.cast_unsigned())
}

pub(super) async fn set_position(db: &mut PgConnection, position: u64) -> Result<(), sqlx::Error> {
    sqlx::query("update callback_intake set position = $1").bind(position.cast_signed()).execute(db).await?;
    Ok(())
}

/// All projects that have, or had, callbacks.
pub(super) async fn endpoints(db: &mut PgConnection) -> Result<Vec<(ProjectId, Endpoint)>, sqlx::Error> {
    type Row = (Uuid, Uuid, Option<String>, Json<Callbacks>, DateTime<Utc>);
    let query = "select project_id, tenant_id, url, callbacks, not_before from callback_projects";
    let rows: Vec<Row> = sqlx::query_as(query).fetch_all(&mut *db).await?;
    let counts: Vec<(Uuid, i64)> =
        sqlx::query_as("select project_id, count(*) from callback_deliveries where status = 'pending' group by 1")
            .fetch_all(db)
            .await?;
    let counts: hashbrown::HashMap<Uuid, i64> = counts.into_iter().collect();
    let endpoints = rows.into_iter().map(|(project, tenant, url, Json(callbacks), not_before)| {
        let mut endpoint = Endpoint::new(TenantId(tenant), url, callbacks, not_before);
        endpoint.pending = counts.get(&project).copied().unwrap_or_default().cast_unsigned();
        (ProjectId(project), endpoint)
    });
    Ok(endpoints.collect())
}

pub(super) async fn set_endpoint(
    db: &mut PgConnection,
    project_id: ProjectId,
    endpoint: &Endpoint,
) -> Result<(), sqlx::Error> {
    let query = "insert into callback_projects (project_id, tenant_id, url, callbacks, not_before) \
                 values ($1, $2, $3, $4, $5) on conflict (project_id) do update \
                 set url = excluded.url, callbacks = excluded.callbacks, not_before = excluded.not_before";
    sqlx::query(query)
        .bind(project_id.0)
        .bind(endpoint.tenant_id.0)
        .bind(endpoint.set_url())
        .bind(Json(&endpoint.project.callbacks))
        .bind(endpoint.not_before)
        .execute(db)
        .await?;
    Ok(())
}

/// The largest turn that was given.
pub(super) async fn last_turn(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(turn), 0) from callback_deliveries").fetch_one(db).await
}

/// A delivery to write down.
#[derive(Debug, Serialize)]
pub(super) struct NewDelivery {
    pub delivery_id: DeliveryId,
    pub tenant_id: TenantId,
    pub project_id: ProjectId,
    pub license_id: Option<LicenseId>,
    pub order_key: Uuid,
    pub r#type: &'static str,
    pub body: String,
    pub turn: i64,
    /// Why it is dead from the beginning, if it is.
    pub outcome: Option<&'static str>,
    pub happened_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Writes deliveries down; answers which were not known before: their project, and whether they are on their way.
pub(super) async fn insert(
    db: &mut PgConnection,
    deliveries: &[NewDelivery],
) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    let query = "
        insert into callback_deliveries (delivery_id, tenant_id, project_id, license_id, order_key, type, body, turn, status,
            due_at, outcome, happened_at, created_at, expires_at, finished_at)
        select delivery_id, tenant_id, project_id, license_id, order_key, type, body, turn,
               case when outcome is null then 'pending' else 'dead' end,
               case when outcome is null then 'infinity' else created_at end,
               outcome, happened_at, created_at, expires_at,
               case when outcome is not null then created_at end
        from jsonb_to_recordset($1) as x (delivery_id uuid, tenant_id uuid, project_id uuid, license_id uuid, order_key uuid,
            type text, body text, turn bigint, outcome text, happened_at timestamptz, created_at timestamptz,
            expires_at timestamptz)
        -- Known already if the checkpoint was lost, or if two nodes told the same refusal.
        on conflict (delivery_id) do nothing
        returning project_id, status = 'pending'";
    sqlx::query_as(query).bind(Json(deliveries)).fetch_all(db).await
}

/// Sends what has ended again; its `order_key`, if there is such a delivery and it has ended.
pub(super) async fn revive(
    db: &mut PgConnection,
    project_id: ProjectId,
    delivery_id: DeliveryId,
    turn: i64,
    expires_at: DateTime<Utc>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let query = "update callback_deliveries set status = 'pending', due_at = 'infinity', turn = $3, tries = 0,
                     replays = replays + 1, expires_at = $4, finished_at = null, outcome = null
                 where delivery_id = $1 and project_id = $2 and status <> 'pending' returning order_key";
    sqlx::query_scalar(query)
        .bind(delivery_id.0)
        .bind(project_id.0)
        .bind(turn)
        .bind(expires_at)
        .fetch_optional(db)
        .await
}

/// Lets the first of each of these orders be tried, if it waits for its turn.
pub(super) async fn promote(db: &mut PgConnection, order_keys: &[Uuid], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let query = "
        update callback_deliveries d set due_at = $2
        where d.status = 'pending' and d.due_at = 'infinity' and d.order_key = any($1)
          -- One probe of callback_deliveries_order.
          and not exists (select from callback_deliveries e
                          where e.status = 'pending' and e.order_key = d.order_key and e.turn < d.turn)";
    sqlx::query(query).bind(order_keys).bind(now).execute(db).await?;
    Ok(())
}

/// Gives up all of a project that are on their way; how many that were.
pub(super) async fn give_up(
    db: &mut PgConnection,
    project_id: ProjectId,
    outcome: &str,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let query = "update callback_deliveries set status = 'dead', outcome = $2, finished_at = $3, due_at = $3
                 where project_id = $1 and status = 'pending'";
    let done = sqlx::query(query).bind(project_id.0).bind(outcome).bind(now).execute(db).await?;
    Ok(done.rows_affected())
}

/// A delivery whose time has come.
#[derive(Clone, Debug, FromRow)]
pub(super) struct DueDelivery {
    #[sqlx(try_from = "Uuid")]
    pub delivery_id: DeliveryId,
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    pub order_key: Uuid,
    pub body: String,
    pub attempts: i32,
    pub tries: i32,
    pub expires_at: DateTime<Utc>,
}

/// Up to `room` deliveries of each project, and `limit` in all, that are due by `now` and not among `except`; those that have
/// waited longest come first.
pub(super) async fn due(
    db: &mut PgConnection,
    rooms: &[(ProjectId, usize)],
    except: &[Uuid],
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<DueDelivery>, sqlx::Error> {
    let projects: Vec<Uuid> = rooms.iter().map(|(project, _)| project.0).collect();
    let rooms: Vec<i64> = rooms.iter().map(|(_, room)| i64::try_from(*room).unwrap_or(i64::MAX)).collect();
    let query = "
        select d.delivery_id, d.project_id, d.order_key, d.body, d.attempts, d.tries, d.expires_at
        from unnest($1::uuid[], $2::bigint[]) as p (project_id, room)
        cross join lateral (
            -- A range of callback_deliveries_due for each project, so that the queue of one keeps no other from being seen.
            select * from callback_deliveries d
            where d.project_id = p.project_id and d.status = 'pending' and d.due_at <= $4 and d.delivery_id <> all($3)
            order by d.due_at, d.turn limit p.room
        ) d
        order by d.due_at, d.turn limit $5";
    sqlx::query_as(query)
        .bind(projects)
        .bind(rooms)
        .bind(except)
        .bind(now)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(db)
        .await
}

/// What an attempt leads to.
#[derive(Debug)]
pub(super) struct Attempt {
    pub delivery_id: DeliveryId,
    pub number: i32,
    pub tries: i32,
    pub at: DateTime<Utc>,
    pub duration_ms: i32,
    pub outcome: &'static str,
    pub http_status: Option<i32>,
    pub answer: Option<String>,
    /// `pending`, `delivered` or `dead`.
    pub status: &'static str,
    pub due_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Writes an attempt down; whether its delivery was still on its way.
pub(super) async fn record(db: &mut PgConnection, attempt: &Attempt) -> Result<bool, sqlx::Error> {
    let query = "insert into callback_attempts (delivery_id, number, at, duration_ms, outcome, http_status, answer)
                 values ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(query)
        .bind(attempt.delivery_id.0)
        .bind(attempt.number)
        .bind(attempt.at)
        .bind(attempt.duration_ms)
        .bind(attempt.outcome)
        .bind(attempt.http_status)
        .bind(&attempt.answer)
        .execute(&mut *db)
        .await?;
    // One that was given up meanwhile, because the address is gone, keeps its end.
    let query = "
        with known as (
            update callback_deliveries set attempts = $2 where delivery_id = $1 and status <> 'pending'
        )
        update callback_deliveries set attempts = $2, tries = $3, outcome = $4, status = $5, due_at = $6, finished_at = $7
        where delivery_id = $1 and status = 'pending'";
    let done = sqlx::query(query)
        .bind(attempt.delivery_id.0)
        .bind(attempt.number)
        .bind(attempt.tries)
        .bind(attempt.outcome)
        .bind(attempt.status)
        .bind(attempt.due_at)
        .bind(attempt.finished_at)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A refusal of a verification in the inbox.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Refusal {
    #[sqlx(try_from = "Uuid")]
    pub delivery_id: DeliveryId,
    #[sqlx(try_from = "Uuid")]
    pub tenant_id: TenantId,
    #[sqlx(try_from = "Uuid")]
    pub project_id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    pub license_id: LicenseId,
    pub code: String,
    pub refused_at: DateTime<Utc>,
}

/// Takes up to `limit` refusals out of the inbox.
pub(super) async fn take_refusals(db: &mut PgConnection, limit: i64) -> Result<Vec<Refusal>, sqlx::Error> {
    let query = "delete from callback_refusals where delivery_id in (
                     select delivery_id from callback_refusals order by refused_at limit $1 for update skip locked)
                 returning delivery_id, tenant_id, project_id, license_id, code, refused_at";
    let mut refusals: Vec<Refusal> = sqlx::query_as(query).bind(limit).fetch_all(db).await?;
    refusals.sort_by_key(|refusal| refusal.refused_at);
    Ok(refusals)
}

/// When the oldest delivery on its way was written down.
pub(super) async fn oldest(db: &mut PgConnection) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("select min(created_at) from callback_deliveries where status = 'pending'").fetch_one(db).await
}

/// Forgets up to `limit` deliveries that ended before `before`, with their attempts; how many that were.
pub(super) async fn forget(db: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, sqlx::Error> {
    let query = "delete from callback_deliveries where delivery_id in (
                     select delivery_id from callback_deliveries
                     where status <> 'pending' and finished_at < $1 order by finished_at limit $2)";
    Ok(sqlx::query(query).bind(before).bind(limit).execute(db).await?.rows_affected())
}
