//! The process manager of licence batches: issues chunk after chunk until a batch has ended (rows L1, L2).
//!
//! Its work list is the read model of batches, so it follows from the log alone: a crash loses nothing, and a batch that
//! is listed though it has ended costs one look. Each chunk is one atomic step that decides on the latest state, so two
//! managers, a repeated chunk or a late list change nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quotary_commands::{CommandError, Commands, Context, clock};
use quotary_domain::license_batch::BatchStatus;
use quotary_domain::{BatchId, TenantId};
use quotary_projections::wait::Checkpoints;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::leader::{Leader, LeaderOptions, again};

/// How often the list is read when nothing announces a change.
const POLL: Duration = Duration::from_millis(500);
/// How many batches are issued side by side, so that a small one does not wait for a large one.
const SIDE_BY_SIDE: usize = 4;
/// How many batches are read from the list at a time.
const LIST: i64 = 100;
/// Pauses after a chunk that could not be issued: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Issues batches until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(
    commands: Commands,
    pool: PgPool,
    checkpoints: Checkpoints,
    leader: LeaderOptions,
    cancel: CancellationToken,
) {
    again("the issuing of batches", PAUSES, &cancel, || term(&commands, &pool, &checkpoints, leader, &cancel)).await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    checkpoints: &Checkpoints,
    options: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let leading = Leader::wait_with(pool, "quotary/issue-batches", options, cancel).await?;
    let Some(mut leader) = leading else { return Ok(()) };
    let (slots, busy) = (Arc::new(Semaphore::new(SIDE_BY_SIDE)), Arc::new(Mutex::new(HashSet::new())));
    let mut issuing = JoinSet::new();
    let mut changed = checkpoints.watch("licenses");
    loop {
        if leader.is_lost().await {
            issuing.shutdown().await;
            return Err(sqlx::Error::PoolClosed);
        }
        for (batch_id, tenant_id) in list(pool).await? {
            let Ok(slot) = slots.clone().try_acquire_owned() else { break };
            if !busy.lock().insert(batch_id) {
                continue;
            }
            let (commands, cancel, busy) = (commands.clone(), cancel.clone(), busy.clone());
            issuing.spawn(async move {
                issue(&commands, tenant_id, batch_id, &cancel).await;
                busy.lock().remove(&batch_id);
                drop(slot);
            });
        }
        if changed.is_none() {
            changed = checkpoints.watch("licenses");
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = next_change(&mut changed) => {}
            Some(_) = issuing.join_next(), if !issuing.is_empty() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    // A chunk under way is finished, the next is not begun.
    while issuing.join_next().await.is_some() {}
    leader.resign().await
}

async fn next_change(changed: &mut Option<tokio::sync::watch::Receiver<u64>>) {
    let moved = match changed {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => std::future::pending().await,
    };
    if !moved {
        *changed = None;
    }
}

/// Batches that have not ended, as far as the read model knows.
async fn list(pool: &PgPool) -> Result<Vec<(BatchId, TenantId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select batch_id, tenant_id from read.batches where status = 'issuing' order by position limit $1",
    )
    .bind(LIST)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(batch, tenant)| (BatchId(batch), TenantId(tenant))).collect())
}

/// Issues chunk after chunk until the batch has ended or `cancel`.
async fn issue(commands: &Commands, tenant_id: TenantId, batch_id: BatchId, cancel: &CancellationToken) {
    let mut pause = PAUSES.0;
    while !cancel.is_cancelled() {
        match issue_one(commands, tenant_id, batch_id).await {
            Ok(BatchStatus::Issuing) => pause = PAUSES.0,
            Ok(BatchStatus::Completed | BatchStatus::Stopped) => return,
            Err(error) => {
                tracing::warn!(%batch_id, error = &error as &dyn std::error::Error, "a chunk was not issued; trying again");
                if pause >= PAUSES.1 {
                    // The list brings it back; other batches get their turn.
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Issues the next chunk and tells where the batch stands then.
///
/// # Errors
/// The chunk's [`CommandError`].
pub async fn issue_one(
    commands: &Commands,
    tenant_id: TenantId,
    batch_id: BatchId,
) -> Result<BatchStatus, CommandError<quotary_commands::Refusal>> {
    let context = Context {
        correlation_id: Some(batch_id.0),
        ..Context::system(tenant_id, "license_batch.issue_chunk", clock::now())
    };
    let done = commands.issue_chunk(&context, batch_id).await?;
    Ok(done.value.batch.status())
}
