//! Notes the ends of licences, each once, so that vendors can be told (rows L7, L11).
//!
//! Whether a licence is valid never waits for this: it follows from its end and the time of asking. The work list is a read
//! model, so what ended while nothing ran is noted when something runs again. Each is decided on the licence's latest state:
//! two of these, a late list, a renewal in between or a clock that jumps note nothing twice and nothing too early.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use quotary_commands::{CommandError, Commands, Context, Refusal};
use quotary_domain::{LicenseId, TenantId};
use quotary_projections::license_ends;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::leader::{Leader, LeaderOptions, again};

/// How often the list is read.
const POLL: Duration = Duration::from_millis(500);
/// How much is read from the list at a time.
const LIST: i64 = 1_000;
/// How many commands are under way together, to share commits.
const TOGETHER: usize = 64;
/// Pauses after trouble: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Notes ends until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(commands: Commands, pool: PgPool, options: LeaderOptions, cancel: CancellationToken) {
    again("the noting of ended licences", PAUSES, &cancel, || term(&commands, &pool, options, &cancel)).await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    options: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), sqlx::Error> {
    let leading = Leader::wait_with(pool, "quotary/expire-licenses", options, cancel).await?;
    let Some(mut leader) = leading else { return Ok(()) };
    while !cancel.is_cancelled() {
        if leader.is_lost().await {
            return Err(sqlx::Error::PoolClosed);
        }
        // Whether an end has come is judged by the log's clock; this process' own may be wrong.
        expire_due(commands, pool, commands.log().time().await?, cancel).await?;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    leader.resign().await
}

/// Notes what the read model lists as ended by `now`; answers how much was listed. One that can't be noted now does not keep
/// the others waiting: the next look brings it back. `cancel` ends a long list early.
///
/// # Errors
/// If the list can't be read.
pub async fn expire_due(
    commands: &Commands,
    pool: &PgPool,
    now: DateTime<Utc>,
    cancel: &CancellationToken,
) -> Result<usize, sqlx::Error> {
    let (mut listed, mut after) = (0, None);
    loop {
        let due = license_ends::due(pool, now, after, LIST).await?;
        listed += due.len();
        after = due.last().map(|(_, license_id, expires_at)| (*expires_at, *license_id));
        let is_last = (due.len() as u64) < LIST.unsigned_abs();
        futures::stream::iter(due)
            .for_each_concurrent(TOGETHER, |(tenant_id, license_id, _)| async move {
                if let Err(error) = expire_one(commands, tenant_id, license_id, now).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%license_id, error, "the end of a licence was not noted; trying again");
                }
            })
            .await;
        if is_last || cancel.is_cancelled() {
            return Ok(listed);
        }
    }
}

async fn expire_one(
    commands: &Commands,
    tenant_id: TenantId,
    license_id: LicenseId,
    now: DateTime<Utc>,
) -> Result<(), CommandError<Refusal>> {
    let context = Context::system(tenant_id, "license.expire", now);
    commands.expire_license(&context, license_id).await.map(|_| ())
}
