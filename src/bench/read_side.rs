//! The read side on a log of transfers: the relay to JetStream beside a plain pipelined publish of the same messages, and
//! a read model's replay from the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use quotary_domain::Quota;
use quotary_projections::bus::cloud_event::encode;
use quotary_projections::bus::connect::connect;
use quotary_projections::bus::subjects::Names;
use quotary_projections::generation::Leftover;
use quotary_projections::ledger::Ledger;
use quotary_projections::log_reader::LogReader;
use quotary_projections::rebuild::rebuild;
use quotary_workers::relay::{self, RelayOptions};
use tokio_util::sync::CancellationToken;

use super::report::{Line, Report};
use super::scene::{Failure, Scene};
use super::transfers;
use crate::embedded::Servers;

/// How long the log is filled.
const FILL: Duration = Duration::from_secs(15);
const AGENTS: usize = 2_000;
const PAGE: usize = 5_000;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures both.
///
/// # Errors
/// If the log, the bus or the read model fails.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let scene = Scene::set(servers, "bench_read_side").await?;
    let agents = Arc::new(scene.agents(AGENTS, Quota::new(1_000_000_000)?).await?);
    transfers::fill(&scene, agents, FILL).await?;
    let log = LogReader::new(scene.pool.clone());
    let head = log.head().await?;
    let nats = jetstream::new(connect(&servers.nats_url).await?);
    let plain = publish_plainly(&nats, &log, head).await?;
    let relayed = relay_all(&scene, &nats, head).await?;
    let note = format!("{head} events; baseline: the same messages, pipelined, without the expected sequence");
    report.add(Line::plain("relay", "messages/s", per_second(head, relayed), note).beside(per_second(head, plain)))?;
    let projected = project_all(&scene).await?;
    let note = format!("ledger, {head} events replayed from the log into a new generation");
    report.add(Line::plain("projection", "events/s", per_second(head, projected), note))?;
    scene.strike().await
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 events")]
fn per_second(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// Publishes the log's messages to a stream of the same shape; every message acknowledged, as a plain client does.
async fn publish_plainly(nats: &jetstream::Context, log: &LogReader, head: u64) -> Result<Duration, Failure> {
    let names = Names::with_prefix("plain")?;
    nats.create_stream(jetstream::stream::Config {
        name: names.stream().to_owned(),
        subjects: vec![names.all_events()],
        allow_direct: true,
        ..Default::default()
    })
    .await?;
    let start = Instant::now();
    let mut position = 0;
    while position < head {
        let run = log.read_after(position, PAGE).await?;
        position = run.last().map_or(head, |event| event.position);
        let mut acknowledgements = Vec::with_capacity(run.len());
        for event in run {
            let message = encode(&names, event)?;
            let sent = nats.publish_with_headers(message.subject, message.headers, message.payload.into()).await?;
            acknowledgements.push(sent);
        }
        for acknowledgement in acknowledgements {
            acknowledgement.await?;
        }
    }
    let took = start.elapsed();
    nats.delete_stream(names.stream()).await?;
    Ok(took)
}

async fn relay_all(scene: &Scene, nats: &jetstream::Context, head: u64) -> Result<Duration, Failure> {
    let (names, cancel) = (Names::with_prefix("bench")?, CancellationToken::new());
    let options = RelayOptions::default();
    let status = options.status.clone();
    let start = Instant::now();
    let relay = tokio::spawn(relay::run(scene.pool.clone(), nats.clone(), names.clone(), options, cancel.clone()));
    while status.report().published < head {
        if start.elapsed() > PATIENCE {
            return Err(format!("the relay is at {:?}", status.report()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = start.elapsed();
    cancel.cancel();
    relay.await??;
    nats.delete_stream(names.stream()).await?;
    Ok(took)
}

async fn project_all(scene: &Scene) -> Result<Duration, Failure> {
    let log = Arc::new(LogReader::new(scene.pool.clone()));
    let start = Instant::now();
    rebuild(&scene.pool, &Arc::new(Ledger), &log, Leftover::Discard).await?;
    Ok(start.elapsed())
}
