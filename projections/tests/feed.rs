//! The feed on a real PostgreSQL and a real JetStream: dense and in order, whatever NATS does.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "log_fixture/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use fixture::{Fixture, PATIENCE, assert_same};
use quotary_domain::RecordedEvent;
use quotary_projections::feed::{EventFeed, FeedError, Run};
use tokio_util::sync::CancellationToken;

/// Revocations must be everywhere within this time.
const BOUND: Duration = Duration::from_millis(250);

async fn open(fixture: &Fixture, with_nats: bool, after: u64) -> EventFeed {
    let nats = with_nats.then(|| fixture.nats.clone());
    let cancel = CancellationToken::new();
    EventFeed::open(fixture.pool.clone(), nats, fixture.names.clone(), after, cancel).await.unwrap()
}

async fn next(feed: &mut EventFeed, max: usize) -> Run {
    tokio::time::timeout(PATIENCE, feed.next(max)).await.expect("the feed shows no sign of life").unwrap()
}

async fn read_to(feed: &mut EventFeed, position: u64, max: usize) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    while feed.position() < position {
        let run = next(feed, max).await;
        assert!(run.events.len() <= max);
        events.extend(run.events);
    }
    events
}

/// Asserts that a new event arrives in time, several times over.
async fn assert_quick(fixture: &Fixture, feed: &mut EventFeed) {
    for _ in 0..20 {
        let started = Instant::now();
        let head = fixture.append(1).await;
        read_to(feed, head, 10).await;
        assert!(started.elapsed() < BOUND, "an event took {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_all_events_come_once_and_in_order() {
    let fixture = Fixture::new().await;
    fixture.append(3_000).await;
    let mut feed = open(&fixture, false, 0).await;
    let mut events = read_to(&mut feed, 3_000, 700).await;
    fixture.append(50).await;
    events.extend(read_to(&mut feed, 3_050, 7).await);
    assert_same(&events, &fixture.all_events().await);
    assert_quick(&fixture, &mut feed).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_announced_is_found_in_time() {
    let fixture = Fixture::new().await;
    let mut feed = open(&fixture, true, 0).await;
    for _ in 0..5 {
        let started = Instant::now();
        let head = fixture.append_with(1, false).await;
        read_to(&mut feed, head, 10).await;
        assert!(started.elapsed() < BOUND, "an event took {:?}", started.elapsed());
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_feed_says_that_it_is_at_the_head() {
    let fixture = Fixture::new().await;
    fixture.append(3).await;
    let mut feed = open(&fixture, true, 0).await;
    read_to(&mut feed, 3, 10).await;
    for _ in 0..5 {
        let started = Instant::now();
        let run = next(&mut feed, 10).await;
        assert!(run.events.is_empty() && run.is_at_head() && run.position == 3);
        assert!(started.elapsed() < BOUND && run.head_checked_at.elapsed() < BOUND);
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn near_the_head_jetstream_feeds() {
    let fixture = Fixture::new().await;
    fixture.append(5).await;
    fixture.publish(&fixture.all_events().await).await;
    let mut feed = open(&fixture, true, 0).await;
    let mut events = read_to(&mut feed, 5, 100).await;
    let started = Instant::now();
    while feed.counts().from_bus == 0 {
        assert!(started.elapsed() < PATIENCE, "JetStream never fed");
        let head = fixture.append_with(3, false).await;
        fixture.publish(&fixture.log().read_after(head - 3, 3).await.unwrap()).await;
        events.extend(read_to(&mut feed, head, 2).await);
    }
    assert_same(&events, &fixture.all_events().await);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_stuck_does_not_make_us_late() {
    let fixture = Fixture::new().await;
    fixture.append(5).await;
    fixture.publish(&fixture.all_events().await).await;
    let mut feed = open(&fixture, true, 0).await;
    read_to(&mut feed, 5, 100).await;
    // Nobody publishes from here on.
    assert_quick(&fixture, &mut feed).await;
    assert_quick(&fixture, &mut feed).await;
    assert_eq!(feed.counts().from_bus, 0);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_no_events_are_made_good_from_the_log() {
    let fixture = Fixture::new().await;
    let mut feed = open(&fixture, true, 0).await;
    fixture.publish(&[]).await;
    let mut events = Vec::new();
    for round in 0..30 {
        let head = fixture.append_with(2, false).await;
        let mut published = fixture.log().read_after(head - 2, 2).await.unwrap();
        if round % 3 == 1 {
            // Another position than its place in the stream.
            published[1].position += 1;
        }
        fixture.publish(&published).await;
        events.extend(read_to(&mut feed, head, 10).await);
    }
    assert_same(&events, &fixture.all_events().await);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_ahead_of_the_log_is_not_believed() {
    let fixture = Fixture::new().await;
    fixture.append(10).await;
    fixture.publish(&fixture.all_events().await).await;
    fixture.restore_log_to(6).await;
    let mut feed = open(&fixture, true, 0).await;
    read_to(&mut feed, 6, 100).await;
    for _ in 0..5 {
        assert!(next(&mut feed, 10).await.events.is_empty());
    }
    // Other events at the places of the lost ones.
    fixture.append(6).await;
    let events = read_to(&mut feed, 12, 100).await;
    assert_same(&events, &fixture.all_events().await[6..]);
    assert_eq!(feed.counts().from_bus, 0);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_went_back_is_an_error() {
    let fixture = Fixture::new().await;
    fixture.append(10).await;
    let mut feed = open(&fixture, false, 0).await;
    read_to(&mut feed, 10, 100).await;
    fixture.restore_log_to(6).await;
    let error = loop {
        match feed.next(10).await {
            Ok(run) => assert!(run.events.is_empty()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FeedError::WentBack { position: 10, head: 6 }), "{error}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_feed_says_so() {
    let fixture = Fixture::new().await;
    let cancel = CancellationToken::new();
    let opened = EventFeed::open(fixture.pool.clone(), None, fixture.names.clone(), 0, cancel.clone());
    let mut feed = opened.await.unwrap();
    cancel.cancel();
    assert!(matches!(feed.next(10).await, Err(FeedError::Stopped)));
    fixture.finish().await;
}
