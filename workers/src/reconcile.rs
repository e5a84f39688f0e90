//! The internal reconciliation: what the log says, by a replay of its own, beside what the read models say (row Q7).
//!
//! One process at a time compares: on a schedule (incremental, from the last proved position, and in full), and whenever
//! somebody asks. A run is written to the log before it begins, so that a crash leaves it to be taken up again; its
//! differences are cases, each filed to its tenant. "Could not be completed" is a result of its own and never a pass.
//! The log and the read models are only read: nothing is ever repaired here.

pub mod compare;
pub mod proof;
mod read_log;
pub mod record;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use quotary_commands::{Commands, clock};
use quotary_domain::reconciliation::{RunKind, RunSubject};
use quotary_projections::reconciliations::{self, INSTALLATION, Run};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::leader::{Leader, LeaderOptions};
use record::{RecordError, Recorder};

/// How often the list of what was asked for is read.
const POLL: Duration = Duration::from_millis(500);
/// The pause after trouble.
const PAUSE: Duration = Duration::from_secs(5);

/// When reconciliations run by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How often from the last proved position; never if zero.
    pub incremental: Duration,
    /// How often in full; never if zero.
    pub full: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { incremental: Duration::from_secs(15 * 60), full: Duration::from_secs(24 * 3_600) }
    }
}

/// What the last run of this process said, for `/metrics`.
#[derive(Debug, Default)]
pub struct ReconcileStatus {
    result: AtomicI64,
    differences: AtomicI64,
    position: AtomicI64,
    proved_at: AtomicI64,
}

impl ReconcileStatus {
    fn note(&self, result: &Result<compare::Compared, compare::Incomplete>, now: DateTime<Utc>) {
        match result {
            Ok(compared) => {
                let differences: u64 = compared.counts.values().sum();
                self.result.store(if differences == 0 { 1 } else { 2 }, Ordering::Relaxed);
                self.differences.store(differences.cast_signed(), Ordering::Relaxed);
                if differences == 0 {
                    self.position.store(compared.position.cast_signed(), Ordering::Relaxed);
                    self.proved_at.store(now.timestamp(), Ordering::Relaxed);
                }
            }
            Err(_) => self.result.store(3, Ordering::Relaxed),
        }
    }

    /// 0 for none yet, 1 for a pass, 2 for differences, 3 for a run that could not be completed.
    #[must_use]
    pub fn result(&self) -> i64 {
        self.result.load(Ordering::Relaxed)
    }

    /// How many differences the last completed run found.
    #[must_use]
    pub fn differences(&self) -> i64 {
        self.differences.load(Ordering::Relaxed)
    }

    /// The last position that was proved.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position.load(Ordering::Relaxed)
    }

    /// How many seconds ago it was proved; -1 if never.
    #[must_use]
    pub fn age_seconds(&self) -> i64 {
        match self.proved_at.load(Ordering::Relaxed) {
            0 => -1,
            at => (clock::now().timestamp() - at).max(0),
        }
    }
}

/// Reconciles until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(
    commands: Commands,
    pool: PgPool,
    schedule: Schedule,
    leader: LeaderOptions,
    status: Arc<ReconcileStatus>,
    cancel: CancellationToken,
) {
    let start = clock::now();
    while !cancel.is_cancelled() {
        if let Err(error) = term(&commands, &pool, (schedule, start), leader, &status, &cancel).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the reconciliation was interrupted; trying again"
            );
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    (schedule, start): (Schedule, DateTime<Utc>),
    options: LeaderOptions,
    status: &ReconcileStatus,
    cancel: &CancellationToken,
) -> Result<(), RecordError> {
    let Some(mut leader) = Leader::wait_with(pool, "quotary/reconcile", options, cancel).await? else { return Ok(()) };
    let recorder = Recorder::new(commands.clone(), pool.clone());
    loop {
        if leader.is_lost().await {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let asked = reconciliations::requested(pool, RunKind::Internal, 1).await?;
        let next = match asked.into_iter().next() {
            Some(run) => Some((run.tenant_id, run.id, run.request.subject)),
            None => due(pool, schedule, start).await?.map(|full| RunSubject::Internal { full }).map(|subject| {
                // Its id comes with the request.
                (INSTALLATION, quotary_domain::ReconciliationId::default(), subject)
            }),
        };
        if let Some((tenant, id, subject)) = next {
            let RunSubject::Internal { full } = subject else { continue };
            let id = if id == quotary_domain::ReconciliationId::default() {
                recorder.request(tenant, full).await?
            } else {
                id
            };
            // A leader that is silent for long loses its lock; the run is alone with its own connection all the same.
            let ended = tokio::select! {
                ended = recorder.run(tenant, id, full) => ended,
                () = cancel.cancelled() => break,
                lost = until_lost(&mut leader) => return Err(lost.into()),
            };
            status.note(&ended?, clock::now());
            continue;
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(POLL) => {}
        }
    }
    leader.resign().await?;
    Ok(())
}

/// Keeps the lock while a run goes on.
async fn until_lost(leader: &mut Leader) -> sqlx::Error {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if leader.is_lost().await {
            return sqlx::Error::PoolClosed;
        }
    }
}

/// Whether a run of the installation is due, and whether in full. Nothing is due in the first moments of a process: the first
/// run comes when the shorter time is over.
async fn due(pool: &PgPool, schedule: Schedule, start: DateTime<Utc>) -> Result<Option<bool>, sqlx::Error> {
    let first = [schedule.incremental, schedule.full].into_iter().filter(|every| !every.is_zero()).min();
    let Some(first) = first.and_then(|first| TimeDelta::from_std(first).ok()) else { return Ok(None) };
    if clock::now() - start < first {
        return Ok(None);
    }
    let ended: Vec<Run> = reconciliations::ended(pool, INSTALLATION, 200).await?;
    let is_due = |every: Duration, full: bool| {
        let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
        let counts = |run: &&Run| !full || matches!(run.request.subject, RunSubject::Internal { full: true });
        let last = ended.iter().filter(counts).filter_map(|run| run.ended_at).max();
        every > TimeDelta::zero() && last.is_none_or(|last| clock::now() - last >= every)
    };
    if is_due(schedule.full, true) {
        return Ok(Some(true));
    }
    Ok(is_due(schedule.incremental, false).then_some(false))
}
