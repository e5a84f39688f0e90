//! The internal reconciliation in full, over half a million events: every event replayed, every row compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quotary_domain::Quota;
use quotary_projections::generation::Leftover;
use quotary_projections::holds::Holds;
use quotary_projections::ledger::Ledger;
use quotary_projections::licenses::Licenses;
use quotary_projections::log_reader::LogReader;
use quotary_projections::movements::Movements;
use quotary_projections::notices::Notices;
use quotary_projections::orders::Orders;
use quotary_projections::rebuild::rebuild;
use quotary_projections::withdrawals::Withdrawals;
use quotary_workers::reconcile::compare::{Options, compare};
use quotary_workers::reconcile::proof::Proof;

use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use super::transfers;
use crate::embedded::Servers;

/// How many events the log has at least.
const EVENTS: u64 = 500_000;
const AGENTS: usize = 2_000;
/// How long the log is filled at a time.
const FILL: Duration = Duration::from_secs(5);

/// Measures a full run, and an incremental one that finds nothing new.
///
/// # Errors
/// If the run does not pass: its speed would mean nothing.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let scene = Scene::set(servers, "bench_reconcile").await?;
    let agents = Arc::new(scene.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    let log = Arc::new(LogReader::new(scene.pool.clone()));
    while log.head().await? < EVENTS {
        transfers::fill(&scene, agents.clone(), FILL).await?;
    }
    let head = log.head().await?;
    rebuild(&scene.pool, &Arc::new(Ledger), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Movements), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Withdrawals), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Licenses), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Orders), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Holds), &log, Leftover::Discard).await?;
    rebuild(&scene.pool, &Arc::new(Notices), &log, Leftover::Discard).await?;

    let start = Instant::now();
    let compared = compare(&scene.owner, Proof::default(), &Options::default()).await?;
    let took = start.elapsed();
    if !compared.is_pass() || compared.position < head {
        return Err(format!(
            "the run found {:?} up to {}: {:?}",
            compared.counts,
            compared.position,
            compared.differences.first()
        )
        .into());
    }
    let (bytes, _) = compared.state.ok_or("the run kept no state")?;
    let start = Instant::now();
    let again = compare(&scene.owner, Proof::load(&bytes)?, &Options::default()).await?;
    let incremental = start.elapsed();
    if !again.is_pass() {
        return Err(format!("the incremental run found {:?}", again.counts).into());
    }
    let note = format!(
        "{head} events in full, {} things compared, state of {} MiB; with no new event {:.1} s",
        compared.checked,
        bytes.len() >> 20,
        incremental.as_secs_f64()
    );
    report.add(Line::plain("reconcile_internal", "events/s", per_second(head, took), note))?;
    scene.strike().await
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 events")]
fn per_second(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
