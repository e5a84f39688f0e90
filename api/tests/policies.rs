//! The rules of a licence's use, as client software, agents and vendors meet them over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod license_fixture;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use license_fixture::{Answer, Fixture, Tenant, TestProject, nonce, signed};
use quotary_domain::{Actor, LicenseId, PlanId, Role};
use serde_json::{Value, json};
use sha2::Digest as _;

const VERIFY: &str = "/v1/client/licenses/verify";
const ACTIVATE: &str = "/v1/client/licenses/activate";
const HEARTBEAT: &str = "/v1/client/licenses/heartbeat";
const USAGE: &str = "/v1/client/licenses/usage";

/// A project whose plan has these rules, with `count` licences.
struct Shop {
    api: Fixture,
    tenant: Tenant,
    project: TestProject,
    keys: Vec<(LicenseId, String)>,
}

impl Shop {
    async fn with(plan: Value, count: u32) -> Self {
        let api = Fixture::new().await;
        let tenant = api.tenant("acme").await;
        let mut project = api.project(tenant.admin, "editor").await;
        let path = format!("/v1/projects/{}/plans", project.id);
        let made = api.post(tenant.admin, &path, &plan).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        project.plan_id = PlanId(made.json()["id"].as_str().unwrap().parse().unwrap());
        let (batch, position) = api.batch(tenant.admin, &project, count).await;
        let keys = api.keys(tenant.admin, batch, position).await;
        Self { api, tenant, project, keys }
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.api.call(&self.project.credentials, path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {:?}", answer.body);
        answer.json()
    }

    async fn at(&self, path: &str, fingerprint: &str) -> Value {
        self.call(path, &json!({"key": self.keys[0].1, "machine": {"fingerprint": fingerprint}})).await
    }

    async fn change(&self, by: Actor, step: &str, body: &Value) -> Answer {
        self.api.post(by, &format!("/v1/licenses/{}/{step}", self.keys[0].0), body).await
    }
}

fn plan(policy: &Value) -> Value {
    json!({"name": "p", "duration_days": 30, "max_machines": 2, "unit_price": 0, "features": ["pro", "seats"],
           "policy": policy})
}

fn code(answer: &Value) -> (bool, &str) {
    (answer["valid"].as_bool().unwrap(), answer["code"].as_str().unwrap())
}

#[tokio::test]
async fn a_floating_licence_keeps_places_by_heartbeats_that_write_little() {
    let policy = json!({"heartbeat": {"interval_seconds": 600}});
    let shop = Shop::with(plan(&policy), 1).await;
    let first = shop.at(VERIFY, "m1").await;
    assert_eq!((code(&first), &first["license"]["heartbeat_seconds"]), ((true, "VALID"), &json!(600)));
    assert!(first["held_until"].is_string(), "{first}");
    assert_eq!(code(&shop.at(VERIFY, "m2").await), (true, "VALID"));
    assert_eq!(code(&shop.at(VERIFY, "m3").await), (false, "TOO_MANY_MACHINES"));
    let events: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&shop.api.pool).await.unwrap();
    let beat = shop.at(HEARTBEAT, "m1").await;
    assert_eq!((code(&beat), &beat["held_until"]), ((true, "VALID"), &first["held_until"]));
    assert_eq!(code(&shop.at(HEARTBEAT, "m9").await), (false, "FINGERPRINT_SCOPE_MISMATCH"));
    let after: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&shop.api.pool).await.unwrap();
    assert_eq!(after, events, "half of the lease is left, so nothing is written");
    shop.api.finish().await;
}

/// The claims of a lease, if it is one of the project's published keys.
async fn claims(shop: &Shop, lease: &str) -> Value {
    use ed25519_dalek::Verifier as _;
    let path = format!("/.well-known/quotary/{}/jwks.json", shop.project.id);
    let keys = shop.api.send(Request::get(path).body(Body::empty()).unwrap()).await.json();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (signed, signature) = lease.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("quotary-lease+jwt")));
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let key = decode(key["x"].as_str().unwrap());
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.as_slice().try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&decode(signature)).unwrap();
    key.verify(signed.as_bytes(), &signature).unwrap();
    serde_json::from_slice(&decode(claims)).unwrap()
}

