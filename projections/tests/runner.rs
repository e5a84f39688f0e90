//! Runners and rebuilds on a real PostgreSQL: every event takes effect once, whatever happens in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "read_model_fixture/histories.rs"]
mod histories;
mod read_model_fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use histories::History;
use parking_lot::Mutex;
use quotary_domain::{Event, RecordedEvent};
use quotary_projections::generation::{self, GenerationState, Leftover};
use quotary_projections::ledger::{self, Ledger, LedgerRows};
use quotary_projections::projection::Projection;
use quotary_projections::rebuild::rebuild;
use quotary_projections::runner::{Health, RunnerError};
use quotary_projections::statements::trial_balance;
use quotary_projections::wait::{Checkpoints, WaitError, wait_for};
use read_model_fixture::{Dice, Fixture, TENANT};
use sqlx::{PgConnection, PgPool};

/// The ledger, with a write that fails after its rows are there, and with another version.
#[derive(Clone)]
struct Shaky {
    fail_every: u32,
    writes: Arc<AtomicU32>,
    version: i32,
    /// Whether each write waits for the disk.
    commits: Arc<Mutex<Vec<String>>>,
}

impl Shaky {
    fn new(fail_every: u32, version: i32) -> Self {
        Self { fail_every, writes: Arc::default(), version, commits: Arc::default() }
    }
}

impl Projection for Shaky {
    type Rows = LedgerRows;
    fn name(&self) -> &'static str {
        Ledger.name()
    }
    fn version(&self) -> i32 {
        self.version
    }
    fn tables(&self) -> &'static str {
        Ledger.tables()
    }
    fn views(&self) -> &'static [&'static str] {
        Ledger.views()
    }
    fn fold(&self, rows: &mut LedgerRows, recorded: &RecordedEvent, event: &Event) {
        Ledger.fold(rows, recorded, event);
    }
    async fn write(&self, rows: LedgerRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let commit =
            sqlx::query_scalar("select current_setting('synchronous_commit')").fetch_one(&mut *connection).await?;
        self.commits.lock().push(commit);
        Ledger.write(rows, connection).await?;
        if (self.writes.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.fail_every) {
            return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        }
        Ok(())
    }
}

/// Everything in the ledger's tables, to compare.
async fn contents(pool: &PgPool) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["balances", "entries", "quota_daily", "ledger_totals"] {
        let rows: Vec<String> =
            sqlx::query_scalar(&format!("select '{table} ' || to_jsonb(t)::text from read.{table} t order by 1"))
                .fetch_all(pool)
                .await
                .unwrap();
        all.extend(rows);
    }
    all
}

async fn checkpoint(pool: &PgPool) -> u64 {
    generation::ensure(pool, &Ledger).await.unwrap().checkpoint
}

#[tokio::test]
async fn a_write_that_breaks_off_leaves_nothing_and_is_repeated() {
    let fixture = Fixture::new().await;
    let head = fixture.append(History::default().facts(&mut Dice(1), 6, 900)).await;
    let running = fixture.run(Shaky::new(2, 1), 100);
    fixture.reached(&running, ledger::NAME, head).await;
    assert_eq!(running.status.lock().written, head);
    running.end().await.unwrap();
    let entries: i64 = sqlx::query_scalar("select count(*) from read.entries").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(entries.cast_unsigned(), head);
    assert_eq!(trial_balance(&fixture.pool, TENANT).await.unwrap().total, 0);
    fixture.finish().await;
}

