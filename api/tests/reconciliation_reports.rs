//! Reports of reconciliations as downloads, over HTTP against a real database: every form says the same, nothing is left out, and
//! nobody reads of others.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod stand;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read as _};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use quotary_audit::bill::PROVIDED;
use quotary_audit::external::{Comparison, Orders, compare};
use quotary_audit::item::{Currency, Item, Kind, State};
use quotary_audit::matching::{COLUMNS, Options};
use quotary_commands::{Context, clock};
use quotary_domain::case::{Sighting, Subject};
use quotary_domain::reconciliation::{BillRun, Class, IncompleteReason, RunKind, RunOutcome, RunSubject};
use quotary_domain::{Actor, ReconciliationId, TenantId};
use quotary_projections::reconciliations::INSTALLATION;
use serde_json::Value;
use stand::Stand;
use tower::ServiceExt as _;

async fn answer(stand: &Stand, actor: Actor, path: &str) -> Response {
    let request = Request::get(path).header("authorization", format!("Bearer {}", stand.token(actor)));
    stand.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// A download, whole.
async fn download(stand: &Stand, actor: Actor, path: &str) -> (HeaderMap, Vec<u8>) {
    let (parts, body) = answer(stand, actor, path).await.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    assert_eq!(parts.status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
    (parts.headers, bytes)
}

fn path(run: ReconciliationId, format: &str) -> String {
    format!("/v1/reconciliations/{run}/report?format={format}")
}

fn system(tenant: TenantId, command: &'static str) -> Context {
    Context::system(tenant, command, clock::now())
}

async fn request(stand: &Stand, tenant: TenantId, subject: RunSubject) -> ReconciliationId {
    let context = system(tenant, "reconciliation.request");
    stand.state.commands.request_reconciliation(&context, subject).await.unwrap().value.id
}

fn bill() -> BillRun {
    BillRun {
        provider: "generic".to_owned(),
        bill_sha256: "0".repeat(64),
        mapping: "generic".to_owned(),
        from: None,
        to: None,
        tolerance_minor_units: 0,
        tolerance_days: 0,
        rules: vec![],
    }
}

async fn complete(stand: &Stand, tenant: TenantId, run: ReconciliationId, counts: BTreeMap<Class, u64>) {
    let outcome = RunOutcome { position: 7, checked: 99, counts, ..RunOutcome::default() };
    let context = system(tenant, "reconciliation.complete");
    stand.state.commands.complete_reconciliation(&context, run, outcome).await.unwrap();
}

/// A CSV as a map per row.
fn csv_rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

/// The rows of a sheet of a workbook, each by the letters of its columns.
fn sheet(bytes: &[u8], number: usize) -> Vec<BTreeMap<String, String>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive.by_name(&format!("xl/worksheets/sheet{number}.xml")).unwrap().read_to_string(&mut text).unwrap();
    assert!(!text.contains("<f>"), "a formula");
    let value = |cell: &str| {
        let (start, end) = if cell.contains("<v>") { ("<v>", "</v>") } else { ("<t", "</t>") };
        let inner = cell.split_once(start)?.1.split_once(end)?.0;
        let inner = if start == "<t" { inner.split_once('>')?.1 } else { inner };
        Some(inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
    };
    let cell = |cell: &str| {
        let place = cell.split_once("r=\"")?.1.split_once('"')?.0;
        Some((place.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned(), value(cell)?))
    };
    text.split("<row ").skip(1).map(|row| row.split("<c ").skip(1).filter_map(cell).collect()).collect()
}

/// How many pages a PDF has, found the way a reader does: from its end over the table of objects to the tree of pages.
fn pages(document: &[u8]) -> usize {
    assert!(document.starts_with(b"%PDF-"));
    let text: String = document.iter().map(|byte| char::from(*byte)).collect();
    let start: usize = text.rsplit_once("startxref").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    let table = &text[text.char_indices().nth(start).unwrap().0..];
    assert!(table.starts_with("xref"), "no table of objects at {start}");
    let bytes: Vec<char> = text.chars().collect();
    let mut lines = table.lines().skip(1);
    let count: usize = lines.next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let object = |number: usize| {
        let line = table.lines().nth(2 + number).unwrap();
        let (offset, used) = (line[..10].parse::<usize>().unwrap(), line.contains(" n"));
        assert!(used, "object {number} is none");
        let text: String = bytes[offset..].iter().take(200_000).collect();
        assert!(text.starts_with(&format!("{number} 0 obj")), "object {number} is not at {offset}");
        text.split_once("endobj").unwrap().0.to_owned()
    };
    let reference = |text: &str, name: &str| -> usize {
        text.split_once(name).unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
    };
    let root = reference(text.rsplit_once("trailer").unwrap().1, "/Root ");
    let tree = object(reference(&object(root), "/Pages "));
    let pages = tree.split_once("/Count ").unwrap().1;
    assert!(root < count);
    pages.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Writes what a run found: `own` differences of the tenant, and one of another.
async fn find(stand: &Stand, run: ReconciliationId, own: i64) {
    let statement = "insert into reconciliation_differences
             (run_id, tenant_id, line, class, source, key, ours, theirs, amount, position, case_id)
         select $1, case when n = 3 then $3 else $2 end, n, case when n % 2 = 0 then 'amount' else 'missing' end, 'balances',
                'row ' || n, 'available ' || n, case when n % 2 = 0 then '=1+' || n end, -n, n, null
         from generate_series(1, $4) n";
    sqlx::query(statement)
        .bind(run.0)
        .bind(stand.admin.tenant_id.0)
        .bind(stand.other_admin.tenant_id.0)
        .bind(own + 1)
        .execute(&stand.state.pool)
        .await
        .unwrap();
}

async fn open_case(stand: &Stand, run: ReconciliationId) -> String {
    let subject = Subject {
        kind: RunKind::Internal,
        source: "balances".to_owned(),
        class: Class::Missing,
        key: "row 1".to_owned(),
    };
    let seen = Sighting { run_id: run, ours: None, theirs: None, amount: None };
    let context = system(stand.admin.tenant_id, "case.see");
    let case = stand.state.commands.see_case(&context, subject, seen).await.unwrap().value.id;
    sqlx::query("update reconciliation_differences set case_id = $2 where run_id = $1 and line = 1")
        .bind(run.0)
        .bind(case.0)
        .execute(&stand.state.pool)
        .await
        .unwrap();
    case.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_run_is_reported_whole_in_every_form_and_of_the_own_tenant_alone() {
    const OWN: i64 = 12_000;
    let stand = Stand::new().await;
    let run = request(&stand, INSTALLATION, RunSubject::Internal { full: true }).await;
    find(&stand, run, OWN).await;
    let case = open_case(&stand, run).await;
    complete(&stand, INSTALLATION, run, [(Class::Amount, 6_000), (Class::Missing, 6_001)].into()).await;

    let (headers, json) = download(&stand, stand.auditor, &format!("/v1/reconciliations/{run}/report")).await;
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&body["form"], &body["all_kept"]), (&"quotary.reconciliation.internal/1".into(), &true.into()));
    assert_eq!((body["run"]["passed"].as_bool(), body["run"]["position"].as_u64()), (Some(false), Some(7)));
    assert_eq!(body["run"]["counts"], serde_json::json!({"amount": 6_000, "missing": 6_000}));
    let found = body["differences"].as_array().unwrap();
    let lines: Vec<i64> = found.iter().map(|it| it["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, (1..=OWN + 1).filter(|line| *line != 3).collect::<Vec<_>>());
    assert_eq!((&found[0]["case_id"], &found[0]["case_status"]), (&case.clone().into(), &"open".into()));
    assert_eq!(found[0]["case_age_hours"], 0);
    assert!(found[1]["case_id"].is_null() && found[0]["case_opened_at"].is_string());

    let (headers, csv) = download(&stand, stand.auditor, &path(run, "csv")).await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let rows = csv_rows(&csv);
    assert_eq!(rows.len(), found.len() + 1);
    for (row, item) in rows.iter().zip(found) {
        let theirs = item["theirs"].as_str().map(|text| format!("'{text}")).unwrap_or_default();
        let said = [&row["line"], &row["class"], &row["key"], &row["ours"], &row["amount_minor"], &row["theirs"]];
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        let line = item["line"].to_string();
        let expected = [&line, &text("class"), &text("key"), &text("ours"), &item["amount"].to_string(), &theirs];
        assert_eq!(said, expected);
    }
    assert_eq!((&rows[0]["case_id"], rows[0]["case_status"].as_str()), (&case, "open"));
    let last = rows.last().unwrap();
    assert_eq!((last["class"].as_str(), last["position"].as_str()), ("result", "7"));
    assert_eq!(last["ours"], "differences: 6000 amount, 6000 missing");

    let (headers, workbook) = download(&stand, stand.auditor, &path(run, "xlsx")).await;
    assert!(headers["content-type"].to_str().unwrap().contains("spreadsheetml"));
    let cells = sheet(&workbook, 1);
    assert_eq!(cells.len(), rows.len() + 1);
    for (cells, row) in cells[1..].iter().zip(&rows) {
        assert_eq!(cells.get("A").map_or("", String::as_str), row["line"]);
        assert_eq!((&cells["D"], &cells["E"]), (&row["key"], &row["ours"]));
    }
    let about = sheet(&workbook, 2);
    assert!(about.iter().any(|row| row["A"] == "Result" && row["B"].starts_with("differences")), "{about:?}");

    // More rows than a document has: an archive of two.
    let (headers, archive) = download(&stand, stand.auditor, &path(run, "pdf")).await;
    assert_eq!(headers["content-type"], "application/zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    assert_eq!(archive.len(), 2);
    for number in 0..2 {
        let mut document = Vec::new();
        archive.by_index(number).unwrap().read_to_end(&mut document).unwrap();
        assert!(pages(&document) > 10, "{} pages", pages(&document));
    }

    // The other tenant has its one difference, and does not learn of more.
    let (_, csv) = download(&stand, stand.other_admin, &path(run, "csv")).await;
    let rows = csv_rows(&csv);
    assert_eq!((rows.len(), rows[0]["line"].as_str(), rows[1]["ours"].as_str()), (2, "3", "differences: 1 missing"));
    let (headers, document) = download(&stand, stand.other_admin, &path(run, "pdf")).await;
    assert_eq!((headers["content-type"].to_str().unwrap(), pages(&document)), ("application/pdf", 1));
    for actor in [stand.agent, stand.agent_admin, stand.analyst] {
        stand.get(actor, &path(run, "csv")).await.refused(403, "forbidden");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_not_ended_or_is_another_tenants_has_no_report() {
    let stand = Stand::new().await;
    let run = request(&stand, stand.admin.tenant_id, RunSubject::Internal { full: false }).await;
    for format in ["json", "csv", "xlsx", "pdf"] {
        stand.get(stand.admin, &path(run, format)).await.refused(409, "wrong-status");
        stand.get(stand.other_admin, &path(run, format)).await.refused(404, "not-found");
        stand.get(stand.admin, &path(ReconciliationId(clock::new_id()), format)).await.refused(404, "not-found");
    }
    stand.get(stand.admin, &path(run, "docx")).await.refused(400, "invalid-parameter");
    complete(&stand, stand.admin.tenant_id, run, BTreeMap::new()).await;
    let (_, csv) = download(&stand, stand.admin, &path(run, "csv")).await;
    assert_eq!((csv_rows(&csv).len(), csv_rows(&csv)[0]["ours"].as_str()), (1, "passed"));
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_completed_says_so_in_every_form() {
    let stand = Stand::new().await;
    let tenant = stand.admin.tenant_id;
    let run = request(&stand, tenant, RunSubject::Internal { full: true }).await;
    // What a run left that died on its way is no part of the report.
    find(&stand, run, 5).await;
    let of_bill = request(&stand, tenant, RunSubject::External(bill())).await;
    for run in [run, of_bill] {
        let context = system(tenant, "reconciliation.abandon");
        let detail = Some("the log has a hole".to_owned());
        let reason = IncompleteReason::LogUnreadable;
        stand.state.commands.abandon_reconciliation(&context, run, reason, detail).await.unwrap();
    }
    let text = "incomplete: log_unreadable (the log has a hole)";
    let (_, json) = download(&stand, stand.admin, &path(run, "json")).await;
    let body: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&body["run"]["status"], &body["run"]["reason"]), (&"incomplete".into(), &"log_unreadable".into()));
    assert_eq!((body["run"]["passed"].clone(), body["differences"].as_array().unwrap().len()), (Value::Null, 0));
    let (_, csv) = download(&stand, stand.admin, &path(run, "csv")).await;
    assert_eq!((csv_rows(&csv).len(), csv_rows(&csv)[0]["ours"].as_str()), (1, text));
    let (_, workbook) = download(&stand, stand.admin, &path(run, "xlsx")).await;
    assert_eq!(sheet(&workbook, 1)[1]["E"], text);
    assert!(sheet(&workbook, 2).iter().any(|row| row["A"] == "Result" && row["B"] == text));
    let (_, document) = download(&stand, stand.admin, &path(run, "pdf")).await;
    assert_eq!(pages(&document), 1);
    let refused = stand.get(stand.admin, &path(of_bill, "json")).await;
    assert!(refused.body["detail"].as_str().unwrap().contains("log_unreadable"), "{}", refused.body);
    refused.refused(409, "wrong-status");
    stand.end().await;
}

/// A bill of so many lines with orders of which some agree, some differ and some are not there.
fn compared(count: u64) -> Comparison {
    let generic = PROVIDED.iter().find(|(name, _)| *name == "generic").unwrap().1;
    let mut bill = "id,payment_id,order_id,reference,kind,amount,currency,state,time\n".to_owned();
    let mut orders = vec![];
    let at = "2026-07-01T10:00:00Z".parse().unwrap();
    for n in 0..count {
        writeln!(bill, "P{n},,=O{n},,sale,{n}.50,EUR,completed,2026-07-01T10:00:00+00:00").unwrap();
        let amount = i64::try_from(n * 100 + if n % 7 == 0 { 51 } else { 50 }).unwrap();
        if n % 5 != 0 {
            orders.push(Item {
                kind: Kind::Sale,
                id: format!("=O{n}"),
                at,
                place: n + 1,
                other_id: Some(format!("P{n}")),
                payment: None,
                group: None,
                amount,
                currency: Currency::parse("EUR").unwrap(),
                state: State::Completed,
                fee: None,
            });
        }
    }
    compare(generic, bill.as_bytes(), Orders::from_items(orders), Options::default()).unwrap()
}

/// Keeps a comparison as workers do.
async fn keep(stand: &Stand, run: ReconciliationId, compared: &Comparison) {
    let (pool, tenant) = (&stand.state.pool, stand.admin.tenant_id.0);
    sqlx::query("insert into bill_reports (run_id, tenant_id, head) values ($1, $2, $3)")
        .bind(run.0)
        .bind(tenant)
        .bind(compared.report().json_head().unwrap())
        .execute(pool)
        .await
        .unwrap();
    let findings = &compared.matching.findings;
    let texts: Vec<String> = findings.iter().map(|it| compared.matching.finding_json(it).unwrap()).collect();
    sqlx::query(
        "insert into bill_findings (run_id, number, tenant_id, class, key, finding)
         select $1, n.number, $2, 'any', n.number::text, n.text::json from unnest($3::text[]) with ordinality n (text, number)",
    )
    .bind(run.0)
    .bind(tenant)
    .bind(texts)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_bill_is_the_same_in_every_form_and_its_totals_add_up() {
    let stand = Stand::new().await;
    let compared = compared(6_000);
    let run = request(&stand, stand.admin.tenant_id, RunSubject::External(bill())).await;
    keep(&stand, run, &compared).await;
    stand.get(stand.admin, &path(run, "csv")).await.refused(409, "wrong-status");
    let counts = [(Class::Matched, 4_114), (Class::MissingHere, 1_200)].into();
    complete(&stand, stand.admin.tenant_id, run, counts).await;
    let (mut json, mut csv) = (vec![], vec![]);
    compared.report().write_json(&mut json).unwrap();
    compared.report().write_csv(&mut csv).unwrap();
    let (_, found) = download(&stand, stand.auditor, &path(run, "json")).await;
    assert!(found == json, "the JSON is another one");

    // The table begins with what `quotary reconcile bill` writes, byte by byte of every cell.
    let (_, found) = download(&stand, stand.auditor, &path(run, "csv")).await;
    let (rows, expected) = (csv_rows(&found), csv_rows(&csv));
    let totals = [&compared.matching.totals.lines[..], &compared.matching.totals.orders[..]].concat();
    assert!(expected.len() > 10_000);
    assert_eq!(rows.len(), expected.len() + totals.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(COLUMNS.iter().all(|column| row[*column] == expected[*column]), "{row:?} {expected:?}");
    }
    for (row, total) in rows[expected.len()..].iter().zip(&totals) {
        let said = [&row["class"], &row["key"], &row["count"], &row["amount"], &row["currency"]].map(String::as_str);
        let (count, amount) = (total.count.to_string(), total.amount.to_string());
        assert_eq!(said, [total.class.as_str(), "total", &count, &amount, "EUR"]);
    }

    let (_, workbook) = download(&stand, stand.auditor, &path(run, "xlsx")).await;
    let cells = sheet(&workbook, 1);
    assert_eq!(cells.len(), rows.len() + 1);
    for (cells, row) in cells[1..].iter().zip(&rows) {
        let bare = row["id"].trim_start_matches('\'');
        assert_eq!((cells["A"].as_str(), cells.get("H").map_or("", String::as_str)), (row["class"].as_str(), bare));
        assert_eq!(cells["M"], row["amount"]);
    }
    let digest = &compared.inputs.bill_sha256;
    assert!(sheet(&workbook, 2).iter().any(|row| row["A"] == "SHA-256 of the bill" && row["B"] == *digest));
    let (headers, archive) = download(&stand, stand.auditor, &path(run, "pdf")).await;
    assert_eq!(headers["content-type"], "application/zip");
    assert_eq!(zip::ZipArchive::new(Cursor::new(archive)).unwrap().len(), rows.len().div_ceil(10_000));
    stand.get(stand.other_admin, &path(run, "pdf")).await.refused(404, "not-found");

    // A row that was taken away or changed behind the service's back: no report that looks whole.
    let change = "update bill_findings set finding = replace(finding::text, '\"amount\":350,', '\"amount\":351,')::json where run_id = $1";
    sqlx::query(change).bind(run.0).execute(&stand.state.pool).await.unwrap();
    let response = answer(&stand, stand.admin, &path(run, "csv")).await;
    assert!(to_bytes(response.into_body(), usize::MAX).await.is_err(), "the download came to its end");
    let taken = "delete from bill_findings where run_id = $1 and number = 9";
    sqlx::query(taken).bind(run.0).execute(&stand.state.pool).await.unwrap();
    for format in ["json", "csv"] {
        let response = answer(&stand, stand.admin, &path(run, format)).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{format}");
    }
    stand.end().await;
}