#[tokio::test]
async fn a_positive_answer_has_a_lease_that_published_keys_vouch_for() {
    let shop = Shop::with(plan(&json!({"trust_seconds": 3_600})), 1).await;
    assert!(shop.at(HEARTBEAT, "m1").await["lease"].is_null(), "a refusal is not to be trusted for an hour");
    let first = shop.at(VERIFY, "m1").await;
    let lease = first["lease"].as_str().unwrap();
    let claims = claims(&shop, lease).await;
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!(shop.keys[0].0), &json!(shop.project.id)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_600);
    assert_eq!(claims["fpr"], json!(URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(b"m1"))));
    assert_eq!(shop.at(VERIFY, "m1").await["lease"], first["lease"], "it is not signed again each time");
    assert_ne!(shop.at(VERIFY, "m2").await["lease"], first["lease"]);
    shop.api.finish().await;
    let floating = json!({"heartbeat": {"interval_seconds": 600}});
    let shop = Shop::with(plan(&floating), 1).await;
    let answer = shop.at(VERIFY, "m1").await;
    let claims = self::claims(&shop, answer["lease"].as_str().unwrap()).await;
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 600, "{claims}");
    shop.api.finish().await;
    let shop = Shop::with(plan(&json!({"trust_seconds": 0})), 1).await;
    assert!(shop.at(VERIFY, "m1").await.get("lease").is_none());
    shop.api.finish().await;
}

#[tokio::test]
async fn a_thousand_machines_at_once_get_exactly_the_places_there_are() {
    let mut three = plan(&json!({}));
    three["max_machines"] = json!(3);
    let shop = std::sync::Arc::new(Shop::with(three, 1).await);
    let mut calls = tokio::task::JoinSet::new();
    for machine in 0..1_000 {
        let shop = shop.clone();
        calls.spawn(async move {
            let answer = shop.at(VERIFY, &format!("machine {machine}")).await;
            (answer["valid"].as_bool().unwrap(), answer["code"].as_str().unwrap().to_owned())
        });
    }
    let answers = calls.join_all().await;
    let valid = answers.iter().filter(|(valid, _)| *valid).count();
    assert_eq!(valid, 3);
    assert!(answers.iter().all(|(valid, code)| *valid || code == "TOO_MANY_MACHINES"), "{answers:?}");
    let bound: i64 =
        sqlx::query_scalar("select count(*) from events where event_type in ('LicenseActivated', 'MachineBound')")
            .fetch_one(&shop.api.pool)
            .await
            .unwrap();
    assert_eq!(bound, 3);
    std::sync::Arc::into_inner(shop).unwrap().api.finish().await;
}

