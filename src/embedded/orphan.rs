//! Servers of an earlier process that was killed: recognised beyond doubt, then ended by their own id.
//!
//! What always holds: a process is signalled only after its program and its data directory have been verified. A process
//! id read from a file proves nothing, because the system gives ids out again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::error::EmbeddedError;

const POLL: Duration = Duration::from_millis(20);

/// A process that may have been started by an earlier process of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspect(Pid);

impl Suspect {
    /// The process whose id is the first line of a pid file.
    pub(super) fn from_pid_file(text: &str) -> Option<Self> {
        let pid = text.lines().next()?.trim().parse().ok().filter(|&pid: &i32| pid > 1)?;
        Some(Self(Pid::from_raw(pid)))
    }

    /// Whether the id belongs to anything, even to a dead process that nobody has asked about.
    pub(super) fn exists(self) -> bool {
        self.proc("").exists()
    }

    /// Whether the process runs `program` in or for `directory`: as its working directory or as a path in its arguments.
    pub(super) fn runs(self, program: &str, directory: &Path) -> bool {
        let executable = fs::read_link(self.proc("exe")).ok();
        let name = executable.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        // A program that was replaced by an upgrade has " (deleted)" after its name.
        if name.as_deref().map(|name| name.trim_end_matches(" (deleted)")) != Some(program) {
            return false;
        }
        let works_there = fs::read_link(self.proc("cwd")).is_ok_and(|cwd| cwd == directory);
        works_there || self.arguments().iter().any(|argument| Path::new(argument).starts_with(directory))
    }

    /// Ends the process by the signals given, each with the time it has to work.
    pub(super) async fn end(self, server: &'static str, steps: &[(Signal, Duration)]) -> Result<(), EmbeddedError> {
        tracing::warn!(server, pid = self.0.as_raw(), "ending a server that outlived the process that started it");
        for &(signal, patience) in steps {
            match kill(self.0, signal) {
                Ok(()) => {}
                Err(Errno::ESRCH) => return Ok(()),
                Err(error) => return Err(self.cannot_end(server, Some(error))),
            }
            let deadline = Instant::now() + patience;
            while self.is_alive() && Instant::now() < deadline {
                sleep(POLL).await;
            }
            if !self.is_alive() {
                return Ok(());
            }
        }
        Err(self.cannot_end(server, None))
    }

    /// Dead processes keep their id until their parent asks about them; they hold nothing, so they count as gone.
    fn is_alive(self) -> bool {
        let state = |stat: String| stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        fs::read_to_string(self.proc("stat")).ok().and_then(state).is_some_and(|state| !matches!(state, 'Z' | 'X'))
    }

    fn arguments(self) -> Vec<String> {
        let line = fs::read(self.proc("cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
    }

    fn proc(self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.0.to_string()).join(file)
    }

    fn cannot_end(self, server: &'static str, source: Option<Errno>) -> EmbeddedError {
        EmbeddedError::CannotEnd { server, pid: self.0.as_raw(), source }
    }
}
