//! A place for a process: its cable to PostgreSQL, its fault points, its clock, and where it can be reached now.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quotary_commands::fault_point;
use tempfile::TempDir;
use tokio::sync::watch;

use super::cable::Cable;
use super::kind::Kind;
use super::stage::{Stage, TIME_OUTS};
use crate::support::process::Process;

/// How often a process is started again that can't start, as a supervisor would.
const STARTS: u32 = 30;
/// How often a fault point is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// The faults that stop a process at a point, and the point.
pub const POINTS: [(Kind, &str); 5] = [
    (Kind::BeforeAppend, fault_point::BEFORE_APPEND),
    (Kind::AfterAppend, fault_point::AFTER_APPEND),
    (Kind::BeforeAcknowledgement, fault_point::BEFORE_ACKNOWLEDGEMENT),
    (Kind::AfterPublish, fault_point::AFTER_PUBLISH),
    (Kind::BeforeCheckpoint, fault_point::BEFORE_CHECKPOINT),
];

/// A place for a process.
pub struct Node {
    /// What runs there: `serve`, `api` or `worker`.
    pub kind: &'static str,
    /// Where its API listens; `None` while nothing runs.
    pub url: watch::Sender<Option<String>>,
    /// Writes sent to it and not answered.
    pub in_flight: Arc<AtomicU64>,
    /// Commands that it has acknowledged.
    pub acknowledged: watch::Sender<u64>,
    /// Its way to PostgreSQL.
    pub cable: Cable,
    directory: TempDir,
    database_url: String,
}

impl Node {
    /// A place for a process of `kind` on the database of `database_url`.
    pub async fn new(kind: &'static str, database_url: &str) -> Self {
        let options: sqlx::postgres::PgConnectOptions = database_url.parse().unwrap();
        let in_flight = Arc::<AtomicU64>::default();
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let cable = Cable::new(host, port, in_flight.clone()).await;
        let database_url = database_url.replace(&format!(":{port}/"), &format!(":{}/", cable.port));
        let directory = tempfile::Builder::new().prefix("quotary-fault-").tempdir().unwrap();
        let (url, acknowledged) = (watch::Sender::new(None), watch::Sender::new(0));
        Self { kind, url, in_flight, acknowledged, cable, directory, database_url }
    }

    /// Whether clients can send commands to it.
    pub fn serves(&self) -> bool {
        self.kind != "worker"
    }

    /// Writes sent to it and not answered; of a process without an API, what all others have at hand for it.
    pub fn writes_in_flight(&self, stage: &Stage) -> u64 {
        if self.serves() { self.in_flight.load(Ordering::SeqCst) } else { stage.writes_in_flight() }
    }

    /// What counts as a sign that it, or all that it serves, is at work.
    pub fn progress<'a>(&'a self, stage: &'a Stage) -> &'a watch::Sender<u64> {
        if self.serves() { &self.acknowledged } else { &stage.acknowledged }
    }

    /// Starts a process, again and again while it can't start, and waits until it listens.
    pub async fn start(&self, stage: &Stage) -> Process {
        let mut settings = vec![
            ("DATABASE_URL", self.database_url.clone()),
            ("QUOTARY_FAULT_DIRECTORY", self.directory.path().display().to_string()),
            // Its runs would stand in the log beside the clients' commands, whenever a clock leaps; the checks compare at the end.
            ("QUOTARY_RECONCILE_MINUTES", "0".to_owned()),
            ("QUOTARY_RECONCILE_FULL_HOURS", "0".to_owned()),
        ];
        settings.extend(TIME_OUTS.map(|(name, value)| (name, value.to_owned())));
        for point in POINTS.iter().map(|(_, point)| point) {
            self.disarm(point);
        }
        for _ in 0..STARTS {
            stage.database().await;
            let mut process = stage.installation.spawn(self.kind, &settings);
            if let Some(url) = process.address_if_it_starts().await {
                self.url.send_replace(Some(url));
                return process;
            }
        }
        panic!("a {} does not start", self.kind);
    }

    /// Nothing runs here now.
    pub fn is_down(&self) {
        self.url.send_replace(None);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Stops the process when it next comes to `point`; whether it did within the bound.
    pub async fn reach(&self, point: &str, within: Duration) -> bool {
        std::fs::write(self.path(point), "").unwrap();
        let (start, reached) = (Instant::now(), self.path(&format!("{point}.reached")));
        while !reached.exists() {
            // Taken back, unless the process comes to it in this very moment.
            if start.elapsed() > within && std::fs::remove_file(self.path(point)).is_ok() {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Lets the process go on from `point`.
    pub fn disarm(&self, point: &str) {
        for name in [point.to_owned(), format!("{point}.reached")] {
            let path = self.path(&name);
            if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Makes the process' clock wrong by so many milliseconds.
    pub fn set_clock(&self, error_ms: i64) {
        let draft = self.path("clock.new");
        std::fs::write(&draft, error_ms.to_string()).unwrap();
        std::fs::rename(draft, self.path("clock")).unwrap();
    }
}
