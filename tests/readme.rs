//! README.md's commands, run as they stand there, against a `quotary dev` as `make run` starts it.
//!
//! What always holds: a command that the README shows works, and says what the README promises.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use support::eventually;
use support::process::{Process, quotary};
use tokio::process::Command;

/// How long a first start may take: initdb on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How long all commands together may take.
const WALK: Duration = Duration::from_secs(240);

/// A vendor's history in small: equal orders and one for nothing are in it.
const ORDERS: &str = "customer,date,quantity,amount_cents
00001,1997-01-01,1,1177
00002,1997-01-12,1,1200
00002,1997-01-12,1,1200
00003,1997-02-28,5,0
00051,1998-06-30,30,90050
";

/// The bash blocks of a section, joined.
fn commands_of(readme: &str, section: &str) -> String {
    let heading = format!("## {section}");
    let lines = readme.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    let mut commands = String::new();
    let mut is_bash = false;
    for line in lines {
        match line {
            "```bash" => is_bash = true,
            "```" => is_bash = false,
            _ if is_bash => {
                commands.push_str(line);
                commands.push('\n');
            }
            _ => {}
        }
    }
    assert!(!commands.is_empty(), "README.md has no bash block in {section:?}");
    commands
}

/// Replaces what stands in the text, and fails if it does not.
fn replaced(text: &str, from: &str, to: &Path) -> String {
    assert!(text.contains(from), "README.md does not say {from}");
    text.replace(from, to.to_str().unwrap())
}

/// What a script prints; it must succeed, line by line.
async fn output_of(script: &str, folder: &Path) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    // What the commands leave goes with the folder.
    bash.env("TMPDIR", folder);
    for name in ["DATABASE_URL", "NATS_URL", "QUOTARY_CONFIG", "QUOTARY_LOG"] {
        bash.env_remove(name);
    }
    let output = tokio::time::timeout(WALK, bash.output()).await.expect("the commands end").unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    said.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_commands_work_line_by_line() {
    // PostgreSQL's own user must be able to reach its data.
    let anyone_enters = std::fs::Permissions::from_mode(0o755);
    let place = tempfile::Builder::new().prefix("quotary-readme-").permissions(anyone_enters).tempdir().unwrap();
    let (data, orders) = (place.path().join("data"), place.path().join("history.csv"));
    std::fs::write(&orders, ORDERS).unwrap();

    let mut command = quotary();
    command.args(["dev", "--demo", "--port", "0", "--data-dir"]).arg(&data);
    let mut dev = Process::spawn(command, &place.path().join("dev.log"));
    eventually("dev.json", START, async || {
        assert!(!dev.has_ended(), "dev ended: {}", dev.diagnostics());
        data.join("dev.json").exists().then_some(())
    })
    .await;

    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let walk = commands_of(&readme, "Walk-through");
    let walk = replaced(&walk, "data/dev", &data);
    let walk = replaced(&walk, "target/release/quotary", Path::new(env!("CARGO_BIN_EXE_quotary")));
    let history = replaced(&commands_of(&readme, "Moving a vendor in"), "orders.csv", &orders);
    let said = output_of(&format!("{walk}\n{history}"), place.path()).await;

    for expected in [
        // The walk-through.
        "idempotency-replayed: true",
        r#"{"status":"completed","issued":1000,"count":1000}"#,
        "number,key,license_id",
        r#""code": "VALID""#,
        r#"{"valid":true,"code":"VALID"}"#,
        r#"{"status":401,"code":"nonce-replayed"}"#,
        r#"{"status":"approved","amount":30000"#,
        r#""available":450000,"held":0"#,
        r#""issued":1000,"exported":1000,"activated":1"#,
        r#""event_type":"WithdrawalApproved""#,
        r#""sold":548000"#,
        "aggregates are equal",
        "ledger serves generation 2",
        "localhost/quotary-dev\n",
        r#"{"is_pinned":true,"first":null}"#,
        r#""kind":"altered","what":"the event is not the one that was sealed""#,
        r#"{"result":"pass","counts":{}}"#,
        // The history.
        "5 orders with 38 licences for 93627 minor units; 5 orders were added",
        r#"{"issued":38,"exported":0,"activated":0}"#,
        r#"{"months":3,"issued":38}"#,
        r#"{"months":2,"sold":93627}"#,
        r#""licenses":1078,"sold":641627"#,
    ] {
        assert!(said.contains(expected), "the commands did not say {expected}:\n{said}");
    }
    assert!(dev.terminate().await.success(), "{}", dev.diagnostics());
}
