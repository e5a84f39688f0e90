//! The process manager of reconciliations with bills: compares what was asked for, keeps the result, opens and closes cases
//! (row Q8).
//!
//! Its work list is the read model of runs, which follows from the log, and every step can be done again: the comparison is pure, the result replaces what an
//! earlier try left, cases have ids that follow from what they are about, and a run ends once. So a crash at any point, two
//! managers, or a run that is listed late change nothing.

pub mod cases;
pub mod kept;
pub mod orders;
pub mod run;

use std::time::Duration;

use quotary_commands::{Commands, Context, clock};
use quotary_domain::reconciliation::{BillRun, RunKind, RunSubject};
use quotary_domain::{ReconciliationId, TenantId};
use quotary_projections::reconciliations;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::leader::{Leader, LeaderOptions, again};
use run::RunError;

/// How often the list is read.
const POLL: Duration = Duration::from_millis(500);
/// How many runs are read from the list at a time; they are done one after another.
const LIST: i64 = 20;
/// Pauses after a run that has to be tried again: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Does what was asked for until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(commands: Commands, pool: PgPool, leader: LeaderOptions, cancel: CancellationToken) {
    again("the reconciliation of bills", PAUSES, &cancel, || term(&commands, &pool, leader, &cancel)).await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    options: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), RunError> {
    let job = "quotary/reconcile-bills";
    let Some(mut leader) = Leader::wait_with(pool, job, options, cancel).await? else { return Ok(()) };
    while !cancel.is_cancelled() {
        if leader.is_lost().await {
            return Err(RunError::Database(sqlx::Error::PoolClosed));
        }
        for (run_id, tenant_id, bill) in list(pool).await? {
            tokio::select! {
                () = cancel.cancelled() => break,
                done = run::complete(commands, tenant_id, run_id, &bill) => if let Err(error) = done {
                    // It stays on the list; the others get their turn.
                    tracing::warn!(%run_id, error = &error as &dyn std::error::Error, "a bill was not reconciled; trying again");
                    tokio::time::sleep(PAUSES.0).await;
                },
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    Ok(leader.resign().await?)
}

/// Runs that were asked for and have not ended, as far as the read model knows.
async fn list(pool: &PgPool) -> Result<Vec<(ReconciliationId, TenantId, BillRun)>, RunError> {
    let runs = reconciliations::requested(pool, RunKind::External, LIST).await?;
    let bill = |run: reconciliations::Run| match run.request.subject {
        RunSubject::External(bill) => Some((run.id, run.tenant_id, bill)),
        RunSubject::Internal { .. } => None,
    };
    Ok(runs.into_iter().filter_map(bill).collect())
}

/// The context of a step of a run.
fn step(tenant_id: TenantId, run_id: ReconciliationId, command: &'static str) -> Context {
    Context { correlation_id: Some(run_id.0), ..Context::system(tenant_id, command, clock::now()) }
}
