//! The embedded default, `quotary dev`, as a person or a supervisor meets it: ready when it says so, gone when it is told
//! to go, and back on the same data, also after a kill.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::api::{Answer, call, http, log_in};
use support::eventually;
use support::process::{Process, output, quotary};

/// How long a first start may take: initdb on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A place that PostgreSQL's own user can reach, so that all data is in it.
fn place() -> tempfile::TempDir {
    let anyone_enters = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("quotary-dev-").permissions(anyone_enters).tempdir().unwrap()
}

/// A running `quotary dev`.
struct Dev {
    data: PathBuf,
    process: Process,
    ready: Value,
}

impl Dev {
    /// Starts it and waits until `dev.json` is there.
    async fn start(data: &Path, log: &Path) -> Self {
        let mut command = quotary();
        command.args(["dev", "--port", "0", "--data-dir"]).arg(data);
        let mut process = Process::spawn(command, log);
        let file = data.join("dev.json");
        // The stale one of a killed process is removed before anything else; it must not be mistaken for the new one.
        let stale = std::fs::read(&file).ok();
        let text = eventually("dev.json", PATIENCE, async || {
            assert!(!process.has_ended(), "dev ended: {}", process.diagnostics());
            std::fs::read(&file).ok().filter(|text| Some(text) != stale.as_ref())
        })
        .await;
        // It is renamed into its place, so that nobody reads half of it.
        let ready: Value = serde_json::from_slice(&text).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "passwords are nobody else's business");
        Self { data: data.to_owned(), process, ready }
    }

    fn text(&self, field: &str) -> String {
        self.ready[field].as_str().unwrap_or_else(|| panic!("dev.json has no {field}")).to_owned()
    }

    async fn log_in(&self) -> Answer {
        log_in(&http(), &self.text("url"), "dev", &self.text("username"), &self.text("password")).await
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let token = self.log_in().await.expect(200).text_of("access_token");
        call(&http(), &token, method, &format!("{}{path}", self.text("url")), body).await
    }

    /// All processes that it started, directly or not.
    fn family(&self) -> BTreeSet<i32> {
        let mut family = BTreeSet::from([self.process.pid().as_raw()]);
        loop {
            let before = family.len();
            for process in processes() {
                if family.contains(&process.parent) {
                    family.insert(process.pid);
                }
            }
            if family.len() == before {
                return family;
            }
        }
    }
}

/// What `/proc` says of a process that is not a zombie.
struct Alive {
    pid: i32,
    parent: i32,
    command: String,
    directory: PathBuf,
}

fn processes() -> Vec<Alive> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (rest.next()?, rest.next()?.parse().ok()?);
        if matches!(state, "Z" | "X") {
            return None;
        }
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        Some(Alive { pid, parent, command, directory })
    })
    .collect()
}

/// Processes that have anything to do with a data directory, or are of this family.
fn left_of(data: &Path, family: &BTreeSet<i32>) -> Vec<String> {
    let name = data.to_str().unwrap();
    let concerns = |alive: &Alive| {
        alive.command.contains(name) || alive.directory.starts_with(data) || family.contains(&alive.pid)
    };
    processes().into_iter().filter(concerns).map(|alive| format!("{} {}", alive.pid, alive.command)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_is_ready_when_it_says_so_and_comes_back_on_its_data() {
    let place = place();
    let (data, log) = (place.path().join("data"), place.path().join("dev.log"));

    // The first start, on nothing.
    let mut dev = Dev::start(&data, &log).await;
    let password = dev.text("password");
    // Ready means ready: the first calls succeed.
    let ready = http().get(format!("{}/readyz", dev.text("url"))).send().await.unwrap();
    assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap());
    let project = dev.call(Method::POST, "/v1/projects", &json!({ "name": "Kept" })).await.expect(201);
    let id = project.text_of("id");
    let family = dev.family();
    assert!(family.len() > 3, "PostgreSQL and NATS are its children: {family:?}");

    // The command line finds it by its data directory.
    let mut verify = quotary();
    verify.args(["log", "verify", "--dev"]).arg(&data);
    assert!(output(verify).await.contains("last_position"));

    // SIGTERM: an orderly end of everything.
    let status = dev.process.terminate().await;
    assert!(status.success(), "{status}: {}", dev.process.diagnostics());
    assert!(!data.join("dev.json").exists(), "dev.json says that something runs");
    assert_eq!(left_of(&data, &family), Vec::<String>::new());

    // The second start, on the same data.
    let mut dev = Dev::start(&data, &log).await;
    assert_eq!(dev.text("password"), password);
    let position = project.header("quotary-position").to_owned();
    let kept = dev.call(Method::GET, &format!("/v1/projects/{id}"), &Value::Null).await.expect(200);
    assert_eq!(kept.body["name"], "Kept", "written at {position}");
    let later = dev.call(Method::POST, "/v1/projects", &json!({ "name": "Later" })).await.expect(201);

    // A kill leaves PostgreSQL and NATS behind, and dev.json; the next start deals with them.
    let orphans = dev.family();
    dev.process.kill().await;
    let mut dev = Dev::start(&data, &log).await;
    assert_eq!(dev.text("password"), password);
    let after_kill =
        dev.call(Method::GET, &format!("/v1/projects/{}", later.text_of("id")), &Value::Null).await.expect(200);
    assert_eq!(after_kill.body["name"], "Later");
    assert_eq!(orphans.intersection(&dev.family()).count(), 0, "an orphan was adopted and not ended");

    // Ctrl-C ends it as SIGTERM does.
    let family: BTreeSet<i32> = dev.family().union(&orphans).copied().collect();
    kill(dev.process.pid(), Signal::SIGINT).unwrap();
    eventually("the end after Ctrl-C", Duration::from_secs(60), async || dev.process.has_ended().then_some(())).await;
    assert!(!dev.data.join("dev.json").exists());
    assert_eq!(left_of(&data, &family), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_ends_dev_with_an_error_and_without_leftovers() {
    let place = place();
    let (data, log) = (place.path().join("data"), place.path().join("dev.log"));
    let mut dev = Dev::start(&data, &log).await;
    let family = dev.family();
    let nats =
        processes().into_iter().find(|alive| family.contains(&alive.pid) && alive.command.contains("nats-server"));
    kill(Pid::from_raw(nats.expect("NATS runs").pid), Signal::SIGKILL).unwrap();
    eventually("the end of dev", Duration::from_secs(60), async || dev.process.has_ended().then_some(())).await;
    assert!(dev.process.diagnostics().contains("ended by itself"), "{}", dev.process.diagnostics());
    assert!(!data.join("dev.json").exists());
    assert_eq!(left_of(&data, &family), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_them_do_not_share_a_data_directory() {
    let place = place();
    let (data, log) = (place.path().join("data"), place.path().join("dev.log"));
    let mut dev = Dev::start(&data, &log).await;
    let mut second = quotary();
    second.args(["dev", "--port", "0", "--data-dir"]).arg(&data);
    let refused = tokio::time::timeout(PATIENCE, second.output()).await.expect("the second one runs").unwrap();
    assert!(!refused.status.success());
    assert!(data.join("dev.json").exists(), "the second one removed the first one's dev.json");
    dev.log_in().await.expect(200);
    assert!(dev.process.terminate().await.success());
}
