//! The relay on a real PostgreSQL and a real JetStream: the stream is the log, whatever happens to either.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/log_fixture/fixture.rs"]
mod fixture;
#[path = "own_nats/server.rs"]
mod own_nats;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, jetstream};
use fixture::{Fixture, assert_same, until};
use own_nats::OwnNats;
use quotary_projections::feed::EventFeed;
use quotary_workers::leader::LeaderOptions;
use quotary_workers::relay::{self, RelayOptions, RelayReport, RelayStatus};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    status: Arc<RelayStatus>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), relay::RelayError>>,
}

impl Running {
    fn start(fixture: &Fixture) -> Self {
        let options = RelayOptions {
            batch: 64,
            ack_every: 7,
            poll: Duration::from_millis(50),
            leader: LeaderOptions { ask_again: Duration::from_millis(50), ..LeaderOptions::default() },
            verify_every: Duration::from_millis(100),
            ack_within: Duration::from_secs(1),
            ..RelayOptions::default()
        };
        let (status, cancel) = (Arc::clone(&options.status), CancellationToken::new());
        let (pool, nats, names) = (fixture.pool.clone(), fixture.nats.clone(), fixture.names.clone());
        let task = tokio::spawn(relay::run(pool, nats, names, options, cancel.clone()));
        Self { status, cancel, task }
    }

    async fn report(&self, what: &str, check: impl Fn(&RelayReport) -> bool) -> RelayReport {
        until(what, async || Some(self.status.report()).filter(|report| check(report))).await
    }

