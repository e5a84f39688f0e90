//! The binary as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to be ready, and to end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running process of the binary; it is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// The binary, without the caller's settings.
pub fn quotary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quotary"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("QUOTARY_") || matches!(&*text, "DATABASE_URL" | "NATS_URL") {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Process {
    /// Starts `command` with its diagnostics in `log`.
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        let errors = std::fs::File::create(log).unwrap();
        let child = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("the binary can't be started");
        Self { child, log: log.to_owned() }
    }

    /// The address in the line by which a server says that it is ready. What comes after it is read and dropped.
    pub async fn address(&mut self) -> String {
        self.address_if_it_starts().await.unwrap_or_else(|| panic!("a server did not start: {}", self.diagnostics()))
    }

    /// Like [`Process::address`]; `None` if the process ends before it is ready.
    pub async fn address_if_it_starts(&mut self) -> Option<String> {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let found = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("listening on ") {
                    return Some(url.to_owned());
                }
            }
            None
        });
        let url = found.await.expect("a server neither starts nor ends")?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(url)
    }

    /// Stops it where it is, as if its machine stood still.
    pub fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    /// Lets it go on.
    pub fn wake(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("the process has ended").cast_signed())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it at once, as a power failure would.
    pub async fn kill(&mut self) {
        kill(self.pid(), Signal::SIGKILL).unwrap();
        timeout(PATIENCE, self.child.wait()).await.expect("SIGKILL did not end a process").unwrap();
    }

    /// Asks it to end in order and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("SIGTERM did not end a process: {}", self.diagnostics())).unwrap()
    }

    /// What it said on its standard error.
    pub fn diagnostics(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Runs a command of the binary to its end and gives what it printed; it must succeed.
pub async fn output(mut command: Command) -> String {
    let output = timeout(PATIENCE * 2, command.output()).await.expect("a command did not end").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} failed: {errors}", command.as_std().get_args().collect::<Vec<_>>());
    String::from_utf8(output.stdout).unwrap()
}
