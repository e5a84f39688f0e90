//! A private PostgreSQL cluster: made, started, found ready and stopped.
//!
//! What always holds: the cluster is complete or absent (initdb works beside it and the result is renamed), it listens on
//! 127.0.0.1 only, every login needs the random password, and a lock keeps a second process of ours away from its files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::child::{self, Child, Output, Spec};
use super::config::{EmbeddedConfig, Profile};
use super::error::{EmbeddedError, ServerKind};
use super::orphan::Suspect;
use super::privileges::RunAs;
use super::{files, locate, port};

const SUPERUSER: &str = "admin";
const DATABASE: &str = "quotary";
/// Where clusters of root go whose data directory PostgreSQL's user can't reach, such as one under `/root`.
const REACHABLE: &str = "/var/lib/quotary/clusters";

const POLL: Duration = Duration::from_millis(20);
/// A fast shutdown writes a checkpoint first, and there may be much to write.
const FAST_SHUTDOWN: Duration = Duration::from_secs(60);
/// How often a start is tried again when its port was taken or a killed predecessor's backends are still going.
const ATTEMPTS: u32 = 100;

/// What PostgreSQL says when its port was taken, or when backends of a killed predecessor are still going.
const PASSING: [&str; 2] = ["shared memory block", "could not bind"];

const ORPHAN_STEPS: &[(Signal, Duration)] = &[
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// Settings of every profile. The log is the only truth, so what makes it durable is named here and not left to defaults.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "checkpoint_timeout=15min",
    "random_page_cost=1.1",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] %q%u@%d ",
    "logging_collector=off",
    "log_destination=stderr",
];

/// A running private cluster. Dropping it asks it to shut down, without waiting.
pub struct Postgres {
    cluster: Cluster,
    child: Child,
    port: u16,
    url: String,
    _lock: File,
}

/// What stays the same from one start to the next.
struct Cluster {
    home: PathBuf,
    data: PathBuf,
    log: PathBuf,
    port_file: PathBuf,
    bin: PathBuf,
    password: String,
    run_as: Option<RunAs>,
    profile: Profile,
    max_connections: u16,
    ready_within: Duration,
}

impl Postgres {
    /// Starts the cluster in `config.data_dir`, making it first if there is none.
    ///
    /// A cluster that is still running because the process that started it was killed is shut down first.
    ///
    /// # Errors
    /// [`EmbeddedError`] when PostgreSQL is not installed, another process uses the directory, the user that has to run
    /// PostgreSQL can't reach it, or the cluster does not become ready in time.
    pub async fn start(config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let root = nix::unistd::geteuid().is_root();
        let directory = files::directory(&config.data_dir, if root { files::PASSABLE } else { files::PRIVATE })?;
        if root {
            files::set_mode(&directory, files::PASSABLE)?;
        }
        let lock = files::lock(&directory.join("postgres.lock"))?;
        let password = files::secret(&directory.join("postgres.secret"))?;
        let cluster = Cluster::prepare(&directory, password, config).await?;
        let (child, port) = cluster.launch(None).await?;
        let postgres = Self { url: cluster.url(port), cluster, child, port, _lock: lock };
        postgres.cluster.ensure_database(port).await?;
        Ok(postgres)
    }

    /// URL of the database `quotary`, as superuser.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id, also after its end.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.cluster.log
    }

    /// Waits until the cluster ends, for whatever reason.
    pub async fn wait(&self) -> Option<ExitStatus> {
        self.child.wait().await
    }

    /// Shuts the cluster down in order; does nothing if it has ended.
    ///
    /// # Errors
    /// [`EmbeddedError::CannotEnd`] if it is there even after SIGKILL.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        self.child.stop(FAST_SHUTDOWN, Some(Signal::SIGQUIT)).await.map(|_| ())
    }

    /// Ends the postmaster with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// [`EmbeddedError::CannotEnd`] if it is there nevertheless.
    pub async fn kill(&self) -> Result<(), EmbeddedError> {
        self.child.kill().await.map(|_| ())
    }

    /// Starts the cluster again on the same data and port, stopping it first if it runs.
    ///
    /// # Errors
    /// As [`Postgres::start`]; [`EmbeddedError::NoFreePort`] if somebody else has taken the port.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        self.stop().await?;
        (self.child, _) = self.cluster.launch(Some(self.port)).await?;
        Ok(())
    }

    /// Shuts the cluster down and removes its files, wherever they are.
    pub(super) async fn destroy(self) -> Result<(), EmbeddedError> {
        self.stop().await?;
        fs::remove_dir_all(&self.cluster.home).map_err(EmbeddedError::file("remove", &self.cluster.home))
    }
}