    async fn published(&self, position: u64) {
        self.report("the relay to publish", |report| report.published == position).await;
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn assert_stream_is_log(fixture: &Fixture) {
    assert_same(&fixture.stream_events().await, &fixture.all_events().await);
}

async fn unconnected(nats: &OwnNats) -> jetstream::Context {
    let options = ConnectOptions::new()
        .retry_on_initial_connect()
        .request_timeout(Some(Duration::from_millis(500)))
        .reconnect_delay_callback(|_| Duration::from_millis(50));
    jetstream::new(options.connect(nats.url()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_the_log_message_by_message() {
    let fixture = Fixture::new().await;
    fixture.append(500).await;
    let relay = Running::start(&fixture);
    relay.published(500).await;
    for _ in 0..20 {
        fixture.append(17).await;
    }
    relay.published(840).await;
    assert_stream_is_log(&fixture).await;
    let report = relay.status.report();
    assert!(report.is_leader && report.lag == 0 && report.last_error.is_none() && report.failures == 0, "{report:?}");
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unannounced_event_is_published_too() {
    let fixture = Fixture::new().await;
    let relay = Running::start(&fixture);
    relay.report("the relay to lead", |report| report.is_leader).await;
    let head = fixture.append_with(3, false).await;
    relay.published(head).await;
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_is_made_anew_without_a_new_event() {
    let fixture = Fixture::new().await;
    fixture.append(200).await;
    let relay = Running::start(&fixture);
    relay.published(200).await;
    fixture.delete_stream().await;
    until("the stream to be whole again", async || {
        let stream = fixture.nats.get_stream(fixture.names.stream()).await.ok()?;
        (stream.cached_info().state.messages == 200).then_some(())
    })
    .await;
    assert_stream_is_log(&fixture).await;
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_late_dies_and_loses_its_tail_is_made_good() {
    let mut server = OwnNats::down("tail");
    let fixture = Fixture::with_nats(unconnected(&server).await).await;
    fixture.append(50).await;
    let relay = Running::start(&fixture);
    let report = relay.report("a failure", |report| report.failures > 0).await;
    assert!(!report.is_leader && report.last_error.is_some(), "{report:?}");

    server.start();
    relay.published(50).await;
    server.kill();
    server.back_up();
    server.start();
    fixture.append(50).await;
    relay.published(100).await;
    server.kill();
    server.restore();
    fixture.append(20).await;
    server.start();
    relay.published(120).await;
    assert_stream_is_log(&fixture).await;
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_relay_waits_until_the_first_is_gone() {
    let fixture = Fixture::new().await;
    fixture.append(10).await;
    let first = Running::start(&fixture);
    first.published(10).await;
    let second = Running::start(&fixture);
    fixture.append(30).await;
    first.published(40).await;
    let waiting = second.status.report();
    assert!(!waiting.is_leader && waiting.published == 0, "{waiting:?}");

    // The first loses its connection, not its life; either may lead next, but only one.
    let killed = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted \
                  and database = (select oid from pg_database where datname = current_database())";
    sqlx::query(killed).execute(&fixture.pool).await.unwrap();
    first.report("the first to notice", |report| report.failures > 0).await;
    let leaders = || usize::from(first.status.report().is_leader) + usize::from(second.status.report().is_leader);
    until("a leader", async || (leaders() == 1).then_some(())).await;
    first.stop().await;
    second.report("the second to lead", |report| report.is_leader).await;
    fixture.append(10).await;
    second.published(50).await;
    assert_stream_is_log(&fixture).await;
    second.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_ahead_of_the_log_is_never_continued() {
    let fixture = Fixture::new().await;
    fixture.append(10).await;
    let relay = Running::start(&fixture);
    relay.published(10).await;
    relay.stop().await;

    fixture.restore_log_to(6).await;
    let relay = Running::start(&fixture);
    relay.report("the divergence", |report| report.is_diverged && !report.is_leader).await;
    // The log grows past the stream with other events: still not the same history.
    fixture.append(9).await;
    let failures = relay.status.report().failures;
    let report = relay.report("another try", |report| report.failures >= failures + 2).await;
    assert!(report.is_diverged && report.published == 0, "{report:?}");
    let state = fixture.nats.get_stream(fixture.names.stream()).await.unwrap().cached_info().state.clone();
    assert_eq!(state.last_sequence, 10);

    // Somebody decides for the log.
    fixture.delete_stream().await;
    relay.published(15).await;
    assert!(!relay.status.report().is_diverged);
    assert_stream_is_log(&fixture).await;
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_somebody_else_is_not_touched() {
    let fixture = Fixture::new().await;
    let subjects = vec![format!("other_{}.>", fixture.names.stream())];
    let foreign = jetstream::stream::Config { name: fixture.names.stream().to_owned(), subjects, ..Default::default() };
    fixture.nats.create_stream(foreign).await.unwrap();
    fixture.append(3).await;
    let relay = Running::start(&fixture);
    let report = relay.report("a failure", |report| report.failures > 1).await;
    assert!(report.last_error.unwrap().contains("another set of subjects"));
    assert_eq!(report.published, 0);
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_stream_can_begin_later_than_the_log() {
    let fixture = Fixture::new().await;
    fixture.append(100).await;
    let options = RelayOptions { first_sequence: 61, ..RelayOptions::default() };
    let (status, cancel) = (Arc::clone(&options.status), CancellationToken::new());
    let (pool, nats, names) = (fixture.pool.clone(), fixture.nats.clone(), fixture.names.clone());
    let task = tokio::spawn(relay::run(pool, nats, names, options, cancel.clone()));
    let relay = Running { status, cancel, task };
    relay.published(100).await;
    assert_same(&fixture.stream_events().await, &fixture.all_events().await[60..]);
    relay.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_stays_dense_while_the_stream_is_lost_again_and_again() {
    let fixture = Fixture::new().await;
    let relay = Running::start(&fixture);
    let opened = EventFeed::open(
        fixture.pool.clone(),
        Some(fixture.nats.clone()),
        fixture.names.clone(),
        0,
        CancellationToken::new(),
    );
    let mut feed = opened.await.unwrap();
    let mut events = Vec::new();
    for round in 0..200 {
        if round % 50 == 49 {
            // The stream is there, also after its loss before; the next event finds it gone.
            relay.published(feed.position()).await;
            fixture.delete_stream().await;
        }
        let head = fixture.append(1 + round % 5).await;
        while feed.position() < head {
            events.extend(feed.next(3).await.unwrap().events);
        }
    }
    assert_same(&events, &fixture.all_events().await);
    relay.published(feed.position()).await;
    assert_stream_is_log(&fixture).await;
    assert!(feed.counts().from_bus > 0, "{:?}", feed.counts());
    relay.stop().await;
    fixture.finish().await;
}