#[tokio::test]
async fn what_is_served_is_durable_before_it_is_seen_and_what_is_built_when_it_is_served() {
    let fixture = Fixture::new().await;
    let head = fixture.append(History::default().facts(&mut Dice(7), 6, 900)).await;
    let (served, built) = (Shaky::new(u32::MAX, 1), Shaky::new(u32::MAX, 1));
    let running = fixture.run(served.clone(), 100);
    fixture.reached(&running, ledger::NAME, head).await;
    running.end().await.unwrap();
    assert!(served.commits.lock().iter().all(|commit| commit == "on"), "{:?}", served.commits);
    rebuild(&fixture.pool, &Arc::new(built.clone()), &fixture.log(), Leftover::Discard).await.unwrap();
    assert!(built.commits.lock().iter().any(|commit| commit == "off"), "{:?}", built.commits);
    fixture.finish().await;
}

#[tokio::test]
async fn a_runner_that_dies_at_any_moment_is_followed_by_one_that_goes_on() {
    let fixture = Fixture::new().await;
    let head = fixture.append(History::default().facts(&mut Dice(2), 6, 2_000)).await;
    let mut dice = Dice(3);
    while checkpoint(&fixture.pool).await < head {
        let running = fixture.run(Ledger, 60);
        // Not a wait for something: a moment to die at.
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        // Dropped wherever it stands, in the middle of a transaction too.
        running.task.abort();
        assert!(running.task.await.is_err_and(|ended| ended.is_cancelled()));
    }
    let entries: i64 = sqlx::query_scalar("select count(*) from read.entries").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(entries.cast_unsigned(), head);
    assert_eq!(trial_balance(&fixture.pool, TENANT).await.unwrap().total, 0);
    fixture.finish().await;
}

#[tokio::test]
async fn two_runners_of_one_projection_write_every_event_once() {
    let fixture = Fixture::new().await;
    let mut history = History::default();
    let mut dice = Dice(4);
    let mut head = fixture.append(history.facts(&mut dice, 6, 500)).await;
    let (one, other) = (fixture.run(Ledger, 50), fixture.run(Ledger, 70));
    for _ in 0..5 {
        head = fixture.append(history.facts(&mut dice, 6, 200)).await;
    }
    fixture.reached(&one, ledger::NAME, head).await;
    let written = one.status.lock().written + other.status.lock().written;
    one.end().await.unwrap();
    other.end().await.unwrap();
    assert!(written <= head);
    let entries: i64 = sqlx::query_scalar("select count(*) from read.entries").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(entries.cast_unsigned(), head);
    assert_eq!(trial_balance(&fixture.pool, TENANT).await.unwrap().total, 0);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_under_load_switches_without_a_gap_and_no_query_fails() {
    let fixture = Arc::new(Fixture::new().await);
    let mut history = History::default();
    let mut dice = Dice(5);
    let head = fixture.append(history.facts(&mut dice, 6, 3_000)).await;
    let running = fixture.run(Ledger, 200);
    fixture.reached(&running, ledger::NAME, head).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (fixture, stop) = (fixture.clone(), stop.clone());
        async move {
            let mut head = 0;
            while !stop.load(Ordering::Relaxed) {
                head = fixture.append(history.facts(&mut dice, 6, 20)).await;
            }
            head
        }
    });
    let reader = tokio::spawn({
        let (fixture, stop) = (fixture.clone(), stop.clone());
        async move {
            let mut queries = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                // Reads several views of the projection that is being switched.
                assert_eq!(trial_balance(&fixture.pool, TENANT).await.unwrap().total, 0);
                queries += 1;
            }
            queries
        }
    });
    for generation in 2..=4 {
        let switched = rebuild(&fixture.pool, &Arc::new(Ledger), &fixture.log(), Leftover::Discard).await.unwrap();
        assert_eq!((switched.generation, switched.state), (generation, GenerationState::Serving));
        let there = generation::list(&fixture.pool).await.unwrap();
        assert_eq!(there.len(), 1, "the old generation is dropped: {there:?}");
    }
    stop.store(true, Ordering::Relaxed);
    let head = writer.await.unwrap();
    assert!(reader.await.unwrap() > 0);
    fixture.reached(&running, ledger::NAME, head).await;
    assert_eq!(running.status.lock().generation, 4, "the runner went over to the new generation");
    running.end().await.unwrap();

    let after_switches = contents(&fixture.pool).await;
    rebuild(&fixture.pool, &Arc::new(Ledger), &fixture.log(), Leftover::Discard).await.unwrap();
    assert_eq!(contents(&fixture.pool).await, after_switches);
    Arc::into_inner(fixture).unwrap().finish().await;
}

