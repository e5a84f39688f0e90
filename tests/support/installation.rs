//! A database, a stream and keys of a test's own, on the servers of the environment.
//!
//! What always holds: two installations share nothing; [`Installation::finish`] leaves nothing behind.

use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::jetstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quotary_commands::clock;
use quotary_projections::bus::subjects::Names;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Process, output, quotary};

/// An installation.
pub struct Installation {
    /// The database, as its owner.
    pub pool: PgPool,
    /// The bus.
    pub nats: jetstream::Context,
    /// The names on the bus.
    pub names: Names,
    /// The keys of access tokens, as in a key file.
    pub token_keys: String,
    database: String,
    database_url: String,
    admin: PgConnectOptions,
    environment: Vec<(&'static str, String)>,
    logs: TempDir,
    started: AtomicU32,
}

/// A running half, or both, of an installation.
pub struct Server {
    /// Where it listens.
    pub url: String,
    /// What it is: `serve`, `api` or `worker`.
    pub kind: &'static str,
    /// Its process.
    pub process: Process,
}

impl Installation {
    /// An installation with an empty database.
    pub async fn new(purpose: &str) -> Self {
        Self::on(purpose, &super::environment("DATABASE_URL"), super::environment("NATS_URL")).await
    }

    /// An installation on these servers.
    pub async fn on(purpose: &str, database_url: &str, nats_url: String) -> Self {
        let admin: PgConnectOptions = database_url.parse().unwrap();
        let database = format!("{purpose}_{}", clock::new_id().simple());
        let mut connection = admin.connect().await.unwrap();
        sqlx::raw_sql(&format!("create database {database}")).execute(&mut connection).await.unwrap();
        let own = admin.clone().database(&database);
        let database_url = own.to_url_lossy().to_string();
        let pool = PgPoolOptions::new().max_connections(4).connect_with(own).await.unwrap();
        let nats = jetstream::new(quotary_projections::bus::connect::connect(&nats_url).await.unwrap());
        let token_keys = quotary_api::tokens::TokenKeys::generate_json().unwrap().to_string();
        let environment = vec![
            ("DATABASE_URL", database_url.clone()),
            ("NATS_URL", nats_url),
            ("QUOTARY_STREAM_PREFIX", database.clone()),
            ("QUOTARY_LISTEN", "127.0.0.1:0".to_owned()),
            ("QUOTARY_CONNECTIONS", "12".to_owned()),
            ("QUOTARY_MASTER_KEY", STANDARD.encode(clock::new_id().simple().to_string())),
            ("QUOTARY_JWT_KEYS", token_keys.clone()),
        ];
        let names = Names::with_prefix(&database).unwrap();
        let logs = tempfile::Builder::new().prefix("quotary-system-").tempdir().unwrap();
        let started = AtomicU32::new(0);
        Self { pool, nats, names, token_keys, database, database_url, admin, environment, logs, started }
    }

    /// The database's URL, as its owner.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Sets a variable for all processes that are started from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Copies the database, which nobody may use meanwhile; the copy's URL. It goes with [`Installation::discard`].
    pub async fn copy(&self, suffix: &str) -> String {
        self.pool.close().await;
        let copy = format!("{}_{suffix}", self.database);
        let mut connection = self.admin.connect().await.unwrap();
        // A session that was just closed is still known to the server for a moment.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
        let create = format!("create database {copy} template {}", self.database);
        super::eventually("the copy", std::time::Duration::from_secs(30), async || {
            sqlx::query(end).bind(&self.database).execute(&mut connection).await.unwrap();
            sqlx::raw_sql(&create).execute(&mut connection).await.ok()
        })
        .await;
        self.admin.clone().database(&copy).to_url_lossy().to_string()
    }

    /// Removes a copy.
    pub async fn discard(&self, suffix: &str) {
        let mut connection = self.admin.connect().await.unwrap();
        let drop = format!("drop database {}_{suffix} with (force)", self.database);
        sqlx::raw_sql(&drop).execute(&mut connection).await.unwrap();
    }

    /// A command of the binary on this installation.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = quotary();
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).args(arguments);
        command
    }

    /// Runs a command of the binary to its end; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        output(self.command(arguments)).await
    }

    /// Starts `serve`, `api` or `worker` and waits until it listens.
    pub async fn start(&self, kind: &'static str) -> Server {
        let mut process = self.spawn(kind, &[]);
        let url = process.address().await;
        Server { url, kind, process }
    }

    /// Starts `serve`, `api` or `worker` with these settings more, and does not wait for it.
    pub fn spawn(&self, kind: &'static str, settings: &[(&str, String)]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.logs.path().join(format!("{number}-{kind}.log"));
        let mut command = self.command(&[kind]);
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        Process::spawn(command, &log)
    }

    /// All lines that all processes said on their standard errors.
    pub fn diagnostics(&self) -> Vec<String> {
        let logs = std::fs::read_dir(self.logs.path()).unwrap().map(|entry| entry.unwrap().path());
        let lines = logs.flat_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        lines.collect()
    }

    /// What all processes said on their standard errors, as far as it is a failure of the inside.
    pub fn failures(&self) -> Vec<String> {
        // A 503 that was asked for is told as an error too, by the layer that traces requests.
        self.diagnostics()
            .into_iter()
            .filter(|line| line.contains("panicked") || line.contains("ERROR") && !line.contains("on_failure"))
            .collect()
    }

    /// The position of the log's last event.
    pub async fn head(&self) -> i64 {
        sqlx::query_scalar("select position from log_head").fetch_one(&self.pool).await.unwrap()
    }

    /// Removes the database and the stream; all processes must have ended.
    pub async fn finish(self) {
        self.pool.close().await;
        // A test that ran without workers has no stream.
        if let Err(error) = self.nats.delete_stream(self.names.stream()).await {
            eprintln!("the stream {} was not deleted: {error}", self.names.stream());
        }
        let mut connection = self.admin.connect().await.unwrap();
        let drop = format!("drop database {} with (force)", self.database);
        sqlx::raw_sql(&drop).execute(&mut connection).await.unwrap();
    }
}
