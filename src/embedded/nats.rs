//! A private nats-server with JetStream: configured, started, found ready and stopped.
//!
//! What always holds: it listens on 127.0.0.1 only, every login needs the random password, and its store lies in the data
//! directory. What it holds can be lost without harm, because the event log is the truth.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::child::{Child, Output, Spec};
use super::config::EmbeddedConfig;
use super::error::{EmbeddedError, ServerKind};
use super::orphan::Suspect;
use super::{files, locate, port};

const USER: &str = "quotary";
const POLL: Duration = Duration::from_millis(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How often a start is tried again when its port was taken.
const ATTEMPTS: u32 = 100;

const ORPHAN_STEPS: &[(Signal, Duration)] =
    &[(Signal::SIGTERM, Duration::from_secs(10)), (Signal::SIGKILL, Duration::from_secs(10))];

/// A running private nats-server. Dropping it asks it to stop, without waiting.
pub struct Nats {
    server: Server,
    child: Child,
    port: u16,
    url: String,
    _lock: File,
}

/// What stays the same from one start to the next.
struct Server {
    home: PathBuf,
    log: PathBuf,
    port_file: PathBuf,
    program: PathBuf,
    password: String,
    ready_within: Duration,
}

impl Nats {
    /// Starts a nats-server with JetStream on the store in `config.data_dir`.
    ///
    /// One that is still running because the process that started it was killed is stopped first.
    ///
    /// # Errors
    /// [`EmbeddedError`] when nats-server is not installed, another process uses the directory, or the server does not
    /// become ready in time.
    pub async fn start(config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let directory = files::directory(&config.data_dir, files::PRIVATE)?;
        let lock = files::lock(&directory.join("nats.lock"))?;
        let home = files::directory(&directory.join("nats"), files::PRIVATE)?;
        let server = Server {
            program: locate::nats()?,
            password: files::secret(&directory.join("nats.secret"))?,
            log: home.join("nats.log"),
            port_file: home.join("port"),
            home,
            ready_within: config.ready_within,
        };
        let (child, port) = server.launch(None).await?;
        Ok(Self { url: server.url(port), server, child, port, _lock: lock })
    }

    /// URL with user and password.
    #[must_use]
    pub fn nats_url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id, also after its end.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.server.log
    }

    /// Waits until the server ends, for whatever reason.
    pub async fn wait(&self) -> Option<ExitStatus> {
        self.child.wait().await
    }

    /// Stops the server in order; does nothing if it has ended.
    ///
    /// # Errors
    /// [`EmbeddedError::CannotEnd`] if it is there even after SIGKILL.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        self.child.stop(STOP_WITHIN, None).await.map(|_| ())
    }

    /// Ends the server with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// [`EmbeddedError::CannotEnd`] if it is there nevertheless.
    pub async fn kill(&self) -> Result<(), EmbeddedError> {
        self.child.kill().await.map(|_| ())
    }

    /// Starts the server again on the same store and port, stopping it first if it runs.
    ///
    /// # Errors
    /// As [`Nats::start`]; the server's own words if somebody else has taken the port.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        self.stop().await?;
        (self.child, _) = self.server.launch(Some(self.port)).await?;
        Ok(())
    }
}

impl Server {
    /// Starts the server and waits until JetStream answers. Without `wanted` the port of the last run is used if it is free.
    async fn launch(&self, wanted: Option<u16>) -> Result<(Child, u16), EmbeddedError> {
        let mut attempt = 1;
        loop {
            self.end_orphan().await?;
            let port = match wanted {
                Some(port) => port,
                None => port::choose(&self.port_file)?,
            };
            let log_start = files::log_length(&self.log);
            let child = Child::spawn(self.spec(port)?).await?;
            match self.wait_until_ready(&child, port, log_start).await {
                Ok(()) => {
                    files::write_private(&self.port_file, &port.to_string())?;
                    return Ok((child, port));
                }
                Err(EmbeddedError::EndedEarly { log, .. })
                    if attempt < ATTEMPTS && log.contains("address already in use") =>
                {
                    tracing::debug!(attempt, port, "nats-server could not start yet");
                    attempt += 1;
                    sleep(POLL * 5).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spec(&self, port: u16) -> Result<Spec, EmbeddedError> {
        let configuration = self.home.join("nats.json");
        files::write_private(&configuration, &format!("{:#}\n", self.configuration(port)))?;
        Ok(Spec {
            name: "nats-server",
            program: self.program.clone(),
            arguments: vec!["--config".into(), configuration.into()],
            environment: None,
            directory: Some(self.home.clone()),
            run_as: None,
            output: Output::File(files::log(&self.log)?),
            stop_signal: Signal::SIGTERM,
        })
    }

    /// The server reads JSON as well as its own format, and JSON needs no quoting rules of ours.
    fn configuration(&self, port: u16) -> serde_json::Value {
        json!({
            "server_name": "quotary",
            "host": "127.0.0.1",
            "port": port,
            "pid_file": self.pid_file(),
            "authorization": { "user": USER, "password": self.password },
            "jetstream": { "store_dir": self.home.join("store") },
        })
    }

    async fn end_orphan(&self) -> Result<(), EmbeddedError> {
        let Some(text) = files::read_if_there(&self.pid_file())? else {
            return Ok(());
        };
        if let Some(suspect) = Suspect::from_pid_file(&text).filter(|suspect| suspect.runs("nats-server", &self.home)) {
            suspect.end("nats-server", ORPHAN_STEPS).await?;
        }
        files::remove_if_there(&self.pid_file())
    }

    /// Ready is when JetStream answers: the port is open before the store has been read.
    async fn wait_until_ready(&self, child: &Child, port: u16, log_start: u64) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + self.ready_within;
        while Instant::now() < deadline {
            if let Some(status) = child.exit_status() {
                let log = files::log_tail(&self.log, log_start);
                return Err(EmbeddedError::EndedEarly { server: ServerKind::Nats, status, log });
            }
            if self.answers(port).await {
                return Ok(());
            }
            sleep(POLL).await;
        }
        let log = files::log_tail(&self.log, log_start);
        Err(EmbeddedError::NotReady { server: ServerKind::Nats, seconds: self.ready_within.as_secs(), log })
    }

    async fn answers(&self, port: u16) -> bool {
        let login = async_nats::ConnectOptions::with_user_and_password(USER.to_owned(), self.password.clone());
        let Ok(client) = login.connection_timeout(CONNECT_WITHIN).connect(format!("127.0.0.1:{port}")).await else {
            return false;
        };
        async_nats::jetstream::new(client).query_account().await.is_ok()
    }

    fn pid_file(&self) -> PathBuf {
        self.home.join("nats.pid")
    }

    fn url(&self, port: u16) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{port}", self.password)
    }
}
