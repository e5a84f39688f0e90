//! Runs a command with private servers that are gone, with all their data, when the command ends.
//!
//! What always holds: nothing the command started in its process group outlives this function, however the command ends,
//! and its exit code is ours.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::child::{Child, Output, Spec};
use super::config::{EmbeddedConfig, Profile};
use super::error::EmbeddedError;
use super::servers::Servers;

/// What the command's group gets to end in order after the command itself has ended.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Starts private servers in a temporary directory, runs `command` with `DATABASE_URL` and `NATS_URL` set, stops the servers
/// and removes the directory. Gives the command's exit code, or 128 + n if signal n ended it.
///
/// SIGINT, SIGTERM and SIGHUP are forwarded to the command and all it started; the second one is a SIGKILL. The command has
/// a process group of its own, so it can't read from the terminal: its input is empty.
///
/// # Errors
/// [`EmbeddedError`] when the servers don't start or don't stop, or when there is no command.
pub async fn with_servers(command: Vec<OsString>) -> Result<ExitCode, EmbeddedError> {
    let mut words = command.into_iter();
    let program = words.next().ok_or(EmbeddedError::NoCommand)?;
    // Watched from before the start, so that an early Ctrl-C is not lost.
    let mut signals = Signals::watch()?;
    let place = tempfile::Builder::new().prefix("quotary-with-servers-").tempdir();
    let place = place.map_err(EmbeddedError::file("make a directory in", std::env::temp_dir()))?;
    // The servers remove the directory themselves, because a part of it can lie elsewhere.
    let servers = Servers::start(&EmbeddedConfig::new(place.path(), Profile::Test)).await?;
    let spec = Spec {
        name: "command",
        program: program.into(),
        arguments: words.collect(),
        environment: Some(vec![("DATABASE_URL", servers.database_url.clone()), ("NATS_URL", servers.nats_url.clone())]),
        directory: None,
        run_as: None,
        output: Output::Inherited,
        stop_signal: Signal::SIGTERM,
    };
    let ended = run(spec, &mut signals, &servers).await;
    servers.destroy().await?;
    ended.map(exit_code)
}

async fn run(spec: Spec, signals: &mut Signals, servers: &Servers) -> Result<Option<ExitStatus>, EmbeddedError> {
    let child = Child::spawn(spec).await?;
    let mut forwarded = false;
    let mut servers_watched = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => {
                child.signal_group(if forwarded { Signal::SIGKILL } else { signal })?;
                forwarded = true;
            }
            exit = servers.wait_for_exit(), if servers_watched => {
                tracing::error!(server = %exit.server, status = ?exit.status, "a server ended while the command was running");
                servers_watched = false;
            }
        }
    };
    child.end_group(LEFTOVERS).await?;
    Ok(status)
}

fn exit_code(status: Option<ExitStatus>) -> ExitCode {
    let number = status.and_then(|status| status.code().or_else(|| Some(128 + status.signal()?)));
    number.and_then(|number| u8::try_from(number).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn watch() -> Result<Self, EmbeddedError> {
        let watch = |kind| signal(kind).map_err(EmbeddedError::file("watch", "the signals of this process"));
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hang_up: watch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hang_up.recv() => Signal::SIGHUP,
        }
    }
}
