//! The process manager of refunded batches: disables their licences chunk by chunk, each once (row Q9).
//!
//! The steps, each from a state of the batch to the next:
//!
//! | the batch is | then |
//! |---|---|
//! | not refunded, or all its licences are disabled | nothing |
//! | refunded, `disabled` < `issued` | disable the licences numbered `disabled` + 1 … in one step with the batch's progress |
//!
//! Its work list is the read model of batches. A batch is listed there in the same transaction as all licences that were
//! issued before its refund, and after a refund none is issued, so no licence is missed. Each chunk decides on the latest
//! state of the batch: two managers, a repeated chunk, a crash between any two steps or a late list change nothing.
//! Verification does not wait for this: it refuses licences of refunded batches from the refund on.

use std::time::Duration;

use quotary_commands::log::stream::LoadError;
use quotary_commands::{CommandError, Commands, Context, Refusal, clock};
use quotary_domain::license_batch::{LicenseBatch, LicenseBatchError};
use quotary_domain::{BatchId, TenantId};
use quotary_projections::licenses;
use quotary_projections::wait::Checkpoints;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::leader::{Leader, LeaderOptions, again};

/// How often the list is read when nothing announces a change.
const POLL: Duration = Duration::from_millis(500);
/// How many batches take turns.
const LIST: i64 = 100;
/// Pauses after trouble: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What one look at a batch led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to disable.
    Done,
    /// A chunk was disabled; there may be more.
    Disabled,
    /// The read model does not have all licences of the chunk yet, or another manager was faster.
    NotYet,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The batch can't be read.
    #[error("the batch could not be read")]
    Load(#[from] LoadError),
    /// The licences of the chunk can't be read.
    #[error("the licences of the batch could not be read")]
    Database(#[from] sqlx::Error),
    /// The chunk was not disabled.
    #[error("the licences of the batch were not disabled")]
    Command(#[from] CommandError<Refusal>),
}

/// Disables licences of refunded batches until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(
    commands: Commands,
    pool: PgPool,
    checkpoints: Checkpoints,
    leader: LeaderOptions,
    cancel: CancellationToken,
) {
    again("the disabling of refunded licences", PAUSES, &cancel, || {
        term(&commands, &pool, &checkpoints, leader, &cancel)
    })
    .await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    checkpoints: &Checkpoints,
    options: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let leading = Leader::wait_with(pool, "quotary/disable-refunded", options, cancel).await?;
    let Some(mut leader) = leading else { return Ok(()) };
    let mut changed = checkpoints.watch("licenses");
    while !cancel.is_cancelled() {
        let mut moved = false;
        // A chunk of each in turn, so that a large batch keeps no small one waiting.
        for (batch_id, tenant_id) in licenses::batches_to_disable(pool, LIST).await? {
            if cancel.is_cancelled() {
                break;
            }
            if leader.is_lost().await {
                return Err(sqlx::Error::PoolClosed);
            }
            match disable_one(commands, pool, tenant_id, batch_id).await {
                Ok(step) => moved |= step == Step::Disabled,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%batch_id, error, "licences of a refunded batch were not disabled; trying again");
                }
            }
        }
        if moved {
            continue;
        }
        if leader.is_lost().await {
            return Err(sqlx::Error::PoolClosed);
        }
        if changed.is_none() {
            changed = checkpoints.watch("licenses");
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = next_change(&mut changed) => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
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

/// Disables the next chunk of a batch, if there is one.
///
/// # Errors
/// [`StepError`] if something could not be read or the command failed; nothing is done then.
pub async fn disable_one(
    commands: &Commands,
    pool: &PgPool,
    tenant_id: TenantId,
    batch_id: BatchId,
) -> Result<Step, StepError> {
    let known = commands.log().current::<LicenseBatch>(tenant_id, batch_id).await?;
    let Some(next) = known.and_then(|(batch, _)| batch.next_disabling()) else { return Ok(Step::Done) };
    let ids = licenses::licenses_of_batch(pool, tenant_id, batch_id, next.first, next.count).await?;
    if ids.len() < next.count as usize {
        return Ok(Step::NotYet);
    }
    let context = Context {
        correlation_id: Some(batch_id.0),
        ..Context::system(tenant_id, "license_batch.disable_chunk", clock::now())
    };
    match commands.disable_chunk(&context, batch_id, next, &ids).await {
        Ok(_) => Ok(Step::Disabled),
        Err(CommandError::Refused(Refusal::LicenseBatch(LicenseBatchError::WrongChunk { .. }))) => Ok(Step::NotYet),
        Err(error) => Err(error.into()),
    }
}
