//! A log and a stream of a test's own.
//!
//! What always holds: two tests share no database and no stream, and [`Fixture::finish`] leaves neither behind.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use quotary_domain::RecordedEvent;
use quotary_projections::bus::{Names, cloud_event};
use quotary_projections::log_reader::LogReader;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

/// The longest that any condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Fixture {
    pub pool: PgPool,
    pub nats: jetstream::Context,
    pub names: Names,
    admin: PgConnectOptions,
    database: String,
}

#[expect(clippy::disallowed_methods, reason = "the servers of the tests are given by the environment")]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `make test` sets it"))
}

impl Fixture {
    /// An empty log, no stream yet, on the servers of `DATABASE_URL` and `NATS_URL`.
    pub async fn new() -> Self {
        let client = quotary_projections::bus::connect::connect(&environment("NATS_URL")).await.unwrap();
        Self::with_nats(jetstream::new(client)).await
    }

    /// The same on another NATS.
    pub async fn with_nats(nats: jetstream::Context) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bus_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let admin: PgConnectOptions = environment("DATABASE_URL").parse().unwrap();
        let mut connection = admin.connect().await.unwrap();
        sqlx::raw_sql(&format!("drop database if exists {name} with (force)")).execute(&mut connection).await.unwrap();
        sqlx::raw_sql(&format!("create database {name}")).execute(&mut connection).await.unwrap();
        let options = admin.clone().database(&name);
        let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
        for migration in migrations() {
            sqlx::raw_sql(&migration).execute(&pool).await.unwrap();
        }
        let names = Names::with_prefix(&name).unwrap();
        Self { pool, nats, names, admin, database: name }
    }

    pub fn log(&self) -> LogReader {
        LogReader::new(self.pool.clone())
    }

    /// Appends `count` events in one commit, as `append_events` would: dense, head moved, announced.
    pub async fn append(&self, count: i64) -> u64 {
        self.append_with(count, true).await
    }

    /// The same, with or without an announcement.
    pub async fn append_with(&self, count: i64, announced: bool) -> u64 {
        let mut transaction = self.pool.begin().await.unwrap();
        let head: i64 =
            sqlx::query_scalar("select position from log_head for update").fetch_one(&mut *transaction).await.unwrap();
        sqlx::query(
            r#"insert into events
               select $1 + n, gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'License',
                      gen_random_uuid()::text, 1, 'LicenseRevoked', '1',
                      ('{"LicenseRevoked":{"reason":"Grund № ' || n || '"}}')::json,
                      ('{"actor":"anna ' || n || '","command":"license.revoke"}')::json,
                      clock_timestamp() + n * interval '1 microsecond'
               from generate_series(1, $2) n"#,
        )
        .bind(head)
        .bind(count)
        .execute(&mut *transaction)
        .await
        .unwrap();
        let new_head: i64 = sqlx::query_scalar("update log_head set position = $1 returning position")
            .bind(head + count)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        if announced {
            sqlx::query("select pg_notify('quotary_log', $1)")
                .bind(new_head.to_string())
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
        new_head.cast_unsigned()
    }

    /// Throws away everything after `position`, as an older backup would.
    pub async fn restore_log_to(&self, position: i64) {
        sqlx::query("delete from events where position > $1").bind(position).execute(&self.pool).await.unwrap();
        sqlx::query("update log_head set position = $1").bind(position).execute(&self.pool).await.unwrap();
    }

    pub async fn all_events(&self) -> Vec<RecordedEvent> {
        self.log().read_after(0, 100_000).await.unwrap()
    }

    /// The whole stream as events; each is checked to stand at its own place.
    pub async fn stream_events(&self) -> Vec<RecordedEvent> {
        let stream = self.nats.get_stream(self.names.stream()).await.unwrap();
        let state = &stream.cached_info().state;
        let mut events = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.direct_get(sequence).await.unwrap();
            events.push(cloud_event::decode(&message.headers, &message.payload, sequence).unwrap());
        }
        events
    }

    /// Makes a plain stream and publishes `events` to it by hand.
    pub async fn publish(&self, events: &[RecordedEvent]) {
        let config = jetstream::stream::Config {
            name: self.names.stream().to_owned(),
            subjects: vec![self.names.all_events()],
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            ..Default::default()
        };
        self.nats.get_or_create_stream(config).await.unwrap();
        for event in events {
            let message = cloud_event::encode(&self.names, event.clone()).unwrap();
            let ack = self.nats.publish_with_headers(message.subject, message.headers, message.payload.into());
            ack.await.unwrap().await.unwrap();
        }
    }

    pub async fn delete_stream(&self) {
        self.nats.delete_stream(self.names.stream()).await.unwrap();
    }

    /// Removes the stream and the database.
    pub async fn finish(self) {
        if let Err(error) = self.nats.delete_stream(self.names.stream()).await {
            // Not every test makes one.
            tracing::debug!(%error, "no stream to remove");
        }
        self.pool.close().await;
        let mut connection = self.admin.connect().await.unwrap();
        let drop = format!("drop database {} with (force)", self.database);
        sqlx::raw_sql(&drop).execute(&mut connection).await.unwrap();
    }
}

/// Waits until `check` gives something.
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asserts that two histories are the same, byte by byte.
pub fn assert_same(found: &[RecordedEvent], expected: &[RecordedEvent]) {
    assert_eq!(found.len(), expected.len());
    for (one, other) in found.iter().zip(expected) {
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
    }
}

fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}
