//! A child process that is signalled by its own id only, ended within a bound, and not outlived by accident.
//!
//! What always holds: a signal is sent only while the process id is certainly the child's (the child is not yet reaped).
//! Children have a process group of their own, so that Ctrl-C at a terminal reaches us first and we stop them in order.
//! Where util-linux's `setpriv` is present, a child is signalled by the kernel when this process dies, even by SIGKILL.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::error::EmbeddedError;
use super::privileges::RunAs;
use super::{files, locate, spawner};

/// How often we look whether a process group is empty.
const POLL: Duration = Duration::from_millis(20);
/// How long a process may take to vanish after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Where a child's output goes.
pub(super) enum Output {
    /// To the same places as ours.
    Inherited,
    /// All of it to one file.
    File(File),
}

/// How to start a child.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// Added to our environment; `None` stands for an environment without anything of ours, for servers whose behaviour
    /// must not depend on variables such as `PGOPTIONS`.
    pub(super) environment: Option<Vec<(&'static str, String)>>,
    pub(super) directory: Option<PathBuf>,
    pub(super) run_as: Option<RunAs>,
    pub(super) output: Output,
    /// Asks the child for an orderly end: sent by [`Child::stop`], on drop, and by the kernel when we die.
    pub(super) stop_signal: Signal,
}

/// A running or ended child. Dropping it asks it to end, without waiting.
pub(super) struct Child {
    name: &'static str,
    pid: Pid,
    stop_signal: Signal,
    reaped: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Spec {
    fn command(self) -> std::io::Result<Command> {
        let mut command = if let Some(setpriv) = locate::on_path("setpriv") {
            let mut command = Command::new(setpriv);
            command.arg("--pdeathsig").arg(self.stop_signal.as_str().trim_start_matches("SIG"));
            if let Some(RunAs { uid, gid }) = self.run_as {
                command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
            }
            command.arg("--").arg(&self.program);
            command
        } else {
            tracing::warn!(
                child = self.name,
                "no setpriv here: if this process is killed, its child goes on without it"
            );
            let mut command = Command::new(&self.program);
            if let Some(RunAs { uid, gid }) = self.run_as {
                // Supplementary groups are dropped by the standard library when root gives a user id.
                command.uid(uid).gid(gid);
            }
            command
        };
        command.args(self.arguments).process_group(0).stdin(Stdio::null());
        match self.environment {
            Some(added) => command.envs(added),
            None => command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C"),
        };
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        if let Output::File(file) = self.output {
            command.stdout(file.try_clone()?).stderr(file);
        }
        Ok(command)
    }
}

impl Child {
    /// Starts a child.
    pub(super) async fn spawn(spec: Spec) -> Result<Self, EmbeddedError> {
        let (name, stop_signal, program) = (spec.name, spec.stop_signal, spec.program.clone());
        let failed = |source| EmbeddedError::Spawn { program, source };
        let started = async { spawner::spawn(spec.command()?).await };
        let process = match started.await {
            Ok(process) => process,
            Err(error) => return Err(failed(error)),
        };
        let pid = process_id(&process);
        let reaped = Arc::new(Mutex::new(false));
        let (report, exit) = watch::channel(None);
        let child = Self { name, pid, stop_signal, reaped: Arc::clone(&reaped), exit };
        let waiting = thread::Builder::new()
            .name(format!("quotary-{name}"))
            .spawn(move || wait_and_report(process, &reaped, &report));
        waiting.map_err(failed).map(|_| child)
    }

    /// The child's process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// How the child ended, if it has.
    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits until the child ends. `None` if its end can't be seen, because the waiting thread is gone.
    pub(super) async fn wait(&self) -> Option<ExitStatus> {
        self.exit.clone().wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Sends `signal` if the child has not ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), EmbeddedError> {
        self.guarded(|pid| kill(pid, signal))
    }

