//! Ends what was reserved for a time that is over (rows Q4, Q10).
//!
//! Its work list is the read models of open holds and of suspended top-ups, so it follows from the log alone: what came due
//! while nothing ran is due still. Each ends by one atomic step that decides on the latest state, so two of these, a late
//! list or a clock that jumps end nothing twice; what the list has and the log no longer does costs one look.

use std::time::Duration;

use chrono::{DateTime, Utc};
use quotary_commands::quota::expire_hold::Expiring;
use quotary_commands::{CommandError, Commands, Context, Refusal};
use quotary_domain::TenantId;
use quotary_projections::{holds, movements};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::leader::{Leader, LeaderOptions, again};

/// How often the list is read.
const POLL: Duration = Duration::from_millis(500);
/// How much is read from the list at a time.
const LIST: i64 = 200;
/// Pauses after trouble: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Ends holds until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(commands: Commands, pool: PgPool, options: LeaderOptions, cancel: CancellationToken) {
    again("the ending of holds", PAUSES, &cancel, || term(&commands, &pool, options, &cancel)).await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    options: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let leading = Leader::wait_with(pool, "quotary/expire-holds", options, cancel).await?;
    let Some(mut leader) = leading else { return Ok(()) };
    while !cancel.is_cancelled() {
        if leader.is_lost().await {
            return Err(sqlx::Error::PoolClosed);
        }
        // Whether something ended too early is judged by the log's clock; this process' own may be wrong.
        expire_due(commands, pool, commands.log().time().await?).await?;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    leader.resign().await
}

/// Ends what the read models list as due at `now`; answers how much was listed. One that can't be ended now does not keep
/// the others waiting: the next look brings it back.
///
/// # Errors
/// If the lists can't be read.
pub async fn expire_due(commands: &Commands, pool: &PgPool, now: DateTime<Utc>) -> Result<usize, sqlx::Error> {
    let holds = holds::expired(pool, now, LIST).await?.into_iter().map(|hold| {
        let holds::Hold { tenant_id, agent_id, hold_id, purpose, .. } = hold;
        (tenant_id, Expiring::Hold { agent_id, hold_id, purpose })
    });
    // A top-up by the tenant itself holds nothing while it waits.
    let top_ups = movements::expired_top_ups(pool, now, LIST).await?;
    let top_ups = top_ups.into_iter().map(|(tenant_id, id)| (tenant_id, Expiring::Transfer(id)));
    let due: Vec<(TenantId, Expiring)> = holds.chain(top_ups).collect();
    for (tenant_id, what) in &due {
        if let Err(error) = expire_one(commands, *tenant_id, *what, now).await {
            tracing::warn!(?what, error = &error as &dyn std::error::Error, "a hold was not ended; trying again");
        }
    }
    Ok(due.len())
}

async fn expire_one(
    commands: &Commands,
    tenant_id: TenantId,
    what: Expiring,
    now: DateTime<Utc>,
) -> Result<(), CommandError<Refusal>> {
    let context = Context::system(tenant_id, "quota.expire", now);
    commands.expire(&context, what).await.map(|_| ())
}
