//! Refused verifications on their way to those who want to be told: a queue that the verify path fills and never waits for.
//!
//! What must always hold: [`RefusalQueue::offer`] does no I/O and waits for nothing; whatever has no room is dropped and counted.
//! Of one licence and code at most one is told within an hour, over all processes: the id of its delivery follows from these
//! three. Refusals are no events of the log, so what a crash takes from this queue is gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};
use quotary_domain::{DeliveryId, LicenseId, ProjectId, TenantId};
use sqlx::PgPool;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many refusals wait in memory at most.
const WAITING: usize = 4_096;
/// How many refusals are remembered as told.
const TOLD: u64 = 200_000;
/// How many wait beside the log at most for who delivers.
const INBOX: i64 = 100_000;
/// How often what waits is written down.
const FLUSH: Duration = Duration::from_secs(1);
/// After how many of these the projects are looked at that want to be told.
const LOOK_EVERY: u32 = 5;

/// A verification that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The project.
    pub project_id: ProjectId,
    /// The licence; a key that is none has no callback.
    pub license_id: LicenseId,
    /// Why, as client software is told.
    pub code: &'a str,
    /// When.
    pub at: DateTime<Utc>,
}

struct Waiting {
    delivery_id: DeliveryId,
    tenant_id: TenantId,
    project_id: ProjectId,
    license_id: LicenseId,
    code: String,
    at: DateTime<Utc>,
}

struct Inner {
    wanted: RwLock<HashSet<ProjectId>>,
    told: Cache<DeliveryId, ()>,
    queue: mpsc::Sender<Waiting>,
    waiting: Mutex<Option<Receiver<Waiting>>>,
    dropped: AtomicU64,
}

/// The queue; cheap to clone.
#[derive(Clone)]
pub struct RefusalQueue(Arc<Inner>);

impl std::fmt::Debug for RefusalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefusalQueue(…)")
    }
}

impl Default for RefusalQueue {
    fn default() -> Self {
        Self::with_room(WAITING)
    }
}

impl RefusalQueue {
    /// A queue with room for so many.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let (queue, waiting) = mpsc::channel(room);
        Self(Arc::new(Inner {
            wanted: RwLock::default(),
            told: Cache::builder().max_capacity(TOLD).time_to_live(Duration::from_secs(2 * 3_600)).build(),
            queue,
            waiting: Mutex::new(Some(waiting)),
            dropped: AtomicU64::new(0),
        }))
    }

    /// Offers a refusal to be told. Nothing happens if the project does not want to be told, or was told of the same within
    /// this hour.
    pub fn offer(&self, refused: Refused<'_>) {
        let Refused { tenant_id, project_id, license_id, code, at } = refused;
        if !self.0.wanted.read().contains(&project_id) {
            return;
        }
        let delivery_id = DeliveryId::of_refusal(license_id, code, at.timestamp().div_euclid(3_600));
        if self.0.told.contains_key(&delivery_id) {
            return;
        }
        let waiting = Waiting { delivery_id, tenant_id, project_id, license_id, code: code.to_owned(), at };
        match self.0.queue.try_send(waiting) {
            Ok(()) => self.0.told.insert(delivery_id, ()),
            // Not remembered: the next refusal of the same has a chance of its own.
            Err(_) => self.drop_some(1),
        }
    }

    /// How many refusals were not told for lack of room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn drop_some(&self, count: u64) {
        self.0.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Writes down what is offered, until `cancel`, and a last time then. Trouble is told by tracing; what could not be
    /// written is tried again as long as there is room for it.
    pub async fn run(self, pool: PgPool, cancel: CancellationToken) {
        let Some(mut waiting) = self.0.waiting.lock().take() else { return };
        let mut ticks = interval(FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut kept, mut number) = (Vec::new(), 0_u32);
        loop {
            let is_over = tokio::select! {
                () = cancel.cancelled() => true,
                _ = ticks.tick() => false,
            };
            if !is_over && number.is_multiple_of(LOOK_EVERY) {
                self.look(&pool).await;
            }
            number = number.wrapping_add(1);
            while kept.len() < WAITING {
                let Ok(next) = waiting.try_recv() else { break };
                kept.push(next);
            }
            match write(&pool, &kept).await {
                Ok(written) => {
                    self.drop_some((kept.len() as u64).saturating_sub(written));
                    kept.clear();
                }
                Err(error) => tracing::warn!(%error, "refused verifications were not written down; trying again"),
            }
            if is_over {
                return self.drop_some(kept.len() as u64);
            }
        }
    }

    /// Finds out which projects want to be told.
    async fn look(&self, pool: &PgPool) {
        let query = "select project_id from callback_projects
                     where url is not null and callbacks->>'secret' is not null and callbacks->>'stopped' = 'false'
                       and (callbacks->>'types' is null
                            or (callbacks->'types')::jsonb @> '\"verification.refused\"'::jsonb)";
        match sqlx::query_scalar::<_, Uuid>(query).fetch_all(pool).await {
            Ok(found) => *self.0.wanted.write() = found.into_iter().map(ProjectId).collect(),
            Err(error) => tracing::warn!(%error, "who wants to be told of refusals is not known anew"),
        }
    }
}

/// Puts refusals into the inbox of who delivers; how many of them were taken or known.
async fn write(pool: &PgPool, refusals: &[Waiting]) -> Result<u64, sqlx::Error> {
    if refusals.is_empty() {
        return Ok(0);
    }
    let waiting: i64 = sqlx::query_scalar("select count(*) from (select from callback_refusals limit $1) w")
        .bind(INBOX)
        .fetch_one(pool)
        .await?;
    let room = usize::try_from(INBOX - waiting).unwrap_or_default().min(refusals.len());
    let refusals = &refusals[..room];
    let query = "insert into callback_refusals (delivery_id, tenant_id, project_id, license_id, code, refused_at)
                 select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[])
                 on conflict (delivery_id) do nothing";
    sqlx::query(query)
        .bind(refusals.iter().map(|refusal| refusal.delivery_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.tenant_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.project_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.license_id.0).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.code.as_str()).collect::<Vec<_>>())
        .bind(refusals.iter().map(|refusal| refusal.at).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(room as u64)
}
