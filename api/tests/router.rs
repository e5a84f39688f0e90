//! Walks every route: authorisation, bad input, and the document; nothing refused is ever written.

mod stand;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use quotary_api::access::Access;
use quotary_api::openapi::document;
use quotary_api::problem::Code;
use quotary_api::route::Route;
use quotary_api::router::routes;
use quotary_domain::Role;
use serde_json::{Value, json};
use stand::{Answer, PASSWORD, Stand, id, path};
use uuid::Uuid;

const UNKNOWN: &str = "0192f0c1-0000-7000-8000-000000000000";

/// A refusal must be one that the route's documentation names.
fn documented(route: &Route, answer: &Answer) {
    let slug = answer.code();
    assert!(route.codes().iter().any(|code| code.slug() == slug), "{} answers with {slug}", route.name);
}

fn commands() -> Vec<Route> {
    routes().into_iter().filter(|route| route.is_command() && route.access != Access::Client).collect()
}

/// A body that only what it names can be wrong with.
fn good_body(route: &Route) -> Value {
    match route.name {
        "agents::create" => json!({ "username": "newcomer", "email": "newcomer@acme.example", "role": "agent" }),
        "projects::create" => json!({ "name": "Editor" }),
        "license_batches::create" => json!({ "project_id": UNKNOWN, "plan_id": UNKNOWN, "count": 1 }),
        "projects::add_plan" => json!({ "name": "Year", "duration_days": 365, "max_machines": 2, "unit_price": 10 }),
        "quota::top_up" => json!({ "agent_id": UNKNOWN, "amount": 5 }),
        "agents::set_commission_rates" => json!({ "rates": [500] }),
        "ledger::reverse_journal" => json!({ "reason": "typed twice" }),
        "orders::record" => json!({
            "provider": "alipay",
            "provider_order_id": "1",
            "amount": 5,
            "currency": "CNY",
            "paid_at": "2026-11-24T08:00:00Z",
            "agent_id": UNKNOWN,
        }),
        "quota::transfer" => json!({ "to_username": "nobody", "amount": 5 }),
        "withdrawals::request" => json!({ "amount": 5, "payee": { "bank": "First" } }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_a_token_and_a_role() {
    let stand = Stand::new().await;
    let head = stand.head().await;
    let everyone = [stand.admin, stand.agent_admin, stand.agent, stand.analyst, stand.auditor];
    for route in routes() {
        let (path, method) = (path(&route, UNKNOWN), route.method.clone());
        match route.access {
            Access::Anyone => continue,
            Access::Client => {
                let answer = stand.call(method, &path, None, Some("{}")).await.expect(401);
                documented(&route, &answer);
                continue;
            }
            Access::AnyToken | Access::Account | Access::Roles(_) => {}
        }
        let call = |token: Option<String>| {
            let (method, path, stand) = (method.clone(), path.clone(), &stand);
            async move { stand.call(method, &path, token.as_deref(), Some("{}")).await }
        };
        call(None).await.refused(401, "unauthenticated");
        call(Some("nonsense".to_owned())).await.refused(401, "unauthenticated");
        if route.access != Access::AnyToken {
            call(Some(stand.password_change_token(stand.admin))).await.refused(403, "password-change-required");
        }
        for actor in everyone {
            let allowed = match route.access {
                Access::Roles(roles) => roles.contains(&actor.role),
                _ => true,
            };
            if !allowed {
                call(Some(stand.token(actor))).await.refused(403, "forbidden");
            }
        }
    }
    assert_eq!(stand.head().await, head, "something refused was written");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_bad_bodies() {
    // A bill is no JSON; tests/bills.rs refuses its bad bodies.
    let stand = Stand::new().await;
    let token = stand.token(stand.admin);
    let head = stand.head().await;
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    for route in commands().into_iter().filter(|route| route.name != "reconciliations::upload_bill") {
        let (path, method) = (path(&route, UNKNOWN), route.method.clone());
        let call = |body: &'static str| {
            let (method, path, stand, token) = (method.clone(), path.clone(), &stand, &token);
            async move { stand.call(method, &path, Some(token), Some(body)).await }
        };
        for (body, status, code) in [
            ("{", 400, "malformed-json"),
            ("nope", 400, "malformed-json"),
            ("\u{0}", 400, "malformed-json"),
            ("[]", 400, "wrong-type"),
            ("null", 400, "wrong-type"),
            ("{\"no_such_field\": 1}", 400, "unknown-field"),
        ] {
            let answer = call(body).await;
            // A body that lacks a field may be told so first.
            if answer.code() != "validation-failed" {
                documented(&route, &answer);
                answer.refused(status, code);
            }
        }
        stand.call(method.clone(), &path, Some(&token), Some(&huge)).await.refused(413, "payload-too-large");
        let request = Request::builder().method(method.clone()).uri(&path).header("content-type", "text/plain");
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from("{}")).unwrap();
        stand.send(request).await.refused(415, "unsupported-media-type");
        if !matches!(route.access, Access::Anyone) {
            for (name, value) in [("idempotency-key", ""), ("if-match", "7"), ("x-correlation-id", "x")] {
                let body = good_body(&route).to_string();
                let headers = [(name, value)];
                let answer = stand.call_with(method.clone(), &path, Some(&token), Some(&body), &headers).await;
                // Fields that are missing are told first or later; both are right.
                if answer.code() != "validation-failed" {
                    answer.refused(400, "invalid-header");
                }
            }
        }
    }
    assert_eq!(stand.head().await, head, "something refused was written");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_and_bad_parameters_are_told() {
    let stand = Stand::new().await;
    let token = stand.token(stand.admin);
    let head = stand.head().await;
    for route in routes() {
        if matches!(route.access, Access::Anyone | Access::Client) {
            continue;
        }
        if route.path.contains('{') {
            let body = good_body(&route).to_string();
            let body = route.is_command().then_some(body.as_str());
            let answer = stand.call(route.method.clone(), &path(&route, UNKNOWN), Some(&token), body).await;
            documented(&route, &answer);
            if !["validation-failed", "invalid-parameter"].contains(&answer.code()) {
                answer.refused(404, "not-found");
            }
            for bad in ["x", "0", "%00", "%ff"] {
                let answer = stand.call(route.method.clone(), &path(&route, bad), Some(&token), body).await;
                documented(&route, &answer);
                answer.refused(400, "invalid-parameter");
            }
        }
        if !route.is_command() {
            let path = path(&route, UNKNOWN);
            let headers = [("quotary-min-position", "x")];
            let answer = stand.call_with(Method::GET, &path, Some(&token), None, &headers).await;
            assert!(["invalid-header", "invalid-parameter"].contains(&answer.code()), "{}", route.name);
        }
    }
    for path in [
        "/v1/agents?limit=0",
        "/v1/agents?limit=201",
        "/v1/agents?limit=-1",
        "/v1/agents?limit=x",
        "/v1/agents?no_such=1",
        "/v1/agents?cursor=x",
        "/v1/agents?role=king",
        "/v1/agents?search=%00",
        "/v1/projects?cursor=AAAA",
        "/v1/withdrawals?status=x",
        "/v1/orders?status=lost",
        "/v1/orders?from=x",
        "/v1/orders?cursor=x",
        "/v1/orders?provider=%00",
        "/v1/quota/transfers?agent_id=x",
        "/v1/audit/events?after=yesterday",
        "/v1/audit/events?aggregate_type=Nothing",
        "/v1/audit/events?cursor=x",
    ] {
        stand.call(Method::GET, path, Some(&token), None).await.refused(400, "invalid-parameter");
    }
    let account = format!("/v1/quota/accounts/{}", id(stand.admin));
    for query in [
        "?at=x",
        "?at=99999-01-01T00:00:00Z",
        "/statement?from=x",
        "/statement?from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        let path = format!("{account}{query}");
        stand.call(Method::GET, &path, Some(&token), None).await.refused(400, "invalid-parameter");
    }
    // A cursor of the right shape with a time that PostgreSQL does not have.
    let cursor = quotary_projections::page::encode_cursor(&("-200000-01-01T00:00:00Z", 1_i64));
    let path = format!("{account}/statement?cursor={cursor}");
    stand.get(stand.admin, &path).await.refused(400, "invalid-parameter");
    stand.call(Method::GET, "/v1/nothing", Some(&token), None).await.refused(404, "no-such-route");
    stand.call(Method::DELETE, "/v1/me", Some(&token), None).await.refused(405, "method-not-allowed");
    assert_eq!(stand.head().await, head, "something refused was written");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_not_allowed_are_pointed_at() {
    let stand = Stand::new().await;
    let agent = id(stand.agent).to_string();
    let head = stand.head().await;
    let good_agent = json!({ "username": "newcomer", "email": "n@acme.example", "role": "agent" });
    let with = |base: &Value, field: &str, value: Value| {
        let mut body = base.clone();
        body[field] = value;
        body
    };
    let top_up = json!({ "agent_id": agent, "amount": 5 });
    let transfer = json!({ "to_username": "manager", "amount": 5 });
    let withdrawal = json!({ "amount": 5, "payee": { "iban": "DE89370400440532013000" } });
    let project = json!({ "name": "Editor" });
    let mut cases = vec![];
    for (path, base) in
        [("/v1/quota/top-ups", &top_up), ("/v1/quota/transfers", &transfer), ("/v1/withdrawals", &withdrawal)]
    {
        for amount in
            [json!(0), json!(-1), json!(i64::MAX), json!(u64::MAX), json!(9_007_199_254_740_992_u64), json!(1e300)]
        {
            cases.push((path, with(base, "amount", amount), 422, "validation-failed", "/amount"));
        }
        for amount in [json!("5"), json!(1.5), json!(null), json!([5]), json!(true)] {
            cases.push((path, with(base, "amount", amount), 400, "wrong-type", "/amount"));
        }
    }
    for (field, value, status, code) in [
        ("username", json!("x"), 422, "validation-failed"),
        ("username", json!("root\u{0}x"), 422, "validation-failed"),
        ("username", json!(5), 400, "wrong-type"),
        ("email", json!("nobody"), 422, "validation-failed"),
        ("email", json!("a\u{0}@b.c"), 422, "validation-failed"),
        ("password", json!("short"), 422, "validation-failed"),
        ("role", json!("king"), 422, "validation-failed"),
        ("role", json!(1), 400, "wrong-type"),
        ("opening_quota", json!(-1), 422, "validation-failed"),
        ("must_change_password", json!("yes"), 400, "wrong-type"),
    ] {
        let pointer: &'static str = Box::leak(format!("/{field}").into_boxed_str());
        cases.push(("/v1/agents", with(&good_agent, field, value), status, code, pointer));
    }
    cases.push(("/v1/projects", with(&project, "name", json!("")), 422, "validation-failed", "/name"));
    cases.push(("/v1/projects", with(&project, "name", json!("a\u{0}")), 422, "validation-failed", "/name"));
    cases.push((
        "/v1/projects",
        with(&project, "callback_url", json!("ftp://x")),
        422,
        "validation-failed",
        "/callback_url",
    ));
    cases.push(("/v1/withdrawals", with(&withdrawal, "payee", json!({})), 422, "validation-failed", "/payee"));
    cases.push(("/v1/withdrawals", with(&withdrawal, "payee", json!({ "a": 1 })), 400, "wrong-type", "/payee/a"));
    cases.push(("/v1/quota/top-ups", with(&top_up, "note", json!("x".repeat(501))), 422, "validation-failed", "/note"));
    cases.push(("/v1/quota/top-ups", with(&top_up, "agent_id", json!("x")), 422, "validation-failed", "/agent_id"));
    for (path, body, status, code, pointer) in cases {
        let answer = stand.post(stand.admin, path, &body).await.refused(status, code);
        assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    stand.post(stand.agent, "/v1/quota/transfers", &transfer).await.refused(409, "insufficient-quota");
    stand.post(stand.agent, "/v1/withdrawals", &withdrawal).await.refused(409, "insufficient-quota");
    let to_nobody = with(&transfer, "to_username", json!("nobody"));
    stand.post(stand.admin, "/v1/quota/transfers", &to_nobody).await.refused(404, "not-found");
    let taken = with(&good_agent, "username", json!("SELLER"));
    stand.post(stand.admin, "/v1/agents", &taken).await.refused(409, "taken");
    let above = with(&good_agent, "role", json!("super_admin"));
    stand.post(stand.agent_admin, "/v1/agents", &above).await.refused(403, "forbidden");
    // Another tenant's account does not exist.
    let foreign = with(&top_up, "agent_id", json!(id(stand.agent)));
    stand.post(stand.other_admin, "/v1/quota/top-ups", &foreign).await.refused(404, "not-found");
    let disable = format!("/v1/agents/{agent}/disable");
    stand.post(stand.other_admin, &disable, &json!({})).await.refused(404, "not-found");
    stand.get(stand.other_admin, &format!("/v1/agents/{agent}")).await.refused(404, "not-found");
    stand.get(stand.other_admin, &format!("/v1/quota/accounts/{agent}")).await.refused(404, "not-found");
    assert_eq!(stand.head().await, head, "something refused was written");
    stand.end().await;
}

#[test]
fn every_route_and_code_is_in_the_document() {
    let document = serde_json::to_value(document()).unwrap();
    let mut documented = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert((method.to_uppercase(), path.clone()));
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{}", operation["operationId"]);
        }
    }
    let served: BTreeSet<_> = routes().into_iter().map(|route| (route.method.to_string(), route.path)).collect();
    assert_eq!(documented, served);
    let codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), Code::ALL.len());
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "the schema {name} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_the_figures_are_served() {
    let stand = Stand::new().await;
    stand.call(Method::GET, "/healthz", None, None).await.expect(200);
    stand.call(Method::GET, "/openapi.json", None, None).await.expect(200);
    stand.call(Method::GET, "/docs/", None, None).await.expect(200);
    stand.call(Method::GET, "/metrics", None, None).await.expect(200);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while stand.call(Method::GET, "/readyz", None, None).await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "never ready");
        tokio::task::yield_now().await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_begin_go_on_and_end() {
    let stand = Stand::new().await;
    let login = |name: &str, password: &str| {
        let body = json!({ "tenant": "acme", "username": name, "password": password }).to_string();
        let stand = &stand;
        async move { stand.call(Method::POST, "/v1/auth/login", None, Some(&body)).await }
    };
    let without_tenant = json!({ "username": "root", "password": PASSWORD }).to_string();
    stand.call(Method::POST, "/v1/auth/login", None, Some(&without_tenant)).await.refused(422, "validation-failed");
    login("root\u{0}", PASSWORD).await.refused(422, "validation-failed");
    login("nobody", PASSWORD).await.refused(401, "wrong-credentials");
    let session = login("seller@acme.example", PASSWORD).await.expect(200).body;
    assert_eq!(session["expires_in"], 1800);
    let access = session["access_token"].as_str().unwrap();
    let me = stand.call(Method::GET, "/v1/me", Some(access), None).await.expect(200).body;
    assert_eq!((&me["account"]["username"], &me["role"]), (&json!("seller"), &json!("agent")));
    let token = json!({ "refresh_token": session["refresh_token"] }).to_string();
    let next = stand.call(Method::POST, "/v1/auth/refresh", None, Some(&token)).await.expect(200).body;
    // The used one ends the family.
    stand.call(Method::POST, "/v1/auth/refresh", None, Some(&token)).await.refused(401, "invalid-refresh-token");
    let token = json!({ "refresh_token": next["refresh_token"] }).to_string();
    stand.call(Method::POST, "/v1/auth/refresh", None, Some(&token)).await.refused(401, "invalid-refresh-token");
    stand.call(Method::POST, "/v1/auth/logout", None, Some(&token)).await.expect(204);

    // A first login must set another password.
    let body = json!({ "username": "fresh", "email": "fresh@acme.example", "role": "agent" });
    let created = stand.post(stand.admin, "/v1/agents", &body).await.expect(201).body;
    let first = created["initial_password"].as_str().unwrap();
    let session = login("fresh", first).await.expect(200).body;
    assert_eq!(session["must_change_password"], true);
    let access = session["access_token"].as_str().unwrap();
    stand.call(Method::GET, "/v1/agents", Some(access), None).await.refused(403, "password-change-required");
    stand.call(Method::GET, "/v1/me", Some(access), None).await.expect(200);
    let change = |old: &str, new: &str| json!({ "current_password": old, "new_password": new }).to_string();
    let path = "/v1/auth/password/change";
    let weak = stand.call(Method::POST, path, Some(access), Some(&change(first, "short"))).await;
    assert_eq!(weak.refused(422, "validation-failed").body["errors"][0]["pointer"], "/new_password");
    let wrong = change("not the password", "another good one");
    stand.call(Method::POST, path, Some(access), Some(&wrong)).await.refused(422, "wrong-password");
    let right = change(first, "another good one");
    stand.call(Method::POST, path, Some(access), Some(&right)).await.expect(204);
    stand.call(Method::GET, "/v1/me", Some(access), None).await.refused(401, "unauthenticated");
    let session = login("fresh", "another good one").await.expect(200).body;
    let access = session["access_token"].as_str().unwrap();
    stand.call(Method::GET, "/v1/agents", Some(access), None).await.expect(200);

    // Disabling stops every token at once, and enabling does not bring them back.
    let account = format!("/v1/agents/{}", created["id"].as_str().unwrap());
    stand.post(stand.admin, &format!("{account}/disable"), &json!({})).await.expect(200);
    stand.call(Method::GET, "/v1/me", Some(access), None).await.refused(401, "unauthenticated");
    login("fresh", "another good one").await.refused(401, "wrong-credentials");
    stand.post(stand.admin, &format!("{account}/enable"), &json!({})).await.expect(200);
    stand.call(Method::GET, "/v1/me", Some(access), None).await.refused(401, "unauthenticated");

    for _ in 0..5 {
        login("fresh", "wrong").await.refused(401, "wrong-credentials");
    }
    let locked = login("fresh", "another good one").await.refused(429, "account-locked");
    assert!(!locked.header("retry-after").is_empty());
    stand.post(stand.admin, &format!("{account}/unlock"), &json!({})).await.expect(200);
    login("fresh", "another good one").await.expect(200);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_from_a_project_to_a_paid_withdrawal() {
    let stand = Stand::new().await;
    let (admin, manager, seller) = (stand.admin, stand.agent_admin, stand.agent);
    let created = stand.post(admin, "/v1/projects", &json!({ "name": "Editor" })).await.expect(201);
    assert!(created.body["api_secret"].as_str().unwrap().starts_with("qs_"));
    let project = created.header("location").to_owned();
    let etag = created.header("etag").to_owned();
    let patch = json!({ "description": "edits", "version": null }).to_string();
    let token = stand.token(admin);
    let headers = [("if-match", etag.as_str())];
    let changed = stand.call_with(Method::PATCH, &project, Some(&token), Some(&patch), &headers).await.expect(200);
    assert_ne!(changed.header("etag"), etag);
    let again = json!({ "description": "edits more" }).to_string();
    let stale = stand.call_with(Method::PATCH, &project, Some(&token), Some(&again), &headers).await;
    stale.refused(412, "precondition-failed");
    let plan = json!({ "name": "Year", "duration_days": 365, "max_machines": 2, "unit_price": 10, "features": ["a"] });
    stand.post(admin, &format!("{project}/plans"), &plan).await.expect(201);
    stand.get(seller, &project).await.refused(404, "not-found");
    let grant = format!("{project}/grants/{}", id(seller));
    stand.call(Method::PUT, &grant, Some(&stand.token(manager)), None).await.expect(200);
    assert_eq!(stand.get(seller, &project).await.expect(200).body["description"], "edits");
    assert_eq!(stand.get(seller, &format!("{project}/plans")).await.body["items"][0]["features"], json!(["a"]));
    assert_eq!(stand.get(manager, &format!("{project}/grants")).await.body["items"].as_array().unwrap().len(), 1);
    stand.call(Method::DELETE, &grant, Some(&stand.token(manager)), None).await.expect(204);
    stand.get(seller, &project).await.refused(404, "not-found");

    let top_up = json!({ "agent_id": id(manager), "amount": 1000, "note": "start" });
    let headers = [("idempotency-key", "top-up-1")];
    let text = top_up.to_string();
    let first =
        stand.call_with(Method::POST, "/v1/quota/top-ups", Some(&token), Some(&text), &headers).await.expect(201);
    let repeat =
        stand.call_with(Method::POST, "/v1/quota/top-ups", Some(&token), Some(&text), &headers).await.expect(201);
    assert_eq!((&repeat.body, repeat.header("idempotency-replayed")), (&first.body, "true"));
    assert_eq!(repeat.header("quotary-position"), first.header("quotary-position"));
    let other = json!({ "agent_id": id(manager), "amount": 1001 }).to_string();
    let reused = stand.call_with(Method::POST, "/v1/quota/top-ups", Some(&token), Some(&other), &headers).await;
    reused.refused(422, "idempotency-key-reused");
    let transfer = json!({ "to_username": "seller", "amount": 400 });
    let sent = stand.post(manager, "/v1/quota/transfers", &transfer).await.expect(201);
    assert_eq!(sent.body["status"], "completed");
    let location = sent.header("location").to_owned();
    assert_eq!(stand.get(seller, &location).await.expect(200).body["amount"], 400);
    stand.get(stand.other_admin, &location).await.refused(404, "not-found");
    let release = stand.post(manager, &format!("{location}/release"), &json!({ "amount": 1 })).await;
    release.refused(409, "transfer-not-suspended");
    assert_eq!(stand.get(seller, "/v1/me").await.body["quota"]["available"], 400);

    let payee = json!({ "bank": "First", "account_number": "6222021234567890" });
    let request = json!({ "amount": 150, "payee": payee });
    let requested = stand.post(seller, "/v1/withdrawals", &request).await.expect(201);
    assert_eq!(requested.body["payee"]["account_number"], "****7890");
    let withdrawal = requested.header("location").to_owned();
    assert_eq!(stand.get(manager, &withdrawal).await.body["payee"], payee);
    assert_eq!(stand.get(stand.auditor, &withdrawal).await.body["payee"]["account_number"], "****7890");
    stand.post(manager, &format!("{withdrawal}/mark-paid"), &json!({})).await.refused(409, "wrong-status");
    let own = stand.post(manager, "/v1/withdrawals", &json!({ "amount": 1, "payee": payee })).await.expect(201);
    let own = own.header("location").to_owned();
    stand.post(manager, &format!("{own}/approve"), &json!({})).await.expect(403);
    stand.post(admin, &format!("{own}/refuse"), &json!({ "reason": "no" })).await.expect(200);
    stand.post(manager, &format!("{withdrawal}/approve"), &json!({})).await.expect(200);
    let paid = stand.post(manager, &format!("{withdrawal}/mark-paid"), &json!({ "reference": "42" })).await.expect(200);
    assert_eq!(paid.body["status"], "paid");
    let account = format!("/v1/quota/accounts/{}", id(seller));
    let balance = stand.get(manager, &account).await.expect(200).body;
    assert_eq!((&balance["available"], &balance["held"]), (&json!(250), &json!(0)));
    let position = sent.header("quotary-position");
    let then = stand.get(manager, &format!("{account}?at={position}")).await.expect(200).body;
    assert_eq!(then["available"], 400);
    let statement = stand.get(seller, &format!("{account}/statement")).await.expect(200).body;
    assert_eq!((&statement["opening"]["available"], &statement["closing"]["available"]), (&json!(0), &json!(250)));
    stand.get(seller, &format!("/v1/quota/accounts/{}", id(manager))).await.refused(404, "not-found");

    let events = stand.get(stand.auditor, "/v1/audit/events?aggregate_type=Withdrawal&limit=2").await.expect(200).body;
    assert_eq!(events["items"].as_array().unwrap().len(), 2);
    let next = format!("/v1/audit/events?aggregate_type=Withdrawal&cursor={}", events["next_cursor"].as_str().unwrap());
    let rest = stand.get(stand.auditor, &next).await.expect(200).body;
    assert!(rest["items"][0]["position"].as_u64() > events["items"][1]["position"].as_u64());
    assert!(!rest.to_string().contains("6222021234567890"));
    let visible = |answer: Answer| answer.body["items"].as_array().unwrap().len();
    assert_eq!(visible(stand.get(admin, "/v1/agents").await), 5);
    assert_eq!(visible(stand.get(manager, "/v1/agents").await), 2);
    assert_eq!(visible(stand.get(seller, "/v1/agents").await), 1);
    assert_eq!(visible(stand.get(stand.other_admin, "/v1/agents").await), 1);
    let _: Uuid = first.body["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(admin.role, Role::SuperAdmin);
    stand.end().await;
}
