//! The process manager of refunded batches on a real PostgreSQL: every step twice, a crash before and after every step,
//! duplicates and a late list; at the end every licence is disabled, once.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Vault, clock};
use quotary_domain::account::Username;
use quotary_domain::license::LicenseTerms;
use quotary_domain::license_batch::{BatchStatus, LicenseBatch};
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{Actor, BatchId, Quota, Role};
use quotary_projections::generation;
use quotary_projections::licenses::{Licenses, batches_to_disable};
use quotary_projections::log_reader::LogReader;
use quotary_projections::runner::Runners;
use quotary_projections::wait::Checkpoints;
use quotary_workers::disable_refunded::{self, Step, disable_one};
use quotary_workers::leader::LeaderOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(60);

/// A database with a vendor, and the read model of licences kept current.
struct Scene {
    pool: PgPool,
    boss: Actor,
    checkpoints: Checkpoints,
    cancel: CancellationToken,
    admin: PgConnectOptions,
    name: String,
}

#[expect(clippy::disallowed_methods, reason = "the server of the tests is given by the environment")]
fn database_url() -> String {
    std::env::var("DATABASE_URL").expect("`make test` sets DATABASE_URL")
}

impl Scene {
    async fn new() -> Self {
        let admin: PgConnectOptions = database_url().parse().unwrap();
        let name = format!("disable_{}", clock::new_id().simple());
        sqlx::raw_sql(&format!("create database {name}")).execute(&mut admin.connect().await.unwrap()).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(12).connect_with(admin.clone().database(&name)).await.unwrap();
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
        sqlx::migrate::Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
        generation::ensure(&pool, &Licenses).await.unwrap();
        let input = CreateTenant {
            name: "acme".into(),
            username: Username::parse("boss").unwrap(),
            email: "boss@example.com".into(),
            password: Zeroizing::new("correct horse battery".to_owned()),
            must_change_password: false,
        };
        let made = process(&pool).create_tenant(input).await.unwrap().value;
        let boss = Actor { tenant_id: made.tenant_id, account_id: made.account_id, role: Role::SuperAdmin };
        let (checkpoints, cancel) = (Checkpoints::default(), CancellationToken::new());
        Self { pool, boss, checkpoints, cancel, admin, name }
    }

    /// Keeps the read model current from now on.
    fn follow(&self) {
        let log = Arc::new(LogReader::new(self.pool.clone()));
        let runners =
            Runners::new(self.pool.clone(), log, self.checkpoints.clone(), self.cancel.clone()).spawn(Licenses);
        tokio::spawn(async move { runners.join().await });
    }

    fn by_boss(&self) -> Context {
        Context::of(self.boss, "test", clock::now())
    }

    /// A batch of `count` that was refunded while or after it was issued.
    async fn refunded(&self, by: &Commands, count: u32, chunks: u32) -> BatchId {
        let details = ProjectDetails {
            name: format!("p-{}", clock::new_id()),
            description: None,
            version: None,
            callback_url: None,
        };
        let project = by.create_project(&self.by_boss(), details).await.unwrap().value.after.project_id;
        let terms = LicenseTerms::usual(None, 1, vec![]);
        let plan = Plan::new("plan".into(), Quota::ZERO, terms);
        let plan = by.add_plan(&self.by_boss(), project, plan).await.unwrap().value.plan_id;
        let batch = by.request_batch(&self.by_boss(), project, plan, count).await.unwrap().value.batch_id;
        for _ in 0..chunks {
            let system = Context::system(self.boss.tenant_id, "test", clock::now());
            by.issue_chunk(&system, batch).await.unwrap();
        }
        by.refund_batch(&self.by_boss(), batch).await.unwrap();
        batch
    }

    async fn batch(&self, id: BatchId) -> LicenseBatch {
        process(&self.pool).log().current::<LicenseBatch>(self.boss.tenant_id, id).await.unwrap().unwrap().0
    }

    async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    async fn until(&self, sql: &str, number: i64) {
        let start = Instant::now();
        while self.count(sql).await != number {
            assert!(start.elapsed() < PATIENCE, "{sql}: not {number}");
            tokio::task::yield_now().await;
        }
    }

