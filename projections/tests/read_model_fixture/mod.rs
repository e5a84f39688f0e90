//! A log of a test's own, filled with typed events.
//!
//! What always holds: two tests share no database, and [`Fixture::finish`] leaves none behind.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use quotary_domain::{Metadata, TenantId};
use quotary_projections::log_reader::LogReader;
use quotary_projections::projection::Projection;
use quotary_projections::runner::{Health, Runner, RunnerError, RunnerOptions, Status};
use quotary_projections::wait::{Checkpoints, wait_for};
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The longest that any condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const TENANT: TenantId = TenantId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

pub struct Fixture {
    /// As the service works: under its role.
    pub pool: PgPool,
    /// As the owner works.
    pub owner: PgPool,
    admin: PgConnectOptions,
    database: String,
    sequences: std::sync::Mutex<HashMap<Uuid, i64>>,
}

/// An event to append.
pub struct Fact {
    pub tenant: TenantId,
    pub aggregate_type: &'static str,
    pub aggregate_id: Uuid,
    pub event_type: String,
    pub payload: String,
    pub metadata: Metadata,
}

pub fn fact<A: cqrs_es::Aggregate>(aggregate_id: impl Into<Uuid>, event: &A::Event) -> Fact
where
    A::Event: Serialize,
{
    Fact {
        tenant: TENANT,
        aggregate_type: A::TYPE,
        aggregate_id: aggregate_id.into(),
        event_type: cqrs_es::DomainEvent::event_type(event),
        payload: serde_json::to_string(event).unwrap(),
        metadata: Metadata::default(),
    }
}

impl Fact {
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.metadata = self.metadata.at(time);
        self
    }

    pub fn of(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }
}

#[expect(clippy::disallowed_methods, reason = "the servers of the tests are given by the environment")]
fn database_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL is not set; `make test` sets it")
}

impl Fixture {
    pub async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("read_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let admin: PgConnectOptions = database_url().parse().unwrap();
        let mut connection = admin.connect().await.unwrap();
        connection.execute(format!("drop database if exists {name} with (force)").as_str()).await.unwrap();
        connection.execute(format!("create database {name}").as_str()).await.unwrap();
        let options = admin.clone().database(&name);
        let owner = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await.unwrap();
        for migration in migrations() {
            owner.execute(migration.as_str()).await.unwrap();
        }
        let pool = PgPoolOptions::new()
            .max_connections(12)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute("set role quotary_service").await.map(|_| ()) })
            })
            .connect_with(options)
            .await
            .unwrap();
        Self { pool, owner, admin, database: name, sequences: std::sync::Mutex::default() }
    }

    pub fn log(&self) -> Arc<LogReader> {
        Arc::new(LogReader::new(self.pool.clone()))
    }

    /// Appends the facts in one commit, as `append_events` does: dense, in order, times strictly increasing.
    pub async fn append(&self, facts: Vec<Fact>) -> u64 {
        let mut transaction = self.pool.begin().await.unwrap();
        let head: i64 =
            sqlx::query_scalar("select position from log_head for update").fetch_one(&mut *transaction).await.unwrap();
        let count = i64::try_from(facts.len()).unwrap();
        let (mut tenants, mut types, mut ids, mut sequences) = (vec![], vec![], vec![], vec![]);
        let (mut names, mut payloads, mut metadata) = (vec![], vec![], vec![]);
        for fact in facts {
            let sequence = {
                let mut known = self.sequences.lock().unwrap();
                let sequence = known.entry(fact.aggregate_id).or_default();
                *sequence += 1;
                *sequence
            };
            tenants.push(fact.tenant.0);
            types.push(fact.aggregate_type);
            ids.push(fact.aggregate_id.to_string());
            sequences.push(sequence);
            names.push(fact.event_type);
            payloads.push(fact.payload);
            metadata.push(serde_json::to_string(&fact.metadata).unwrap());
        }
        sqlx::query(
            "insert into events
             select $1 + n.place, gen_random_uuid(), n.tenant, n.type, n.id, n.sequence, n.name, '1', n.payload::json,
                    n.metadata::json, (select greatest(recorded_at, clock_timestamp()) from log_head)
                        + n.place * interval '1 microsecond'
             from unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])
                  with ordinality as n (tenant, type, id, sequence, name, payload, metadata, place)",
        )
        .bind(head)
        .bind(tenants)
        .bind(types)
        .bind(ids)
        .bind(sequences)
        .bind(names)
        .bind(payloads)
        .bind(metadata)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query(
            "update log_head set position = $1, recorded_at = (select recorded_at from events where position = $1)",
        )
        .bind(head + count)
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        (head + count).cast_unsigned()
    }

    /// Starts a runner of `projection` fed from the log.
    pub fn run<P: Projection>(&self, projection: P, max_run: usize) -> Running {
        let checkpoints = Checkpoints::default();
        let stop = CancellationToken::new();
        let options = RunnerOptions { max_run, ..RunnerOptions::default() };
        let runner = Runner::new(self.pool.clone(), projection, self.log(), checkpoints.clone(), options);
        let status = runner.status();
        Running { checkpoints, status, stop: stop.clone(), task: tokio::spawn(runner.run(stop)) }
    }

    /// Runs `projection` until it contains `position`, then ends it.
    pub async fn project<P: Projection>(&self, projection: P, position: u64) {
        let name = projection.name();
        let running = self.run(projection, 1_000);
        self.reached(&running, name, position).await;
        running.end().await.unwrap();
    }

    pub async fn reached(&self, running: &Running, name: &str, position: u64) {
        let names = [name];
        let failed = async {
            while running.status.lock().health != Health::Failed {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            arrived = wait_for(&self.pool, &running.checkpoints, &names, position, PATIENCE) => {
                if let Err(error) = arrived { panic!("{error}; {:?}", running.status.lock()) }
            }
            () = failed => panic!("the runner failed: {:?}", running.status.lock()),
        }
    }

    /// Removes the database.
    pub async fn finish(self) {
        self.pool.close().await;
        self.owner.close().await;
        let mut connection = self.admin.connect().await.unwrap();
        connection.execute(format!("drop database {} with (force)", self.database).as_str()).await.unwrap();
    }
}

pub struct Running {
    pub checkpoints: Checkpoints,
    pub status: Arc<parking_lot::Mutex<Status>>,
    pub stop: CancellationToken,
    pub task: JoinHandle<Result<(), RunnerError>>,
}

impl Running {
    pub async fn end(self) -> Result<(), RunnerError> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// A small generator of repeatable numbers (`SplitMix64`), so that a failing history can be run again by its seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