#[tokio::test]
async fn a_look_binds_nothing_and_missing_features_are_told_before_a_machine_is_bound() {
    let shop = Shop::with(plan(&json!({"feature_values": {"seats": 5}})), 1).await;
    let key = &shop.keys[0].1;
    let ask = |extra: Value| {
        let mut body = json!({"key": key, "machine": {"fingerprint": "m1"}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let looked = shop.call(VERIFY, &ask(json!({"bind": false}))).await;
    assert_eq!(code(&looked), (false, "FINGERPRINT_SCOPE_MISMATCH"));
    let missing = shop.call(VERIFY, &ask(json!({"features": ["pro", "cloud"]}))).await;
    assert_eq!((code(&missing), &missing["license"]["machines"]), ((false, "ENTITLEMENTS_MISSING"), &json!(0)));
    let given = shop.call(VERIFY, &ask(json!({"features": ["pro", "seats"]}))).await;
    assert_eq!((code(&given), &given["license"]["feature_values"]["seats"]), ((true, "VALID"), &json!(5)));
    assert_eq!(code(&shop.call(VERIFY, &ask(json!({"bind": false}))).await), (true, "VALID"));
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let refused = shop.api.call(&shop.project.credentials, VERIFY, &ask(json!({"features": many}))).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed"));
    shop.api.finish().await;
}

#[tokio::test]
async fn an_activation_ahead_of_use_leaves_the_days_for_the_first_use() {
    let shop = Shop::with(plan(&json!({"valid_from": "first_use"})), 1).await;
    let activated = shop.at(ACTIVATE, "m1").await;
    assert_eq!((code(&activated), &activated["license"]["status"]), ((true, "VALID"), &json!("active")));
    assert!(activated["license"]["expires_at"].is_null(), "{activated}");
    assert!(shop.at(ACTIVATE, "m1").await["license"]["expires_at"].is_null());
    let used = shop.at(VERIFY, "m1").await;
    assert!((30 * 86_400 - 60..=30 * 86_400).contains(&used["remaining_seconds"].as_i64().unwrap()), "{used}");
    let again = shop.at(VERIFY, "m1").await;
    assert_eq!(again["license"]["expires_at"], used["license"]["expires_at"]);
    shop.api.finish().await;
}

#[tokio::test]
async fn a_machine_is_known_by_its_components_and_one_too_many_is_flagged() {
    let shop = Shop::with(plan(&json!({"matching": "two", "overage": "allow"})), 1).await;
    let on = |fingerprint: &str, disk: &str| {
        json!({"key": shop.keys[0].1, "machine": {"fingerprint": fingerprint,
               "components": {"mac": "aa", "board": "b1", "disk": disk}}})
    };
    assert_eq!(code(&shop.call(VERIFY, &on("m1", "d1")).await), (true, "VALID"));
    let changed = shop.call(VERIFY, &on("m1 with another disk", "d2")).await;
    assert_eq!((code(&changed), &changed["license"]["machines"]), ((true, "VALID"), &json!(1)));
    assert_eq!(code(&shop.at(VERIFY, "m2").await), (true, "VALID"));
    let third = shop.at(VERIFY, "m3").await;
    assert_eq!((code(&third), &third["license"]["machines"]), ((true, "TOO_MANY_MACHINES"), &json!(3)));
    assert_eq!(code(&shop.at(VERIFY, "m1 with another disk").await), (true, "TOO_MANY_MACHINES"));
    shop.api.finish().await;
}

#[tokio::test]
async fn usage_is_counted_once_for_a_report_and_never_beyond_the_limit() {
    let shop = Shop::with(plan(&json!({"meters": {"pages": {"limit": 10}, "api": {}}})), 1).await;
    let report = |id: &str, meter: &str, amount: u64| json!({"key": shop.keys[0].1, "report_id": id, "meter": meter, "amount": amount});
    let first = shop.call(USAGE, &report("r1", "pages", 7)).await;
    assert_eq!((&first["used"], &first["limit"], &first["replayed"]), (&json!(7), &json!(10), &json!(false)));
    let again = shop.call(USAGE, &report("r1", "pages", 7)).await;
    assert_eq!((&again["used"], &again["replayed"]), (&json!(7), &json!(true)));
    let refused = async |body: Value| {
        let answer = shop_call(&shop.api, &shop.project, &body).await;
        (answer.status.as_u16(), answer.code())
    };
    assert_eq!(refused(report("r1", "pages", 8)).await, (422, "idempotency-key-reused".to_owned()));
    assert_eq!(refused(report("r2", "pages", 4)).await, (409, "usage-limit-reached".to_owned()));
    assert_eq!(refused(report("r3", "none", 1)).await, (422, "validation-failed".to_owned()));
    assert_eq!(refused(report("", "pages", 1)).await, (422, "validation-failed".to_owned()));
    assert_eq!(refused(report("r4", "pages", 0)).await, (422, "validation-failed".to_owned()));
    assert_eq!(shop_call(&shop.api, &shop.project, &report("r5", "pages", 3)).await.json()["used"], json!(10));
    let endless = shop_call(&shop.api, &shop.project, &report("r1x", "api", 1_000_000)).await.json();
    assert_eq!((&endless["used"], endless["limit"].is_null()), (&json!(1_000_000), true));
    shop.api.finish().await;
}

async fn shop_call(api: &Fixture, project: &TestProject, body: &Value) -> Answer {
    api.send(signed(&project.credentials, USAGE, body, &nonce())).await
}

#[tokio::test]
async fn a_licence_keeps_the_version_of_its_plan_until_it_is_moved() {
    let shop = Shop::with(plan(&json!({})), 1).await;
    let boss = shop.tenant.admin;
    assert_eq!(code(&shop.at(VERIFY, "m1").await), (true, "VALID"));
    let path = format!("/v1/projects/{}/plans/{}", shop.project.id, shop.project.plan_id);
    let patched = patch(&shop.api, boss, &path, &json!({"features": ["pro", "cloud"], "unit_price": 5})).await;
    assert_eq!((patched.status, &patched.json()["version"]), (StatusCode::OK, &json!(2)), "{:?}", patched.body);
    let renamed = patch(&shop.api, boss, &path, &json!({"name": "q"})).await;
    assert_eq!(renamed.json()["version"], json!(2), "a name is nothing that was sold");
    assert_eq!(shop.at(VERIFY, "m1").await["license"]["features"], json!(["pro", "seats"]));
    let agent = shop.api.account(boss, "agent", Role::Agent).await;
    let to = json!({"plan_id": shop.project.plan_id});
    assert_eq!(shop.change(agent, "move", &to).await.status, StatusCode::FORBIDDEN);
    let moved = shop.change(boss, "move", &to).await;
    assert_eq!((moved.status, &moved.json()["plan_version"]), (StatusCode::OK, &json!(2)), "{:?}", moved.body);
    assert_eq!(shop.at(VERIFY, "m1").await["license"]["features"], json!(["pro", "cloud"]));
    let position: u64 = moved.header("quotary-position").parse().unwrap();
    let shown = shop.api.get_at(boss, &format!("/v1/licenses/{}", shop.keys[0].0), position).await.json();
    assert_eq!((&shown["plan_version"], &shown["features"]), (&json!(2), &json!(["pro", "cloud"])));
    let unknown = shop.change(boss, "move", &json!({"plan_id": shop.project.id})).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    let retired = patch(&shop.api, boss, &path, &json!({"retired": true})).await;
    assert_eq!(retired.json()["retired"], json!(true));
    let batch = json!({"project_id": shop.project.id, "plan_id": shop.project.plan_id, "count": 1});
    let refused = shop.api.post(boss, "/v1/license-batches", &batch).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "plan-retired"));
    shop.api.finish().await;
}

async fn patch(api: &Fixture, by: Actor, path: &str, body: &Value) -> Answer {
    let request = Request::patch(path)
        .header("authorization", format!("Bearer {}", api.token(by)))
        .header("content-type", "application/json");
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_new_holder_brings_new_machines_as_often_as_the_terms_allow() {
    let shop = Shop::with(plan(&json!({"max_transfers": 1, "unbinding": {"max": 1, "pause_seconds": 0}})), 1).await;
    let boss = shop.tenant.admin;
    assert_eq!(code(&shop.at(VERIFY, "m1").await), (true, "VALID"));
    let done = shop.change(boss, "transfer", &json!({"holder": "Søren, Oslo"})).await;
    assert_eq!((done.status, &done.json()["machines"]), (StatusCode::OK, &json!(0)), "{:?}", done.body);
    let position: u64 = done.header("quotary-position").parse().unwrap();
    let shown = shop.api.get_at(boss, &format!("/v1/licenses/{}", shop.keys[0].0), position).await.json();
    assert_eq!((&shown["holder"], &shown["transfers"]), (&json!("Søren, Oslo"), &json!(1)));
    let clear: i64 = sqlx::query_scalar("select count(*) from events where payload::text like '%Oslo%'")
        .fetch_one(&shop.api.pool)
        .await
        .unwrap();
    assert_eq!(clear, 0, "the holder stands nowhere in the clear");
    let again = shop.change(boss, "transfer", &json!({"holder": null})).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "limit-reached"));
    assert_eq!(code(&shop.at(VERIFY, "m2").await), (true, "VALID"));
    assert_eq!(shop.change(boss, "unbind", &json!({})).await.status, StatusCode::OK);
    assert_eq!(code(&shop.at(VERIFY, "m2").await), (true, "VALID"));
    assert_eq!(shop.change(boss, "unbind", &json!({})).await.code(), "limit-reached");
    shop.api.finish().await;
}

