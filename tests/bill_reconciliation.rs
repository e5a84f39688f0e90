//! Reconciliation with a provider's bill through the front door: upload, run, findings, cases, report.
//!
//! What always holds: the same input gives the same report and no second case; what was put right closes its case by itself; no
//! tenant meets another's bills, runs or findings.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Method;
use quotary_audit::external::hex;
use quotary_commands::{Context, EventLog, Limits, Plan, Refusal, Vault, clock};
use quotary_domain::order::{Money, Order, OrderCommand, Payment, Refund};
use quotary_domain::{AccountId, OrderId, Quota, TenantId};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::api::{Answer, call, http};
use support::eventually;
use support::installation::{Installation, Server};
use support::vendor::Vendor;
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const HEAD: &str = "id,payment_id,order_id,reference,kind,amount,currency,state,time\n";
/// P1 agrees, P2 has another amount, P3 we do not have, P5 is there twice, R1 is a refund that agrees.
const ROWS: &str = "P1,,,,sale,10.00,EUR,completed,2026-07-01T10:00:00+00:00
P2,,,,sale,20.00,EUR,completed,2026-07-01T11:00:00+00:00
P3,,,,sale,30.00,EUR,completed,2026-07-01T12:00:00+00:00
P5,,,,sale,50.00,EUR,completed,2026-07-01T13:00:00+00:00
P5,,,,sale,50.00,EUR,completed,2026-07-01T13:00:00+00:00
R1,P1,,,refund,2.50,EUR,completed,2026-07-01T14:00:00+00:00
";

struct Scene {
    installation: Installation,
    server: Server,
    http: Client,
    vendor: Vendor,
    tenant: TenantId,
    log: EventLog,
}

impl Scene {
    async fn new() -> Self {
        let installation = Installation::new("bills").await;
        let (server, http) = (installation.start("serve").await, http());
        let vendor = Vendor::create(&installation, &http, &server.url, "acme").await;
        let tenant = sqlx::query_scalar::<_, Uuid>("select tenant_id from events where aggregate_id = $1 limit 1")
            .bind(&vendor.admin_id)
            .fetch_one(&installation.pool)
            .await
            .unwrap();
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let (log, _task) = EventLog::start(installation.pool.clone(), vault, Limits::default(), 1_000);
        Self { installation, server, http, vendor, tenant: TenantId(tenant), log }
    }

    async fn order(&self, number: &str, amount: i64, hour: u32, refunded: Option<(&str, i64)>) {
        let at = |hour: u32| format!("2026-07-01T{hour}:00:00Z").parse().unwrap();
        let payment = Payment {
            provider: "generic".into(),
            provider_order_id: number.to_owned(),
            amount: Money(Quota::new(amount).unwrap()),
            currency: "EUR".into(),
            paid_at: at(hour),
            agent_id: AccountId(self.vendor.admin_id.parse().unwrap()),
            batch_id: None,
        };
        let mut plan = Plan::new();
        let order = plan.open::<Order>(OrderId::of(self.tenant, "generic", number));
        let decide = |commands: Vec<OrderCommand>| {
            let (plan, log) = (&plan, &self.log);
            async move {
                let context = Context::system(self.tenant, "test.order", clock::now());
                let done = log.execute(&context, plan, |unit| {
                    for command in commands.clone() {
                        unit.decide(order, command).map_err(|_| Refusal::Forbidden)?;
                    }
                    Ok::<_, Refusal>(())
                });
                done.await.unwrap();
            }
        };
        let mut commands = vec![OrderCommand::RecordPayment(payment)];
        if let Some((number, amount)) = refunded {
            commands.push(OrderCommand::RecordRefund(Refund {
                amount: Money(Quota::new(amount).unwrap()),
                provider_refund_id: Some(number.to_owned()),
                refunded_at: at(14),
                reason: None,
            }));
        }
        decide(commands).await;
    }

