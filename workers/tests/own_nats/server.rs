//! A nats-server of the test's own, to be killed and started again.
//!
//! What always holds: it ends with the value that started it, and its files with it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct OwnNats {
    directory: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl OwnNats {
    /// A place for a server that does not run yet.
    pub fn down(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("quotary-{name}-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("js")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { directory, port, child: None }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn start(&mut self) {
        let child = Command::new(program())
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.directory.join("js"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server can't be started");
        self.child = Some(child);
    }

    /// Ends the server at once, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Keeps a copy of what is stored.
    pub fn back_up(&self) {
        copy(&self.directory.join("js"), &self.directory.join("backup"));
    }

    /// Puts the copy back.
    pub fn restore(&self) {
        std::fs::remove_dir_all(self.directory.join("js")).unwrap();
        copy(&self.directory.join("backup"), &self.directory.join("js"));
    }
}

impl Drop for OwnNats {
    fn drop(&mut self) {
        self.kill();
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!("{} stays behind: {error}", self.directory.display());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The program on `PATH`, or where `deploy/bootstrap.sh` puts it.
#[expect(clippy::disallowed_methods, reason = "where programs are is the user's environment")]
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    std::env::split_paths(&path)
        .chain(cache.map(|cache| cache.join("quotary/nats/bin")))
        .map(|directory| directory.join("nats-server"))
        .find(|program| program.is_file())
        .expect("no nats-server; deploy/bootstrap.sh installs it")
}