#[tokio::test]
async fn rules_out_of_their_limits_are_named_and_nothing_changes() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let path = format!("/v1/projects/{}/plans", project.id);
    for (policy, pointer) in [
        (json!({"heartbeat": {"interval_seconds": 1}}), "/policy/heartbeat/interval_seconds"),
        (json!({"feature_values": {"other": true}}), "/policy/feature_values"),
        (json!({"unbinding": {"max": 101}}), "/policy/unbinding"),
        (json!({"max_transfers": 101}), "/policy/max_transfers"),
        (json!({"meters": {"": {}}}), "/policy/meters"),
        (json!({"trust_seconds": 31_536_001}), "/policy/trust_seconds"),
    ] {
        let refused = api.post(tenant.admin, &path, &plan(&policy)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{policy} {:?}", refused.body);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{:?}", refused.body);
    }
    for policy in [json!({"matching": "some"}), json!({"unknown": 1}), json!({"heartbeat": {}}), json!([])] {
        let refused = api.post(tenant.admin, &path, &plan(&policy)).await;
        assert!(refused.status.is_client_error(), "{policy} {:?}", refused.body);
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&api.pool).await.unwrap();
    let plans = api.get_at(tenant.admin, &path, head.cast_unsigned()).await.json();
    assert_eq!(plans["items"].as_array().map(Vec::len), Some(1), "{plans}");
    api.finish().await;
}

