//! Orders, refunds, commissions and reversals over HTTP: who may, what is refused, and what reads show afterwards.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod stand;

use quotary_commands::{Context, clock};
use quotary_domain::license::LicenseTerms;
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{BatchId, Quota, Role};
use serde_json::{Value, json};
use stand::{Stand, id};

const UNKNOWN: &str = "0192f0c1-0000-7000-8000-000000000000";

/// A batch of ten licences at 10 each by the stand's agent, all issued.
async fn batch(stand: &Stand) -> BatchId {
    let commands = &stand.state.commands;
    let by = |actor| Context::of(actor, "test", clock::now());
    let quota = |amount| Quota::new(amount).unwrap();
    let (admin, agent) = (by(stand.admin), by(stand.agent));
    let details = ProjectDetails { name: "Paintbox".into(), description: None, version: None, callback_url: None };
    let project = commands.create_project(&admin, details).await.unwrap().value.after.project_id;
    let terms = LicenseTerms::usual(Some(365), 1, vec![]);
    let plan = Plan::new("Yearly".into(), quota(10), terms);
    let plan = commands.add_plan(&admin, project, plan).await.unwrap().value.plan_id;
    commands.grant_project(&admin, project, id(stand.agent), None).await.unwrap();
    commands.top_up(&admin, id(stand.agent), quota(1_000), None).await.unwrap();
    let batch = commands.request_batch(&agent, project, plan, 10).await.unwrap().value.batch_id;
    let system = Context::system(stand.admin.tenant_id, "test", clock::now());
    commands.issue_chunk(&system, batch).await.unwrap();
    batch
}