#[tokio::test]
async fn an_interrupted_build_leaves_the_old_generation_serving_and_is_resumed() {
    let fixture = Fixture::new().await;
    let head = fixture.append(History::default().facts(&mut Dice(6), 6, 500)).await;
    fixture.project(Ledger, head).await;
    let before = contents(&fixture.pool).await;
    // Its first write breaks off: the tables are there, the rows are not.
    let broken = rebuild(&fixture.pool, &Arc::new(Shaky::new(1, 2)), &fixture.log(), Leftover::Resume).await;
    assert!(broken.is_err());
    assert_eq!(contents(&fixture.pool).await, before);
    let states: Vec<_> = generation::list(&fixture.pool).await.unwrap().iter().map(|g| g.state).collect();
    assert_eq!(states, [GenerationState::Serving, GenerationState::Building]);

    // A runner of the new version finishes it, and the old program's runner stops for all to see.
    let running = fixture.run(Shaky::new(u32::MAX, 2), 100);
    let switched = async {
        while running.status.lock().generation != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(read_model_fixture::PATIENCE, switched).await.unwrap();
    fixture.reached(&running, ledger::NAME, head).await;
    running.end().await.unwrap();
    assert_eq!(contents(&fixture.pool).await, before);
    let old = fixture.run(Ledger, 100);
    let seen = old.status.clone();
    assert!(matches!(old.task.await.unwrap(), Err(RunnerError::Superseded { serving: 2, own: 1, .. })));
    assert_eq!(seen.lock().health, Health::Failed);
    fixture.finish().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_the_projection_and_is_not_skipped() {
    let fixture = Fixture::new().await;
    let mut history = History::default();
    let mut dice = Dice(8);
    let good = fixture.append(history.facts(&mut dice, 3, 50)).await;
    let mut bad = history.facts(&mut dice, 3, 1);
    bad.truncate(1);
    bad[0].payload = r#"{"QuotaInvented":{}}"#.to_owned();
    fixture.append(bad).await;
    fixture.append(history.facts(&mut dice, 3, 20)).await;
    // One event a run, so that all before the bad one is written.
    let running = fixture.run(Ledger, 1);
    let status = running.status.clone();
    assert!(matches!(running.task.await.unwrap(), Err(RunnerError::Run { .. })));
    let status = status.lock().clone();
    assert_eq!((status.checkpoint, status.health), (good, Health::Failed));
    assert!(status.last_error.unwrap().contains(&format!("position {}", good + 1)));
    fixture.finish().await;
}

#[tokio::test]
async fn waiting_works_across_processes_and_is_bounded() {
    let fixture = Fixture::new().await;
    let head = fixture.append(History::default().facts(&mut Dice(9), 3, 100)).await;
    let elsewhere = Checkpoints::default();
    let bound = Duration::from_millis(80);
    let behind = wait_for(&fixture.pool, &elsewhere, &[ledger::NAME], head, bound).await;
    assert!(matches!(behind, Err(WaitError::Behind { checkpoint: 0, .. })));
    let running = fixture.run(Ledger, 100);
    wait_for(&fixture.pool, &elsewhere, &[ledger::NAME], head, read_model_fixture::PATIENCE).await.unwrap();
    let behind = wait_for(&fixture.pool, &running.checkpoints, &[ledger::NAME], u64::MAX, bound).await;
    assert!(matches!(behind, Err(WaitError::Behind { checkpoint, .. }) if checkpoint == head));
    running.end().await.unwrap();
    fixture.finish().await;
}