    /// Every licence that was issued is disabled, by exactly one event.
    async fn assert_all_disabled_once(&self) {
        let wrong = "select count(*) from events i where i.event_type = 'LicenseIssued' and (select count(*) from events d \
            where d.aggregate_type = 'License' and d.aggregate_id = i.aggregate_id and d.event_type = 'LicenseDisabled') <> 1";
        assert_eq!(self.count(wrong).await, 0);
    }

    async fn end(self) {
        self.cancel.cancel();
        self.pool.close().await;
        let gone = format!("drop database {} with (force)", self.name);
        sqlx::raw_sql(&gone).execute(&mut self.admin.connect().await.unwrap()).await.unwrap();
    }
}

/// A process of its own: nothing in memory yet.
fn process(pool: &PgPool) -> Commands {
    Commands::new(EventLog::start(pool.clone(), Vault::new(Zeroizing::new([7; 32])), Limits::default(), 10_000).0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_or_after_any_step_misses_no_licence_and_disables_none_twice() {
    let scene = Scene::new().await;
    let batch = scene.refunded(&process(&scene.pool), 3_000, 2).await;
    let tenant = scene.boss.tenant_id;
    // The list and the licences are late: nothing is done on what is not known.
    assert_eq!(disable_one(&process(&scene.pool), &scene.pool, tenant, batch).await.unwrap(), Step::NotYet);
    assert!(batches_to_disable(&scene.pool, 10).await.unwrap().is_empty());
    scene.follow();
    scene.until("select count(*) from read.licenses", 2_000).await;
    assert_eq!(batches_to_disable(&scene.pool, 10).await.unwrap(), [(batch, tenant)]);
    for _ in 0..4 {
        let before = scene.batch(batch).await.disabled_chunks;
        // Each step by a process that knows nothing of the others, and twice at once.
        let (one, two) = (process(&scene.pool), process(&scene.pool));
        let (first, second) =
            tokio::join!(disable_one(&one, &scene.pool, tenant, batch), disable_one(&two, &scene.pool, tenant, batch));
        let ends = |step: &Result<Step, _>| matches!(step, Ok(Step::Done) | Err(_));
        let moved = scene.batch(batch).await.disabled_chunks > before;
        assert!(moved || ends(&first) || ends(&second), "{first:?} {second:?}");
    }
    while disable_one(&process(&scene.pool), &scene.pool, tenant, batch).await.unwrap() == Step::Disabled {}
    let state = scene.batch(batch).await;
    assert_eq!((state.disabled, state.disabled_chunks, state.status()), (2_000, 4, BatchStatus::Stopped));
    scene.assert_all_disabled_once().await;
    scene.until("select count(*) from read.batches where disabled = issued", 1).await;
    assert!(batches_to_disable(&scene.pool, 10).await.unwrap().is_empty());
    // The late list once more.
    assert_eq!(disable_one(&process(&scene.pool), &scene.pool, tenant, batch).await.unwrap(), Step::Done);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_that_are_stopped_and_started_finish_every_batch() {
    let scene = Scene::new().await;
    scene.follow();
    let by = process(&scene.pool);
    for (count, chunks) in [(1, 1), (700, 1), (2_500, 2), (5, 0)] {
        scene.refunded(&by, count, chunks).await;
    }
    let start = |cancel: &CancellationToken| {
        let (commands, pool, checkpoints) = (process(&scene.pool), scene.pool.clone(), scene.checkpoints.clone());
        tokio::spawn(disable_refunded::run(commands, pool, checkpoints, LeaderOptions::default(), cancel.clone()))
    };
    let disabled = "select count(*) from events where event_type = 'LicenseDisabled'";
    let first = CancellationToken::new();
    let manager = start(&first);
    let begin = Instant::now();
    while scene.count(disabled).await == 0 {
        assert!(begin.elapsed() < PATIENCE, "nothing is disabled");
        tokio::task::yield_now().await;
    }
    // Not stopped but gone, wherever it was.
    manager.abort();
    assert!(manager.await.unwrap_err().is_cancelled());
    let cancel = CancellationToken::new();
    let managers = [start(&cancel), start(&cancel)];
    scene.until(disabled, 2_701).await;
    scene.until("select count(*) from read.batches where refunded_at is not null and disabled < issued", 0).await;
    scene.assert_all_disabled_once().await;
    cancel.cancel();
    for manager in managers {
        manager.await.unwrap();
    }
    scene.end().await;
}
