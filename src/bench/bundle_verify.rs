//! The whole verification of an exported bundle: hashes, tiles, checkpoints, signatures, and every rule for every event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quotary_domain::Quota;

use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use super::sealing::Sealing;
use super::transfers;
use crate::audit::{bundle, verify_bundle};
use crate::embedded::Servers;

const EVENTS: u64 = 1_000_000;
const AGENTS: usize = 5_000;
/// Transfers are made for so long before the log is looked at again.
const STEP: Duration = Duration::from_secs(5);

/// Fills a log with transfers through the whole write side, seals and exports it, and verifies the bundle.
///
/// # Errors
/// If anything fails, or a finding is made.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let scene = Scene::set(servers, "bench_bundle").await?;
    let agents = Arc::new(scene.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    while *scene.commands.log().head().borrow() < EVENTS {
        transfers::fill(&scene, agents.clone(), STEP).await?;
    }
    let head = *scene.commands.log().head().borrow();
    let folder = tempfile::tempdir()?;
    let sealing = Sealing::start(&scene.pool, &folder.path().join("head"))?;
    let sealed_in = sealing.reach(head).await?;
    sealing.stop().await?;
    let place = folder.path().join("bundle");
    let exporting = Instant::now();
    bundle::export(&scene.pool, &place, false).await?;
    let exported_in = exporting.elapsed();
    scene.strike().await?;
    let options = verify_bundle::options(vec![], &[], vec![], None)?;
    let verifying = Instant::now();
    let verified = tokio::task::spawn_blocking(move || verify_bundle::run(&place, &options)).await?;
    let verified_in = verifying.elapsed();
    if let Some(finding) = verified.first {
        return Err(finding.into());
    }
    let per_second = |time: Duration| rate(verified.entries, time);
    let note = format!(
        "{} events, transfers made by the write side; {} checkpoints; sealed at {:.0} events/s, exported at {:.0} events/s",
        verified.entries,
        verified.checkpoints,
        per_second(sealed_in),
        per_second(exported_in)
    );
    Ok(report.add(Line::plain("bundle_verify", "events/s", per_second(verified_in), note))?)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
