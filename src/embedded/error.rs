//! Everything that can go wrong between asking for the embedded servers and having them.
//!
//! What always holds: a failure of a server carries the end of that server's own log, because the reason is only there.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// The private PostgreSQL cluster.
    Postgres,
    /// The private nats-server.
    Nats,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Nats => "nats-server",
        })
    }
}

/// Why the embedded servers could not be started, watched or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A program is not installed, or only in a version that is too old.
    #[error("{program} {minimum} or newer was not found; `deploy/bootstrap.sh` installs it")]
    ProgramMissing {
        /// What was looked for.
        program: &'static str,
        /// The oldest version that will do.
        minimum: &'static str,
    },
    /// The cluster was made by a PostgreSQL that is no longer installed.
    #[error("the cluster in {} needs PostgreSQL {major}, which is not installed", data.display())]
    MajorMissing {
        /// The cluster.
        data: PathBuf,
        /// Its major version.
        major: u32,
    },
    /// A step on the file system failed.
    #[error("could not {action} {}", path.display())]
    File {
        /// The step, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of ours does not hold what we wrote.
    #[error("{} does not hold {expected}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// Another process uses the data directory.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The lock that is held.
        path: PathBuf,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it.
    #[error("PostgreSQL can't run as root, and there is no user `postgres` or `nobody` to run it")]
    NoUnprivilegedUser,
    /// The user that runs PostgreSQL can't get to its data.
    #[error("user {uid} can't reach {}; choose a data directory whose parents it may enter", path.display())]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// The user that has to get there.
        uid: u32,
    },
    /// No port between the registered and the ephemeral ones is free.
    #[error("no free port on 127.0.0.1")]
    NoFreePort,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random(#[source] getrandom::Error),
    /// A program could not be started.
    #[error("could not start {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that should do its work and end did not do its work.
    #[error("{program} failed with {status}: {log}")]
    ProgramFailed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        log: String,
    },
    /// A server ended before it answered.
    #[error("{server} ended with {status} before it was ready: {log}")]
    EndedEarly {
        /// Which.
        server: ServerKind,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A server runs but did not answer in time.
    #[error("{server} was not ready after {seconds} s: {log}")]
    NotReady {
        /// Which.
        server: ServerKind,
        /// How long we waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// PostgreSQL is up and refuses us.
    #[error("could not {action}")]
    Sql {
        /// The step, as a verb.
        action: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A process that should end is still there, or may not be signalled.
    #[error("{server} with process id {pid} can't be ended")]
    CannotEnd {
        /// What it is.
        server: &'static str,
        /// Its process id.
        pid: i32,
        /// Why, when the system said so.
        #[source]
        source: Option<nix::Error>,
    },
    /// Nothing was given to run.
    #[error("no command to run with the servers")]
    NoCommand,
}

impl EmbeddedError {
    /// Wraps an I/O error with what was done to which file.
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
