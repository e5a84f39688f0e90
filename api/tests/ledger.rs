//! Accounts, statements, journals and the trial balance over HTTP against a real database, and their downloads.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod stand;

use std::io::{Cursor, Read as _};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use quotary_domain::Actor;
use serde_json::{Value, json};
use stand::{Stand, id};
use tower::ServiceExt as _;

const NOTES: [&str; 5] =
    ["=HYPERLINK(\"http://evil.example\",\"pay\")", "谢谢您的付款，请查收。", "-1+1", "päivää, \"quoted\"", "@SUM(A1)"];

/// A download, whole.
async fn download(stand: &Stand, actor: Actor, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {}", stand.token(actor)))
        .header("quotary-min-position", stand.head().await.to_string());
    let response = stand.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

/// Top-ups of the agent by the super admin, and a transfer to the agent admin for each remark.
async fn movements(stand: &Stand) -> Vec<String> {
    let agent = id(stand.agent);
    stand.post(stand.admin, "/v1/quota/top-ups", &json!({"agent_id": agent, "amount": 10_000})).await.expect(201);
    let mut journals = Vec::new();
    for (amount, note) in (100..).zip(NOTES) {
        let body = json!({"to_username": "manager", "amount": amount, "note": note});
        let made = stand.post(stand.agent, "/v1/quota/transfers", &body).await.expect(201);
        journals.push(made.body["id"].as_str().unwrap().to_owned());
    }
    journals
}

/// A CSV as a map per row.
fn csv_rows(bytes: &[u8]) -> Vec<std::collections::HashMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_as_csv_equals_the_pages_and_adds_up() {
    let stand = Stand::new().await;
    movements(&stand).await;
    let base = format!("/v1/quota/accounts/{}/statement", id(stand.agent));
    let pages = stand.get(stand.agent, &base).await.expect(200).body;
    let (status, headers, bytes) = download(&stand, stand.agent, &format!("{base}/export")).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(header(&headers, "content-type"), "text/csv; charset=utf-8; header=present");
    assert!(header(&headers, "content-disposition").ends_with(".csv\""));
    let rows = csv_rows(&bytes);
    let items = pages["items"].as_array().unwrap();
    assert_eq!(rows.len(), items.len() + 2);
    let number = |row: &std::collections::HashMap<String, String>, column: &str| row[column].parse::<i64>().unwrap();
    let (first, last) = (&rows[0], rows.last().unwrap());
    assert_eq!((first["kind"].as_str(), number(first, "balance_available_minor")), ("opening", 0));
    assert_eq!(last["kind"], "closing");
    assert_eq!(number(last, "balance_available_minor"), pages["closing"]["available"].as_i64().unwrap());
    let mut running = 0;
    for (row, item) in rows[1..].iter().zip(items) {
        running += number(row, "change_available_minor");
        assert_eq!(number(row, "balance_available_minor"), running);
        assert_eq!(row["position"], item["position"].to_string());
        assert_eq!(row["journal_id"], item["journal_id"].as_str().unwrap());
        assert_eq!(number(row, "change_available_minor"), item["change"]["available"].as_i64().unwrap());
        let note = item["note"].as_str().unwrap_or_default();
        let formula = note.starts_with(['=', '-', '@', '+']);
        assert_eq!(row["note"], if formula { format!("'{note}") } else { note.to_owned() });
    }
    assert_eq!(running, 10_000 - (100..105).sum::<i64>());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_come_as_workbook_and_as_pages_too() {
    let stand = Stand::new().await;
    movements(&stand).await;
    let agent = format!("/v1/quota/accounts/{}/statement/export", id(stand.agent));
    let issuance = "/v1/ledger/accounts/issuance/statement/export".to_owned();
    let held = format!("/v1/ledger/accounts/agent:{}:held/statement/export", id(stand.agent));
    let trial = "/v1/ledger/trial-balance/export".to_owned();
    for path in [agent, issuance, held, trial] {
        let (status, headers, bytes) = download(&stand, stand.auditor, &format!("{path}?format=xlsx")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(header(&headers, "content-type").contains("spreadsheetml"));
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut sheet = String::new();
        archive.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut sheet).unwrap();
        assert!(sheet.contains("_minor") && !sheet.contains("<f>"), "{path}: {sheet}");
        let (status, headers, bytes) = download(&stand, stand.auditor, &format!("{path}?format=pdf")).await;
        assert_eq!((status, header(&headers, "content-type").as_str()), (StatusCode::OK, "application/pdf"), "{path}");
        assert!(bytes.starts_with(b"%PDF-") && bytes.trim_ascii_end().ends_with(b"%%EOF"), "{path}");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_have_balances_now_and_then_and_the_trial_balance_is_balanced() {
    let stand = Stand::new().await;
    movements(&stand).await;
    let head = stand.head().await;
    let listed = stand.get(stand.auditor, "/v1/ledger/accounts?limit=200").await.expect(200).body;
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|item| item["account"].as_str().unwrap()).collect();
    assert!(names.contains(&"issuance") && names.contains(&"transit"), "{names:?}");
    let total: i64 = listed["items"].as_array().unwrap().iter().map(|item| item["balance"].as_i64().unwrap()).sum();
    assert_eq!(total, 0, "{listed}");
    let issuance = stand.get(stand.admin, "/v1/ledger/accounts/issuance").await.expect(200).body;
    assert_eq!((issuance["balance"].as_i64(), issuance["kind"].as_str()), (Some(-10_000), Some("issuance")));
    let before = stand.get(stand.admin, "/v1/ledger/accounts/issuance?at=1").await.expect(200).body;
    assert_eq!(before["balance"], 0);
    let available = format!("/v1/ledger/accounts/agent:{}:available", id(stand.agent));
    assert_eq!(stand.get(stand.agent, &available).await.expect(200).body["balance"], 10_000 - 510);
    for at in [1, head / 2, head] {
        let trial = stand.get(stand.auditor, &format!("/v1/ledger/trial-balance?at={at}")).await.expect(200).body;
        assert_eq!((trial["total"].as_i64(), &trial["position"]), (Some(0), &json!(at)), "{trial}");
        assert_eq!(trial["debit"], trial["credit"]);
    }
    let now = stand.get(stand.auditor, "/v1/ledger/trial-balance").await.expect(200).body;
    assert_eq!((now["debit"].as_i64(), now["credit"].as_i64()), (Some(10_000), Some(10_000)), "{now}");
    let (_, _, bytes) = download(&stand, stand.auditor, "/v1/ledger/trial-balance/export").await;
    let rows = csv_rows(&bytes);
    let last = rows.last().unwrap();
    assert_eq!((last["account"].as_str(), &last["debit_minor"]), ("total", &last["credit_minor"]));
    let statement = stand.get(stand.auditor, "/v1/ledger/accounts/issuance/statement").await.expect(200).body;
    assert_eq!((statement["opening"].as_i64(), statement["closing"].as_i64()), (Some(0), Some(-10_000)));
    assert_eq!(statement["items"][0]["other_account"], available.rsplit('/').next().unwrap());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_movement_is_found_by_what_one_knows_of_it() {
    let stand = Stand::new().await;
    let journals = movements(&stand).await;
    let agent = id(stand.agent);
    let ids = |answer: &Value| -> Vec<String> {
        let items = answer["items"].as_array().unwrap();
        items.iter().map(|item| item["journal_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = stand.get(stand.auditor, "/v1/ledger/journals?kind=transfer").await.expect(200).body;
    assert_eq!(ids(&all), journals.iter().rev().cloned().collect::<Vec<_>>());
    let one = &all["items"][0];
    assert_eq!((one["postings"].as_array().unwrap().len(), one["hidden_postings"].as_i64()), (4, Some(0)));
    let cause = one["correlation_id"].as_str().unwrap();
    for filter in [
        "min_amount=104".to_owned() + "&kind=transfer",
        format!("cause={cause}"),
        format!("account=agent:{agent}:available&min_amount=104&max_amount=104"),
        format!("actor={agent}&max_amount=104&limit=1"),
        format!("command={}&min_amount=104", one["command"].as_str().unwrap()),
        format!("source_id={}&min_amount=104", id(stand.agent_admin)),
        "account=transit&limit=1".to_owned(),
        format!("from={}", one["occurred_at"].as_str().unwrap()),
    ] {
        let found = stand.get(stand.auditor, &format!("/v1/ledger/journals?{filter}")).await.expect(200).body;
        assert_eq!(ids(&found), [journals[4].clone()], "{filter}");
    }
    let path = format!("/v1/ledger/journals/{}", journals[4]);
    assert_eq!(&stand.get(stand.auditor, &path).await.expect(200).body, one);
    // The agent sees its own half, and how much it does not see.
    let own = stand.get(stand.agent, &path).await.expect(200).body;
    assert_eq!((own["postings"].as_array().unwrap().len(), own["hidden_postings"].as_i64()), (2, Some(2)));
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_a_ledger_of_others() {
    let stand = Stand::new().await;
    let journals = movements(&stand).await;
    let (agent, manager, admin) = (id(stand.agent), id(stand.agent_admin), id(stand.admin));
    let journal = format!("/v1/ledger/journals/{}", journals[0]);
    for path in [
        "/v1/ledger/accounts/issuance".to_owned(),
        "/v1/ledger/accounts/transit/statement".to_owned(),
        "/v1/ledger/accounts/paid_out/statement/export".to_owned(),
    ] {
        for actor in [stand.agent, stand.agent_admin, stand.analyst] {
            stand.get(actor, &path).await.refused(404, "not-found");
        }
    }
    for path in [
        format!("/v1/ledger/accounts/agent:{agent}:available"),
        format!("/v1/ledger/accounts/agent:{agent}:held/statement"),
        format!("/v1/ledger/accounts/agent:{agent}:available/statement/export?format=pdf"),
        format!("/v1/quota/accounts/{agent}/statement/export"),
        journal.clone(),
    ] {
        stand.get(stand.other_admin, &path).await.refused(404, "not-found");
    }
    stand.get(stand.agent, &format!("/v1/ledger/accounts/agent:{manager}:held")).await.refused(404, "not-found");
    stand.get(stand.agent_admin, &format!("/v1/ledger/accounts/agent:{admin}:held")).await.refused(404, "not-found");
    stand.get(stand.agent_admin, &format!("/v1/ledger/accounts/agent:{agent}:held")).await.expect(200);
    for actor in [stand.agent, stand.agent_admin, stand.analyst] {
        stand.get(actor, "/v1/ledger/trial-balance").await.refused(403, "forbidden");
        let listed = stand.get(actor, "/v1/ledger/accounts").await.expect(200).body;
        let text = listed.to_string();
        assert!(!text.contains("issuance") && text.contains(&agent.to_string()), "{text}");
    }
    for (path, none) in [("/v1/ledger/accounts", 0), ("/v1/ledger/journals", 0)] {
        let listed = stand.get(stand.other_admin, path).await.expect(200).body;
        assert_eq!(listed["items"].as_array().unwrap().len(), none, "{listed}");
    }
    let trial = stand.get(stand.other_admin, "/v1/ledger/trial-balance").await.expect(200).body;
    assert_eq!((trial["debit"].as_i64(), trial["items"].as_array().unwrap().len()), (Some(0), 0), "{trial}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_make_no_sense_are_named() {
    let stand = Stand::new().await;
    let agent = id(stand.agent);
    for (path, parameter) in [
        ("/v1/ledger/accounts/profit", "account"),
        ("/v1/ledger/accounts/sales:nothing/statement", "account"),
        ("/v1/ledger/accounts/issuance?at=yesterday", "at"),
        ("/v1/ledger/trial-balance?at=-1", "at"),
        ("/v1/ledger/journals?account=agent:1:held", "account"),
        ("/v1/ledger/journals?min_amount=-1", "min_amount"),
        ("/v1/ledger/journals?min_amount=5&max_amount=4", "min_amount"),
        ("/v1/ledger/journals?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("/v1/ledger/accounts/issuance/statement/export?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
    ] {
        let answer = stand.get(stand.admin, path).await.refused(400, "invalid-parameter");
        assert_eq!(answer.body["errors"][0]["pointer"], parameter, "{path}");
    }
    for path in [
        format!("/v1/quota/accounts/{agent}/statement/export?format=docx"),
        format!("/v1/quota/accounts/{agent}/statement/export?from=monday"),
        "/v1/ledger/trial-balance/export?format=txt".to_owned(),
        "/v1/ledger/accounts?kind=profit".to_owned(),
        "/v1/ledger/journals?min_amount=1.5".to_owned(),
        "/v1/ledger/journals?cursor=x".to_owned(),
        "/v1/ledger/journals?no_such=1".to_owned(),
        "/v1/ledger/journals/x".to_owned(),
    ] {
        stand.get(stand.admin, &path).await.refused(400, "invalid-parameter");
    }
    stand.end().await;
}
