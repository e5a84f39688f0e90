//! The lock that makes one process do a job: over a cable that goes silent, and with a leader that does.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/log_fixture/fixture.rs"]
mod fixture;

use std::time::{Duration, Instant};

use fixture::{Fixture, until};
use quotary_workers::leader::{Leader, LeaderOptions};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const JOB: &str = "test";

fn quick() -> LeaderOptions {
    LeaderOptions {
        ask_again: Duration::from_millis(20),
        answer_within: Duration::from_millis(500),
        silent_at_most: Duration::from_secs(1),
    }
}

async fn wait(pool: &PgPool, cancel: &CancellationToken) -> Option<Leader> {
    Leader::wait_with(pool, JOB, quick(), cancel).await.unwrap()
}

/// Leads to the server of `pool` until it goes silent: then nothing passes, and no connection ends.
struct Cable {
    pool: PgPool,
    silent: watch::Sender<bool>,
}

impl Cable {
    async fn to(pool: &PgPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = (*pool.connect_options()).clone();
        let server = (options.get_host().to_owned(), options.get_port());
        let through = options.host("127.0.0.1").port(listener.local_addr().unwrap().port());
        let (silent, is_silent) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
                let mut is_silent = is_silent.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_silent.wait_for(|silent| *silent) => {}
                    }
                    // Kept open and carried no further, until the test ends.
                    is_silent.wait_for(|_| false).await.ok();
                    drop((client, server));
                });
            }
        });
        Self { pool: PgPoolOptions::new().connect_lazy_with(through), silent }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_cable_goes_silent_knows_it_within_the_bound_and_another_takes_over() {
    let (fixture, cancel) = (Fixture::new().await, CancellationToken::new());
    let cable = Cable::to(&fixture.pool).await;
    let mut first = wait(&cable.pool, &cancel).await.unwrap();
    assert!(!first.is_lost().await);
    cable.silent.send_replace(true);
    let start = Instant::now();
    assert!(first.is_lost().await);
    drop(first);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let mut second = tokio::time::timeout(fixture::PATIENCE, wait(&fixture.pool, &cancel)).await.unwrap().unwrap();
    assert!(!second.is_lost().await);
    second.resign().await.unwrap();
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_silent_for_too_long_loses_the_lock_and_one_that_is_not_keeps_it() {
    let (fixture, cancel) = (Fixture::new().await, CancellationToken::new());
    // As a frozen process would: the connection is there and nothing comes over it.
    let mut frozen = wait(&fixture.pool, &cancel).await.unwrap();
    let mut second = tokio::time::timeout(fixture::PATIENCE, wait(&fixture.pool, &cancel)).await.unwrap().unwrap();
    assert!(frozen.is_lost().await, "it wakes up and knows that it does not lead");
    let start = Instant::now();
    until("the second to have led longer than silence may last", async || {
        assert!(!second.is_lost().await);
        (start.elapsed() > quick().silent_at_most * 2).then_some(())
    })
    .await;
    second.resign().await.unwrap();
    wait(&fixture.pool, &cancel).await.unwrap().resign().await.unwrap();
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_the_lock_can_be_told_to_stop() {
    let (fixture, cancel) = (Fixture::new().await, CancellationToken::new());
    let mut leader = wait(&fixture.pool, &cancel).await.unwrap();
    let waiting = tokio::spawn({
        let (pool, cancel) = (fixture.pool.clone(), cancel.clone());
        async move { wait(&pool, &cancel).await.is_none() }
    });
    assert!(!leader.is_lost().await);
    cancel.cancel();
    assert!(waiting.await.unwrap());
    leader.resign().await.unwrap();
    fixture.finish().await;
}
