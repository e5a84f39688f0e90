//! `quotary reconcile bill` on files, as an accountant runs it.
//!
//! What always holds: the report is the same to the byte in every run and for every order of the rows; a wrong input ends with an
//! error that says where, and writes no report.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::path::Path;
use std::process::{Command, Output};

const BILL: &str = "id,payment_id,order_id,reference,kind,amount,currency,state,time
P1,,A1,,sale,10.00,EUR,completed,2026-07-01T10:00:00+02:00
P2,,A2,,sale,20.00,EUR,completed,2026-07-01T11:00:00+02:00
P3,,A3,,sale,30.00,EUR,completed,2026-07-01T12:00:00+02:00
P4,P1,A1,,refund,2.50,EUR,completed,2026-07-01T13:00:00+02:00
";
const ORDERS: &str = "id,provider_id,payment_id,reference,kind,amount_minor,currency,state,time
A1,P1,,,sale,1000,EUR,completed,2026-07-01T08:00:00+00:00
A2,P2,,,sale,2001,EUR,completed,2026-07-01T09:00:00+00:00
A4,P9,,,sale,4000,EUR,completed,2026-07-01T09:30:00+00:00
A1,,P1,,refund,250,EUR,completed,2026-07-01T11:00:00+00:00
";

fn reconcile(folder: &Path, bill: &str, orders: &str, more: &[&str]) -> Output {
    std::fs::write(folder.join("bill.csv"), bill).unwrap();
    std::fs::write(folder.join("orders.csv"), orders).unwrap();
    Command::new(env!("CARGO_BIN_EXE_quotary"))
        .current_dir(folder)
        .args([
            "reconcile",
            "bill",
            "--mapping",
            "generic",
            "--bill",
            "bill.csv",
            "--orders",
            "orders.csv",
            "--out",
            "out",
        ])
        .args(more)
        .output()
        .unwrap()
}

fn shuffled(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    lines.join("\n") + "\n"
}

#[test]
fn every_difference_is_in_the_report_and_a_rerun_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let output = reconcile(folder.path(), BILL, ORDERS, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = || std::fs::read(folder.path().join("out/report.json")).unwrap();
    let first = report();
    let json: serde_json::Value = serde_json::from_slice(&first).unwrap();
    let findings: Vec<(&str, &str)> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["class"].as_str().unwrap(), finding["key"].as_str().unwrap()))
        .collect();
    let expected = [
        ("matched", "refund/order/A1"),
        ("matched", "sale/order/A1"),
        ("missing_here", "sale/line/P3"),
        ("missing_there", "sale/order/A4"),
        ("different_amount", "sale/order/A2"),
    ];
    assert_eq!(findings, expected);
    assert_eq!(json["findings"][4]["difference"], -1);
    let csv = std::fs::read_to_string(folder.path().join("out/report.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 4 + 4);
    assert!(reconcile(folder.path(), BILL, ORDERS, &[]).status.success());
    assert_eq!(report(), first);
    // Rows in another order have other line numbers and digests; classes, keys and sums are the same.
    assert!(reconcile(folder.path(), &shuffled(BILL), &shuffled(ORDERS), &[]).status.success());
    let other: serde_json::Value = serde_json::from_slice(&report()).unwrap();
    assert_eq!(other["totals"], json["totals"]);
    let keys = |json: &serde_json::Value| {
        let findings = json["findings"].as_array().unwrap().clone();
        findings.into_iter().map(|finding| (finding["class"].clone(), finding["key"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(keys(&other), keys(&json));
}

#[test]
fn a_period_asks_only_about_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let period = ["--from", "2026-07-01T08:30:00Z", "--to", "2026-07-01T09:30:00Z"];
    let output = reconcile(folder.path(), BILL, ORDERS, &period);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("out/report.json")).unwrap()).unwrap();
    assert_eq!(json["totals"]["findings"], serde_json::json!({"different_amount": 1, "not_due": 4}));
}

#[test]
fn a_wrong_input_ends_with_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    for (bill, orders, more, expected) in [
        (BILL.replace("20.00", "20.001"), ORDERS.to_owned(), vec![], "line 3: 20.001 has a fraction"),
        (
            BILL.replace("EUR,completed", "EUR,done"),
            ORDERS.to_owned(),
            vec![],
            "4 lines can't be read, the first is line 2",
        ),
        (BILL.replace("order_id", "order"), ORDERS.to_owned(), vec![], "line 1 has no column `order_id`"),
        (BILL.to_owned(), ORDERS.replace("2001", "20.01"), vec![], "the orders can't be read"),
        (BILL.to_owned(), ORDERS.to_owned(), vec!["--rule", "1"], "minor units and days"),
        (BILL.to_owned(), ORDERS.to_owned(), vec!["--tolerance", "2000"], "out of range"),
        (BILL.to_owned(), ORDERS.to_owned(), vec!["--orders-mapping", "nowhere.toml"], "nowhere.toml"),
    ] {
        let output = reconcile(folder.path(), &bill, &orders, &more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
        assert!(!folder.path().join("out").exists(), "{expected}");
    }
}

#[test]
fn a_mapping_of_ones_own_begins_with_a_provided_one() {
    let folder = tempfile::tempdir().unwrap();
    let provided =
        Command::new(env!("CARGO_BIN_EXE_quotary")).args(["reconcile", "mapping", "generic"]).output().unwrap();
    let own = String::from_utf8(provided.stdout).unwrap().replace("\"amount\"", "\"gross\"");
    std::fs::write(folder.path().join("mine.toml"), own).unwrap();
    let bill = BILL.replace("amount", "gross");
    std::fs::write(folder.path().join("bill.csv"), &bill).unwrap();
    std::fs::write(folder.path().join("orders.csv"), ORDERS).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_quotary"))
        .current_dir(folder.path())
        .args(["reconcile", "bill", "--mapping", "mine.toml", "--bill", "bill.csv", "--orders", "orders.csv"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("missing_here              1         1         0  sale 3000 EUR / "), "{said}");
}