impl Cluster {
    async fn prepare(directory: &Path, password: String, config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let (home, run_as) = home(directory)?;
        let data = home.join("data");
        let version = data.join("PG_VERSION");
        let major = match files::read_if_there(&version)? {
            Some(text) => {
                let damaged = EmbeddedError::Damaged { path: version, expected: "a major version" };
                Some(text.trim().parse().map_err(|_| damaged)?)
            }
            None => None,
        };
        let cluster = Self {
            bin: locate::postgres(major.map(|major| (data.as_path(), major)))?,
            log: home.join("postgres.log"),
            port_file: home.join("port"),
            home,
            data,
            password,
            run_as,
            profile: config.profile,
            max_connections: config.max_connections,
            ready_within: config.ready_within,
        };
        match major {
            Some(_) => cluster.end_orphan().await?,
            None => cluster.initialise().await?,
        }
        Ok(cluster)
    }

    /// Makes the cluster beside its place and renames it, so that an interrupted initdb leaves nothing half-made.
    async fn initialise(&self) -> Result<(), EmbeddedError> {
        let draft = self.home.join("data.new");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(EmbeddedError::file("remove", &draft))?;
        }
        files::directory(&draft, files::PRIVATE)?;
        let password_file = self.home.join("password");
        files::write_private(&password_file, &self.password)?;
        if let Some(user) = self.run_as {
            user.own(&draft)?;
            user.own(&password_file)?;
        }
        let mut arguments: Vec<OsString> =
            vec!["--pgdata".into(), draft.clone().into(), "--pwfile".into(), password_file.clone().into()];
        arguments.extend(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8"].map(OsString::from));
        arguments.extend(["--no-locale", "--no-instructions"].map(OsString::from));
        if self.profile == Profile::Test {
            arguments.push("--no-sync".into());
        }
        let done = child::run_to_end(self.spec("initdb", arguments, &self.log)?, &self.log).await;
        files::remove_if_there(&password_file)?;
        done?;
        fs::rename(&draft, &self.data).map_err(EmbeddedError::file("put in place", &self.data))?;
        files::sync_directory(&self.home)
    }

    /// Shuts down a postmaster of this very cluster that a killed process has left, and clears a pid file that names a
    /// process that is none: PostgreSQL would take any process of its user with that id for its rival.
    async fn end_orphan(&self) -> Result<(), EmbeddedError> {
        let pid_file = self.data.join("postmaster.pid");
        let Some(suspect) = files::read_if_there(&pid_file)?.as_deref().and_then(Suspect::from_pid_file) else {
            return Ok(());
        };
        if suspect.runs("postgres", &self.data) {
            suspect.end("postgres", ORPHAN_STEPS).await?;
        }
        if suspect.exists() {
            files::remove_if_there(&pid_file)?;
        }
        Ok(())
    }