#[tokio::test]
async fn a_refusal_is_explained_by_its_checks_also_as_it_was_in_the_past() {
    let shop = Shop::with(plan(&json!({})), 1).await;
    let boss = shop.tenant.admin;
    let ask = |extra: Value| {
        let mut body = json!({"machine": {"fingerprint": "m9"}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let failed = |answer: &Value| {
        let checks = answer["checks"].as_array().unwrap();
        checks.iter().find(|check| check["outcome"] == "failed").map_or(Value::Null, |check| check["check"].clone())
    };
    let first = shop.change(boss, "explain", &ask(json!({}))).await.json();
    assert_eq!(
        (code(&first), failed(&first), first["checks"].as_array().unwrap().len()),
        ((true, "VALID"), Value::Null, 8)
    );
    let lacks = shop.change(boss, "explain", &ask(json!({"features": ["cloud"]}))).await.json();
    assert_eq!((code(&lacks), failed(&lacks)), ((false, "ENTITLEMENTS_MISSING"), json!("features")));
    let unbound = shop.change(boss, "explain", &ask(json!({"bind": false}))).await.json();
    assert_eq!((code(&unbound), failed(&unbound)), ((false, "FINGERPRINT_SCOPE_MISMATCH"), json!("machine")));
    for machine in ["m1", "m2"] {
        shop.at(VERIFY, machine).await;
    }
    let full = shop.change(boss, "explain", &ask(json!({}))).await.json();
    assert_eq!((code(&full), failed(&full)), (code(&shop.at(VERIFY, "m9").await), json!("places")));
    let before: String = sqlx::query_scalar(
        "select to_char(max(recorded_at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from events",
    )
    .fetch_one(&shop.api.pool)
    .await
    .unwrap();
    let events: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&shop.api.pool).await.unwrap();
    assert_eq!(shop.change(boss, "revoke", &json!({})).await.status, StatusCode::OK);
    let revoked = shop.change(boss, "explain", &ask(json!({}))).await.json();
    assert_eq!((code(&revoked), failed(&revoked)), ((false, "BANNED"), json!("revocation")));
    assert_eq!(revoked["checks"][7], json!({"check": "places", "outcome": "skipped", "detail": null}));
    let then = shop.change(boss, "explain", &ask(json!({"at": before}))).await.json();
    assert_eq!((code(&then), failed(&then)), ((false, "TOO_MANY_MACHINES"), json!("places")));
    let never = shop.change(boss, "explain", &ask(json!({"at": "2001-01-01T00:00:00Z"}))).await;
    assert_eq!(never.status, StatusCode::NOT_FOUND);
    let stranger = shop.api.account(boss, "stranger", Role::Agent).await;
    let hidden = shop.api.post(stranger, &format!("/v1/licenses/{}/explain", shop.keys[0].0), &ask(json!({}))).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let after: i64 = sqlx::query_scalar("select count(*) from events where event_type = 'MachineBound'")
        .fetch_one(&shop.api.pool)
        .await
        .unwrap();
    assert_eq!((after, events > 0), (1, true), "asking binds nothing");
    shop.api.finish().await;
}