    /// P4 is not in the bill.
    async fn orders(&self) {
        self.order("P1", 1_000, 10, Some(("R1", 250))).await;
        self.order("P2", 2_001, 11, None).await;
        self.order("P4", 4_000, 12, None).await;
        self.order("P5", 5_000, 13, None).await;
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    async fn upload(&self, token: &str, bytes: impl Into<Vec<u8>>) -> Answer {
        let request = self.http.post(self.url("/v1/reconciliations/bills")).bearer_auth(token);
        let request = request.header("content-type", "text/csv").body(bytes.into());
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    async fn ask(&self, token: &str, bill: &Value) -> Answer {
        let body = json!({ "kind": "external", "bill": bill });
        call(&self.http, token, Method::POST, &self.url("/v1/reconciliations"), &body).await
    }

    /// Makes an internal run in full and waits for its end.
    async fn internal(&self) -> String {
        let asked = json!({ "kind": "internal", "full": true });
        let answer = call(&self.http, &self.vendor.token, Method::POST, &self.url("/v1/reconciliations"), &asked).await;
        let run = answer.expect(201).text_of("id");
        self.ended(&run).await;
        run
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        call(&self.http, token, Method::GET, &self.url(path), &Value::Null).await
    }

    /// Waits for the event that ends a run.
    async fn ended(&self, run: &str) -> Value {
        let query = "select payload::text from events where aggregate_type = 'Reconciliation' and aggregate_id = $1 and sequence = 2";
        let end = eventually("the run ends", PATIENCE, async || {
            sqlx::query_scalar::<_, String>(query).bind(run).fetch_optional(&self.installation.pool).await.unwrap()
        });
        serde_json::from_str(&end.await).unwrap()
    }

    /// Uploads a bill, asks for its run and waits for the end: the run and what it ended with.
    async fn run(&self, text: &str) -> (String, Value) {
        let bill = self.upload(&self.vendor.token, text).await.text_of("sha256");
        let asked = json!({ "sha256": bill, "mapping": "generic" });
        let run = self.ask(&self.vendor.token, &asked).await.expect(201).text_of("id");
        let end = self.ended(&run).await;
        (run, end["ReconciliationCompleted"].clone())
    }

    async fn findings(&self, run: &str) -> Vec<(String, String)> {
        let mut found = vec![];
        let mut next = Some(String::new());
        while let Some(cursor) = next {
            let cursor = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
            let page =
                self.get(&self.vendor.token, &format!("/v1/reconciliations/{run}/findings?limit=2{cursor}")).await;
            let page = page.expect(200).body;
            found.extend(page["items"].as_array().unwrap().iter().map(|item| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                assert_eq!(item["case_id"].is_string(), text("class") != "matched", "{item}");
                (text("class"), text("key"))
            }));
            next = page["next_cursor"].as_str().map(str::to_owned);
        }
        found
    }

    /// How many events of this type there are.
    async fn events(&self, event_type: &str) -> i64 {
        sqlx::query_scalar("select count(*) from events where event_type = $1")
            .bind(event_type)
            .fetch_one(&self.installation.pool)
            .await
            .unwrap()
    }

    fn key(&self, number: &str) -> String {
        format!("sale/order/{}", OrderId::of(self.tenant, "generic", number))
    }

    async fn finish(self) {
        let failures = self.installation.failures();
        assert!(failures.is_empty(), "{failures:?}");
        drop(self.log);
        let mut server = self.server;
        server.process.terminate().await;
        self.installation.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_a_case_once_and_what_is_put_right_closes_it() {
    let scene = Scene::new().await;
    scene.orders().await;
    let bill = format!("{HEAD}{ROWS}");
    let (run, outcome) = scene.run(&bill).await;
    let counts =
        json!({"matched": 3, "missing_here": 1, "missing_there": 1, "different_amount": 1, "duplicate_there": 1});
    assert_eq!(outcome["counts"], counts);
    assert_eq!(outcome["checked"], 6 + 5);
    let text = |texts: &[(&str, String)]| texts.iter().map(|(a, b)| ((*a).to_owned(), b.clone())).collect::<Vec<_>>();
    let mut expected = text(&[
        ("matched", scene.key("P1")),
        ("matched", scene.key("P5")),
        ("matched", format!("refund/order/{}/2", OrderId::of(scene.tenant, "generic", "P1"))),
        ("missing_here", "sale/line/P3".into()),
        ("missing_there", scene.key("P4")),
        ("different_amount", scene.key("P2")),
        ("duplicate_there", "sale/line/P5".into()),
    ]);
    let mut found = scene.findings(&run).await;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(scene.events("CaseOpened").await, 4);

    // The report is the one that the log knows.
    let report = scene.get(&scene.vendor.token, &format!("/v1/reconciliations/{run}/report")).await.expect(200);
    assert_eq!(outcome["report_digest"], hex(&Sha256::digest(report.text.as_bytes())));
    assert_eq!(report.body["findings"].as_array().unwrap().len(), 7);
    // As a table: six lines and five orders, and the totals of each class; every difference has its open case.
    let table =
        scene.get(&scene.vendor.token, &format!("/v1/reconciliations/{run}/report?format=csv")).await.expect(200);
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(table.text.as_bytes()).deserialize().map(Result::unwrap).collect();
    let (items, totals): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["key"] != "total");
    assert_eq!(items.len(), 6 + 5);
    assert_eq!(totals.iter().map(|row| row["count"].parse::<u64>().unwrap()).sum::<u64>(), 6 + 5);
    for row in items {
        assert_eq!(row["case_status"], if row["class"] == "matched" { "" } else { "open" }, "{row:?}");
    }

    // The same input: the same report, and no second case.
    let (_, again) = scene.run(&bill).await;
    assert_eq!(again["report_digest"], outcome["report_digest"]);
    for event in ["CaseChanged", "CaseReopened", "CaseVanished"] {
        assert_eq!(scene.events(event).await, 0, "{event}");
    }
    assert_eq!(scene.events("CaseOpened").await, 4);

    // The missing order is recorded by the ordinary command; its case ends by itself, the others stay open.
    scene.order("P3", 3_000, 12, None).await;
    let (_, after) = scene.run(&bill).await;
    assert_eq!(after["counts"]["missing_here"], Value::Null);
    assert_eq!(after["counts"]["matched"], 4);
    assert_eq!((scene.events("CaseOpened").await, scene.events("CaseVanished").await), (4, 1));

    // The internal run of the same log passes, and its report says so; one of a changed read model names what differs.
    let report = async |run: &str| {
        let path = format!("/v1/reconciliations/{run}/report");
        scene.get(&scene.vendor.token, &path).await.expect(200).body
    };
    let passed = report(&scene.internal().await).await;
    assert_eq!((passed["run"]["passed"].as_bool(), &passed["differences"]), (Some(true), &json!([])), "{passed}");
    let generation: i32 =
        sqlx::query_scalar("select generation from projections where name = 'movements' and state = 'serving'")
            .fetch_one(&scene.installation.pool)
            .await
            .unwrap();
    let extra = format!(
        "insert into movements_{generation}.transfers (journal_id, position, tenant_id, kind, to_id, amount, status, occurred_at, \
         recorded_at) values (gen_random_uuid(), 1, $1, 'transfer', $1, 5, 'completed', now(), now())"
    );
    sqlx::query(&extra).bind(scene.tenant.0).execute(&scene.installation.pool).await.unwrap();
    let differs = report(&scene.internal().await).await;
    let found = &differs["differences"][0];
    assert_eq!((&found["class"], &found["source"]), (&json!("extra"), &json!("transfers")), "{differs}");
    assert_eq!((&found["case_status"], &found["case_age_hours"]), (&json!("open"), &json!(0)), "{differs}");

    // A bill of another day says nothing about these cases.
    let other = format!("{HEAD}P9,,,,sale,1.00,EUR,completed,2026-07-09T10:00:00+00:00\n");
    let (_, other) = scene.run(&other).await;
    assert_eq!(other["counts"], json!({"missing_here": 1}));
    assert_eq!(scene.events("CaseVanished").await, 1);
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_open_each_case_once() {
    let scene = Scene::new().await;
    scene.orders().await;
    let sha256 = scene.upload(&scene.vendor.token, format!("{HEAD}{ROWS}")).await.expect(201).text_of("sha256");
    let asked = json!({ "sha256": sha256, "mapping": "generic", "rules": ["0:1"], "tolerance_days": 2 });
    let asking = (0..4).map(|_| scene.ask(&scene.vendor.token, &asked));
    let mut digests = vec![];
    for answer in futures::future::join_all(asking).await {
        let end = scene.ended(&answer.expect(201).text_of("id")).await;
        digests.push(end["ReconciliationCompleted"]["report_digest"].as_str().unwrap().to_owned());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
    assert_eq!(scene.events("CaseOpened").await, 4);
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_bill_is_told_precisely_and_writes_nothing() {
    let scene = Scene::new().await;
    let token = &scene.vendor.token;
    let good = scene.upload(token, format!("{HEAD}{ROWS}")).await.text_of("sha256");
    let fraction =
        scene.upload(token, format!("{HEAD}{}", ROWS.replacen("20.00", "20.001", 1))).await.text_of("sha256");
    let latin = scene.upload(token, [HEAD.as_bytes(), b"P\xFF"].concat()).await.text_of("sha256");
    let empty = scene.upload(token, HEAD).await.text_of("sha256");
    let mapping = scene.upload(token, "provider = 5").await.text_of("sha256");
    let head = scene.installation.head().await;
    let unknown = "0".repeat(64);
    for (bill, status, code, says) in [
        (json!({"sha256": fraction, "mapping": "generic"}), 422, "bill-unreadable", "/lines/3"),
        (json!({"sha256": latin, "mapping": "generic"}), 422, "bill-unreadable", "line 2"),
        (json!({"sha256": good, "mapping": "alipay"}), 422, "bill-unreadable", "line 1"),
        (json!({"sha256": good, "mapping": mapping}), 422, "mapping-invalid", "provider"),
        (json!({"sha256": good, "mapping": "nobody"}), 422, "validation-failed", "/bill/mapping"),
        (json!({"sha256": unknown, "mapping": "generic"}), 422, "validation-failed", "/bill/sha256"),
        (json!({"sha256": empty, "mapping": "generic"}), 422, "validation-failed", "/bill/from"),
        (json!({"sha256": good, "mapping": "generic", "rules": ["1"]}), 422, "validation-failed", "/bill/rules"),
        (
            json!({"sha256": good, "mapping": "generic", "from": "2026-07-02", "to": "2026-07-01"}),
            422,
            "validation-failed",
            "/bill/to",
        ),
        (
            json!({"sha256": good, "mapping": "generic", "provider": "Alipay"}),
            422,
            "validation-failed",
            "/bill/provider",
        ),
        (
            json!({"sha256": good, "mapping": "generic", "tolerance_minor_units": 1001}),
            422,
            "validation-failed",
            "/bill/tolerance_minor_units",
        ),
        (json!({"sha256": good, "mapping": "generic", "tolerance": 1}), 400, "unknown-field", "/bill/tolerance"),
    ] {
        let answer = scene.ask(token, &bill).await.expect(status);
        assert!(answer.code() == code && answer.text.contains(says), "{bill}: {}", answer.text);
    }
    assert_eq!(scene.installation.head().await, head, "something refused was written");
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bills_and_runs_belong_to_one_tenant_and_need_a_role() {
    let scene = Scene::new().await;
    let other = Vendor::create(&scene.installation, &scene.http, &scene.server.url, "other").await;
    let (http, url, token) = (&scene.http, &scene.server.url, &scene.vendor.token);
    let auditor = scene.vendor.account(http, url, token, "checker", "auditor", 0).await.token;
    let agent = scene.vendor.account(http, url, token, "seller", "agent", 0).await.token;
    scene.orders().await;
    let (run, _) = scene.run(&format!("{HEAD}{ROWS}")).await;
    let sha256 = scene.upload(token, format!("{HEAD}{ROWS}")).await.expect(200).text_of("sha256");
    let asked = json!({ "sha256": sha256, "mapping": "generic" });
    let stranger = scene.ask(&other.token, &asked).await.expect(422);
    assert_eq!(stranger.code(), "validation-failed");
    for part in ["findings", "report"] {
        let path = format!("/v1/reconciliations/{run}/{part}");
        scene.get(&other.token, &path).await.expect(404);
        scene.get(&agent, &path).await.expect(403);
        scene.get(&auditor, &path).await.expect(200);
    }
    for refused in [&auditor, &agent] {
        scene.ask(refused, &asked).await.expect(403);
        scene.upload(refused, "a,b").await.expect(403);
    }
    // The other tenant's run of its own copy finds none of our orders.
    let own = scene.upload(&other.token, format!("{HEAD}{ROWS}")).await.expect(201).text_of("sha256");
    let run = scene.ask(&other.token, &json!({ "sha256": own, "mapping": "generic" })).await.expect(201).text_of("id");
    let end = scene.ended(&run).await;
    assert_eq!(end["ReconciliationCompleted"]["counts"], json!({"missing_here": 5, "duplicate_there": 1}));
    scene.finish().await;
}