    /// Starts the postmaster and waits until it is ready. Without `wanted` the port of the last run is used if it is free.
    async fn launch(&self, wanted: Option<u16>) -> Result<(Child, u16), EmbeddedError> {
        let compression = self.wal_compression().await?;
        let mut attempt = 1;
        loop {
            self.end_orphan().await?;
            let port = match wanted {
                Some(port) => port,
                None => port::choose(&self.port_file)?,
            };
            let log_start = files::log_length(&self.log);
            let child = Child::spawn(self.spec("postgres", self.arguments(port, compression), &self.log)?).await?;
            match self.wait_until_ready(&child, log_start).await {
                Ok(()) => {
                    files::write_private(&self.port_file, &port.to_string())?;
                    return Ok((child, port));
                }
                // The backends of a killed postmaster need a moment to notice; until then its shared memory is in use.
                Err(EmbeddedError::EndedEarly { .. })
                    if attempt < ATTEMPTS && files::log_says(&self.log, log_start, &PASSING) =>
                {
                    tracing::debug!(attempt, port, "PostgreSQL could not start yet");
                    attempt += 1;
                    sleep(POLL * 5).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ready is what the postmaster itself writes on line 8 of its pid file, under its own process id on line 1.
    async fn wait_until_ready(&self, child: &Child, log_start: u64) -> Result<(), EmbeddedError> {
        let pid_file = self.data.join("postmaster.pid");
        let own = child.pid().to_string();
        let deadline = Instant::now() + self.ready_within;
        while Instant::now() < deadline {
            if let Some(status) = child.exit_status() {
                let log = files::log_tail(&self.log, log_start);
                return Err(EmbeddedError::EndedEarly { server: ServerKind::Postgres, status, log });
            }
            let text = files::read_if_there(&pid_file)?.unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            if lines.next() == Some(&own) && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            sleep(POLL).await;
        }
        let log = files::log_tail(&self.log, log_start);
        Err(EmbeddedError::NotReady { server: ServerKind::Postgres, seconds: self.ready_within.as_secs(), log })
    }

    async fn ensure_database(&self, port: u16) -> Result<(), EmbeddedError> {
        let refused = |action| move |source| EmbeddedError::Sql { action, source };
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(SUPERUSER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        let mut connection = PgConnection::connect_with(&options).await.map_err(refused("log in to PostgreSQL"))?;
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'quotary')")
            .fetch_one(&mut connection)
            .await
            .map_err(refused("list the databases"))?;
        if !there {
            sqlx::query("CREATE DATABASE quotary")
                .execute(&mut connection)
                .await
                .map_err(refused("create the database"))?;
        }
        connection.close().await.map_err(refused("log out of PostgreSQL"))
    }

    /// lz4 costs far less processor time than the built-in compression, but not every PostgreSQL is built with it.
    async fn wal_compression(&self) -> Result<&'static str, EmbeddedError> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        arguments.extend(["-c", "wal_compression=lz4", "-C", "wal_compression"].map(OsString::from));
        let nowhere = Path::new("/dev/null");
        match child::run_to_end(self.spec("postgres", arguments, nowhere)?, nowhere).await {
            Ok(()) => Ok("lz4"),
            Err(EmbeddedError::ProgramFailed { .. }) => Ok("on"),
            Err(error) => Err(error),
        }
    }

    /// Settings go on the command line, where neither the cluster's files nor `ALTER SYSTEM` can change them.
    fn arguments(&self, port: u16, wal_compression: &str) -> Vec<OsString> {
        let own = [
            format!("port={port}"),
            format!("max_connections={}", self.max_connections),
            format!("wal_compression={wal_compression}"),
        ];
        let settings =
            SETTINGS.iter().chain(self.profile.postgres_settings()).map(|&setting| setting.to_owned()).chain(own);
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        for setting in settings {
            arguments.push("-c".into());
            arguments.push(setting.into());
        }
        arguments
    }

    fn spec(&self, program: &'static str, arguments: Vec<OsString>, log: &Path) -> Result<Spec, EmbeddedError> {
        Ok(Spec {
            name: program,
            program: self.bin.join(program),
            arguments,
            environment: None,
            directory: Some(PathBuf::from("/")),
            run_as: self.run_as,
            output: Output::File(files::log(log)?),
            stop_signal: Signal::SIGINT,
        })
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{port}/{DATABASE}?sslmode=disable", self.password)
    }
}

/// The directory around the cluster, and who runs it.
///
/// It is `postgres` in the data directory. Where root's data directory lies behind one that PostgreSQL's user may not
/// enter, as under `/root`, it is a link to a directory of its own under `/var/lib`.
fn home(directory: &Path) -> Result<(PathBuf, Option<RunAs>), EmbeddedError> {
    let place = directory.join("postgres");
    let is_new = place.symlink_metadata().is_err();
    let run_as = RunAs::for_cluster(&place.join("data"))?;
    let Some(user) = run_as else {
        return Ok((files::directory(&place, files::PRIVATE)?, None));
    };
    let home = files::directory(&place, files::PASSABLE)?;
    files::set_mode(&home, files::PASSABLE)?;
    if user.can_enter(&home)? {
        return Ok((home, run_as));
    }
    if !is_new && home.join("data").exists() {
        return Err(EmbeddedError::Unreachable { path: home, uid: user.uid });
    }
    fs::remove_dir_all(&home).map_err(EmbeddedError::file("remove", &home))?;
    let elsewhere = files::directory(&Path::new(REACHABLE).join(files::random_hex::<8>()?), files::PASSABLE)?;
    files::set_mode(&elsewhere, files::PASSABLE)?;
    if !user.can_enter(&elsewhere)? {
        return Err(EmbeddedError::Unreachable { path: elsewhere, uid: user.uid });
    }
    files::remove_if_there(&place)?;
    symlink(&elsewhere, &place).map_err(EmbeddedError::file("link", &place))?;
    tracing::info!(cluster = %elsewhere.display(), "PostgreSQL's user can't reach the data directory; its cluster is kept elsewhere");
    Ok((elsewhere, run_as))
}