    /// Sends `signal` to the child's whole process group if the child has not ended.
    pub(super) fn signal_group(&self, signal: Signal) -> Result<(), EmbeddedError> {
        self.guarded(|pid| killpg(pid, signal))
    }

    /// Asks for an orderly end, waits up to `grace`, then tries `harder` and in the end SIGKILL.
    pub(super) async fn stop(&self, grace: Duration, harder: Option<Signal>) -> Result<ExitStatus, EmbeddedError> {
        self.signal(self.stop_signal)?;
        if let Ok(Some(status)) = timeout(grace, self.wait()).await {
            return Ok(status);
        }
        tracing::warn!(child = self.name, pid = self.pid(), "did not end in time");
        if let Some(signal) = harder {
            self.signal(signal)?;
            if let Ok(Some(status)) = timeout(AFTER_KILL, self.wait()).await {
                return Ok(status);
            }
        }
        self.kill().await
    }

    /// Ends the child at once with SIGKILL and waits until it is gone.
    pub(super) async fn kill(&self) -> Result<ExitStatus, EmbeddedError> {
        self.signal(Signal::SIGKILL)?;
        match timeout(AFTER_KILL, self.wait()).await {
            Ok(Some(status)) => Ok(status),
            _ => Err(self.cannot_end(None)),
        }
    }

    /// Ends what is left of the child's process group after the child itself has ended.
    pub(super) async fn end_group(&self, grace: Duration) -> Result<(), EmbeddedError> {
        for (signal, patience) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, AFTER_KILL)] {
            match killpg(self.pid, signal) {
                Ok(()) => {}
                Err(Errno::ESRCH) => return Ok(()),
                Err(error) => return Err(self.cannot_end(Some(error))),
            }
            let emptied = async {
                while killpg(self.pid, None) != Err(Errno::ESRCH) {
                    sleep(POLL).await;
                }
            };
            if timeout(patience, emptied).await.is_ok() {
                return Ok(());
            }
        }
        // What is left now are dead processes whose parent does not ask for their status. They hold nothing.
        Ok(())
    }

    fn guarded(&self, send: impl FnOnce(Pid) -> nix::Result<()>) -> Result<(), EmbeddedError> {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if *reaped {
            return Ok(());
        }
        send(self.pid).map_err(|error| self.cannot_end(Some(error)))
    }

    fn cannot_end(&self, source: Option<nix::Error>) -> EmbeddedError {
        EmbeddedError::CannotEnd { server: self.name, pid: self.pid.as_raw(), source }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit_status().is_none()
            && let Err(error) = self.signal(self.stop_signal)
        {
            tracing::warn!(child = self.name, pid = self.pid(), %error, "could not ask a child to end");
        }
    }
}

/// Runs a program to its end with its output in `log`.
///
/// # Errors
/// [`EmbeddedError::ProgramFailed`] with the end of the log unless the program succeeds.
pub(super) async fn run_to_end(spec: Spec, log: &Path) -> Result<(), EmbeddedError> {
    let log_start = files::log_length(log);
    let (name, program) = (spec.name, spec.program.clone());
    let child = Child::spawn(spec).await?;
    match child.wait().await {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            Err(EmbeddedError::ProgramFailed { program: name, status, log: files::log_tail(log, log_start) })
        }
        None => Err(EmbeddedError::Spawn { program, source: std::io::Error::other("its end was not seen") }),
    }
}

/// Sees the child's end without reaping it, then reaps it under the lock that signals are sent under: so no signal can
/// meet a process id that has been given to somebody else.
fn wait_and_report(mut process: std::process::Child, reaped: &Mutex<bool>, report: &watch::Sender<Option<ExitStatus>>) {
    let pid = process_id(&process);
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    match process.wait() {
        Ok(status) => {
            report.send_replace(Some(status));
        }
        Err(error) => tracing::error!(%error, %pid, "the end of a child could not be read"),
    }
    *reaped = true;
}

fn process_id(process: &std::process::Child) -> Pid {
    Pid::from_raw(process.id().cast_signed())
}