fn order(stand: &Stand, number: &str, batch: Option<BatchId>) -> Value {
    json!({
        "provider": "alipay",
        "provider_order_id": number,
        "amount": 19_900,
        "currency": "CNY",
        "paid_at": "2026-11-24T08:29:58Z",
        "agent_id": id(stand.agent),
        "batch_id": batch,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_recorded_listed_and_refunded_with_its_batch() {
    let stand = Stand::new().await;
    let batch = batch(&stand).await;
    let recorded = stand.post(stand.admin, "/v1/orders", &order(&stand, "1", Some(batch))).await.expect(201);
    let path = recorded.header("location").to_owned();
    let again = stand.post(stand.admin, "/v1/orders", &order(&stand, "1", Some(batch))).await.expect(200);
    assert_eq!(again.body["id"], recorded.body["id"]);
    let mut other = order(&stand, "1", Some(batch));
    other["amount"] = json!(1);
    stand.post(stand.admin, "/v1/orders", &other).await.refused(409, "already-exists");
    stand.post(stand.admin, "/v1/orders", &order(&stand, "2", Some(batch))).await.refused(409, "batch-has-order");
    for (field, value) in [
        ("provider", json!("Ali")),
        ("currency", json!("yuan")),
        ("amount", json!(0)),
        ("paid_at", json!("2999-01-01T00:00:00Z")),
    ] {
        let mut bad = order(&stand, "3", None);
        bad[field] = value;
        stand.post(stand.admin, "/v1/orders", &bad).await.refused(422, "validation-failed");
    }
    for actor in [stand.agent_admin, stand.agent, stand.auditor] {
        stand.post(actor, "/v1/orders", &order(&stand, "4", None)).await.refused(403, "forbidden");
        stand.post(actor, &format!("{path}/refund"), &json!({})).await.refused(403, "forbidden");
    }
    // Who sees the agent sees its orders; another tenant sees nothing and refunds nothing.
    for actor in [stand.admin, stand.agent_admin, stand.agent, stand.auditor] {
        let listed =
            stand.get(actor, "/v1/orders?provider=alipay&status=paid&from=2026-11-24T00:00:00Z").await.expect(200);
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    }
    for query in ["?provider=wechat", "?status=refunded", "?to=2026-11-24T08:29:58Z"] {
        let listed = stand.get(stand.admin, &format!("/v1/orders{query}")).await.expect(200);
        assert_eq!(listed.body["items"], json!([]), "{query}");
    }
    stand.get(stand.other_admin, &path).await.refused(404, "not-found");
    stand.post(stand.other_admin, &format!("{path}/refund"), &json!({})).await.refused(404, "not-found");
    let refund = format!("/v1/license-batches/{batch}/refund");
    stand.post(stand.admin, &refund, &json!({})).await.refused(409, "batch-has-order");

    let body = json!({ "amount": 900, "provider_refund_id": "r1", "reason": "late" });
    let part = stand.post(stand.admin, &format!("{path}/refund"), &body).await.expect(200);
    assert_eq!((&part.body["status"], &part.body["quota"]), (&json!("partly_refunded"), &Value::Null));
    let same = stand.post(stand.admin, &format!("{path}/refund"), &body).await.expect(200);
    assert_eq!(same.body["refunded_amount"], 900);
    let much = json!({ "amount": 19_001 });
    stand.post(stand.admin, &format!("{path}/refund"), &much).await.refused(422, "validation-failed");
    let rest = stand.post(stand.admin, &format!("{path}/refund"), &json!({})).await.expect(200);
    assert_eq!((&rest.body["status"], &rest.body["quota"]["amount"]), (&json!("refunded"), &json!(100)));
    stand.post(stand.admin, &format!("{path}/refund"), &json!({})).await.refused(409, "already-refunded");

    let found = stand.get(stand.agent, &path).await.expect(200);
    assert_eq!((&found.body["status"], &found.body["refunded_amount"]), (&json!("refunded"), &json!(19_900)));
    let found = stand.get(stand.agent, &format!("/v1/license-batches/{batch}")).await.expect(200);
    assert_eq!((&found.body["refunded"], &found.body["order_id"]), (&json!(100), &recorded.body["id"]));
    let balance = stand.get(stand.agent, &format!("/v1/quota/accounts/{}", id(stand.agent))).await.expect(200);
    assert_eq!(balance.body["available"], 1_000);
    let licences = stand.get(stand.agent, &format!("/v1/licenses?batch_id={batch}&limit=1")).await.expect(200);
    let licence = licences.body["items"][0]["id"].as_str().unwrap().to_owned();
    let enable = format!("/v1/licenses/{licence}/enable");
    stand.post(stand.admin, &enable, &json!({})).await.refused(409, "batch-refunded");
    // What was sold stays told: the funnel counts the licences as issued.
    let funnel = stand.get(stand.admin, "/v1/stats/funnel").await.expect(200);
    assert_eq!(funnel.body["issued"], 10);
    let kinds = stand.get(stand.admin, "/v1/stats/quota?group=month&kind=refund").await.expect(200);
    assert_eq!(kinds.body["items"][0]["received"], 100);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reseller_earns_by_the_sales_of_its_agents_and_gives_it_back_with_the_refund() {
    let stand = Stand::new().await;
    let path = format!("/v1/agents/{}/commission-rates", id(stand.agent_admin));
    let put = |actor, rates: Value| {
        let (token, body, stand, path) = (stand.token(actor), json!({ "rates": rates }).to_string(), &stand, &path);
        async move { stand.call(axum::http::Method::PUT, path, Some(&token), Some(&body)).await }
    };
    put(stand.agent_admin, json!([1])).await.refused(403, "forbidden");
    put(stand.agent, json!([1])).await.refused(403, "forbidden");
    put(stand.other_admin, json!([1])).await.refused(404, "not-found");
    put(stand.admin, json!([10_000, 1])).await.refused(422, "validation-failed");
    put(stand.admin, json!([10_001])).await.refused(422, "validation-failed");
    let set = put(stand.admin, json!([1_500])).await.expect(200);
    assert_eq!(set.body["commission_rates"], json!([1_500]));
    let seen = stand.get(stand.admin, &format!("/v1/agents/{}", id(stand.agent_admin))).await.expect(200);
    assert_eq!(seen.body["commission_rates"], json!([1_500]));

    let batch = batch(&stand).await;
    let account = format!("/v1/quota/accounts/{}", id(stand.agent_admin));
    assert_eq!(stand.get(stand.agent_admin, &account).await.expect(200).body["available"], 15);
    let statement = stand.get(stand.agent_admin, &format!("{account}/statement")).await.expect(200);
    assert_eq!(statement.body["items"][0]["kind"], "commission");
    let refund = format!("/v1/license-batches/{batch}/refund");
    let stranger = stand.account(stand.admin, "stranger", Role::AgentAdmin).await;
    stand.post(stranger, &refund, &json!({})).await.refused(404, "not-found");
    stand.post(stand.agent, &refund, &json!({})).await.refused(403, "forbidden");
    let done = stand.post(stand.agent_admin, &refund, &json!({})).await.expect(200);
    assert_eq!((&done.body["quota"]["amount"], &done.body["quota"]["commissions_returned"]), (&json!(100), &json!(15)));
    stand.post(stand.agent_admin, &refund, &json!({})).await.refused(409, "already-refunded");
    assert_eq!(stand.get(stand.agent_admin, &account).await.expect(200).body["available"], 0);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_reversed_once_and_what_can_not_be_says_why() {
    let stand = Stand::new().await;
    let batch = batch(&stand).await;
    let top_up = json!({ "agent_id": id(stand.agent), "amount": 500 });
    let made = stand.post(stand.admin, "/v1/quota/top-ups", &top_up).await.expect(201);
    let journal = made.body["id"].as_str().unwrap().to_owned();
    let reverse = |actor, journal: String, body: Value| {
        let stand = &stand;
        async move {
            let (token, head) = (stand.token(actor), stand.head().await.to_string());
            let headers = [("quotary-min-position", head.as_str())];
            let (path, body) = (format!("/v1/ledger/journals/{journal}/reverse"), body.to_string());
            stand.call_with(axum::http::Method::POST, &path, Some(&token), Some(&body), &headers).await
        }
    };
    let why = || json!({ "reason": "typed twice" });
    for actor in [stand.agent_admin, stand.agent, stand.auditor, stand.analyst] {
        reverse(actor, journal.clone(), why()).await.refused(403, "forbidden");
    }
    reverse(stand.other_admin, journal.clone(), why()).await.refused(404, "not-found");
    reverse(stand.admin, UNKNOWN.to_owned(), why()).await.refused(404, "not-found");
    reverse(stand.admin, journal.clone(), json!({ "reason": "" })).await.refused(422, "validation-failed");
    let much = json!({ "reason": "x", "amount": 501 });
    reverse(stand.admin, journal.clone(), much).await.refused(422, "validation-failed");
    let hold = batch.to_string();
    reverse(stand.admin, hold, why()).await.refused(409, "not-reversible");
    let done = reverse(stand.admin, journal.clone(), why()).await.expect(201);
    assert_eq!((&done.body["reverses"], &done.body["amount"]), (&json!(journal), &json!(500)));
    let other = json!({ "reason": "again" });
    reverse(stand.admin, journal.clone(), other).await.refused(409, "already-reversed");
    let new = done.body["journal_id"].as_str().unwrap().to_owned();
    reverse(stand.admin, new, why()).await.refused(409, "not-reversible");
    let seen = stand.get(stand.agent, &format!("/v1/quota/transfers/{journal}")).await.expect(200).body;
    assert_eq!((&seen["status"], &seen["amount"]), (&json!("reversed"), &json!(500)));
    assert_eq!(seen["reversal"], json!({ "journal_id": done.body["journal_id"], "amount": 500 }));
    let others = stand.get(stand.admin, "/v1/quota/transfers?status=completed").await.expect(200).body;
    assert!(others["items"].as_array().unwrap().iter().all(|item| item["id"] != json!(journal)), "{others}");
    let mine = stand.get(stand.admin, "/v1/quota/transfers?status=reversed").await.expect(200).body;
    assert_eq!(mine["items"].as_array().unwrap().len(), 1, "{mine}");
    let statement = format!("/v1/quota/accounts/{}/statement", id(stand.agent));
    let lines = stand.get(stand.agent, &statement).await.expect(200);
    let last = lines.body["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["kind"], &last["source_id"]), (&json!("reversal"), &json!(journal)), "{last}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_back_more_than_one_may_move_waits_for_a_second_super_admin() {
    let stand = Stand::new().await;
    let second = stand.account(stand.admin, "second", Role::SuperAdmin).await;
    let batch = batch(&stand).await;
    let top_up = json!({ "agent_id": id(stand.agent), "amount": 500 });
    let made = stand.post(stand.admin, "/v1/quota/top-ups", &top_up).await.expect(201);
    let journal = made.body["id"].as_str().unwrap().to_owned();
    let token = stand.token(stand.admin);
    let rules = json!({ "second_person_above": 99, "review_within_minutes": 60 }).to_string();
    stand.call(axum::http::Method::PUT, "/v1/risk-rules", Some(&token), Some(&rules)).await.expect(200);

    let head = stand.head().await.to_string();
    let (path, why) =
        (format!("/v1/ledger/journals/{journal}/reverse"), json!({ "reason": "typed twice" }).to_string());
    let headers = [("quotary-min-position", head.as_str())];
    let waits = stand.call_with(axum::http::Method::POST, &path, Some(&token), Some(&why), &headers).await.expect(202);
    let proposal = waits.header("location").to_owned();
    let seen = &waits.body["proposal"];
    assert_eq!((&seen["act"], &seen["subject_id"]), (&json!("reverse_journal"), &json!(journal)), "{seen}");
    assert_eq!((&seen["amount"], &seen["limit"], &seen["status"]), (&json!(500), &json!(99), &json!("open")));
    let account = format!("/v1/quota/accounts/{}", id(stand.agent));
    assert_eq!(stand.get(stand.agent, &account).await.body["available"], 1_400, "nothing has moved");

    let confirm = format!("{proposal}/confirm");
    stand.post(stand.admin, &confirm, &json!({})).await.refused(403, "second-person-required");
    for actor in [stand.agent_admin, stand.agent, stand.auditor, stand.analyst] {
        stand.post(actor, &confirm, &json!({})).await.refused(403, "forbidden");
    }
    stand.post(stand.other_admin, &confirm, &json!({})).await.refused(404, "not-found");
    stand.get(stand.other_admin, &proposal).await.refused(404, "not-found");
    let open = stand.get(second, "/v1/proposals?open=true").await.expect(200);
    assert_eq!(open.body["items"].as_array().unwrap().len(), 1, "{}", open.body);
    let done = stand.post(second, &confirm, &json!({})).await.expect(200);
    assert_eq!((&done.body["status"], &done.body["reversal"]["amount"]), (&json!("confirmed"), &json!(500)));
    assert_eq!(stand.get(stand.agent, &account).await.body["available"], 900);
    stand.post(second, &confirm, &json!({})).await.refused(409, "wrong-status");

    let refund = format!("/v1/license-batches/{batch}/refund");
    let waits = stand.post(stand.agent_admin, &refund, &json!({})).await.expect(202);
    let proposal = waits.header("location").to_owned();
    let declined = stand.post(second, &format!("{proposal}/decline"), &json!({ "reason": "sold for good" })).await;
    assert_eq!(declined.expect(200).body["status"], "declined");
    let known = stand.get(stand.auditor, &proposal).await.expect(200).body;
    assert_eq!((&known["decided_by"], &known["declined_because"]), (&json!(id(second)), &json!("sold for good")));
    assert_eq!(stand.get(stand.agent, &account).await.body["available"], 900);
    assert!(stand.get(second, "/v1/proposals?open=true").await.body["items"].as_array().unwrap().is_empty());
    stand.end().await;
}
