//! The calls of client software against a real database: who is believed, what is answered, and from where.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod license_fixture;

use axum::body::Body;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use license_fixture::{Answer, Fixture, TestProject, context, nonce, signed};
use quotary_api::client_signature::verify_response;
use quotary_commands::clock;
use quotary_domain::LicenseId;
use serde_json::{Value, json};

const VERIFY: &str = "/v1/client/licenses/verify";

/// A project with `count` licences.
async fn project_with_keys(
    api: &Fixture,
    count: u32,
) -> (license_fixture::Tenant, TestProject, Vec<(LicenseId, String)>) {
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let (batch, position) = api.batch(tenant.admin, &project, count).await;
    let keys = api.keys(tenant.admin, batch, position).await;
    (tenant, project, keys)
}

fn body(key: &str) -> Value {
    json!({"key": key, "machine": {"fingerprint": "m1"}})
}

fn check_signed(answer: &Answer, project: &TestProject, nonce: &str) {
    let public = STANDARD.decode(&project.state.signing_keys.ed25519.as_ref().unwrap().public_key).unwrap();
    let key = VerifyingKey::from_bytes(public.as_slice().try_into().unwrap()).unwrap();
    let now = clock::now().timestamp();
    verify_response(answer.status, &answer.headers, &answer.body, &key, nonce, now).unwrap();
}

#[tokio::test]
async fn first_use_activates_and_binds_and_the_next_uses_come_from_memory() {
    let api = Fixture::new().await;
    let (_, project, keys) = project_with_keys(&api, 1).await;
    let first = api.verify(&project.credentials, &keys[0].1, "m1").await;
    assert_eq!((first["valid"].as_bool(), first["code"].as_str()), (Some(true), Some("VALID")), "{first}");
    assert_eq!(first["license"]["status"], "active");
    assert_eq!(first["license"]["machines"], 1);
    assert_eq!(first["license"]["max_machines"], 2);
    assert_eq!(first["license"]["features"], json!(["pro"]));
    let remaining = first["remaining_seconds"].as_i64().unwrap();
    assert!((30 * 86_400 - 60..=30 * 86_400).contains(&remaining), "{remaining}");
    let events = event_count(&api).await;
    let typed = keys[0].1.to_lowercase().replace('-', " ");
    let second = api.verify(&project.credentials, &typed, "m1").await;
    assert_eq!(second["license"], first["license"]);
    assert_eq!(event_count(&api).await, events, "nothing is written");
    api.finish().await;
}

async fn event_count(api: &Fixture) -> i64 {
    sqlx::query_scalar("select count(*) from events").fetch_one(&api.pool).await.unwrap()
}

#[tokio::test]
async fn a_machine_too_many_is_refused_and_a_place_given_back_is_free_again() {
    let api = Fixture::new().await;
    let (_, project, keys) = project_with_keys(&api, 1).await;
    let key = &keys[0].1;
    for machine in ["m1", "m2"] {
        assert_eq!(api.verify(&project.credentials, key, machine).await["code"], "VALID");
    }
    let third = api.verify(&project.credentials, key, "m3").await;
    assert_eq!((third["valid"].as_bool(), third["code"].as_str()), (Some(false), Some("TOO_MANY_MACHINES")), "{third}");
    let leave = json!({"key": key, "machine": {"fingerprint": "m1"}});
    let left = api.call(&project.credentials, "/v1/client/licenses/deactivate", &leave).await;
    assert_eq!(left.status, StatusCode::OK, "{:?}", left.body);
    assert_eq!(left.json()["license"]["bindings"][0]["name"], "büro 1");
    let again = api.call(&project.credentials, "/v1/client/licenses/deactivate", &leave).await;
    assert!(again.status.is_client_error(), "{:?}", again.body);
    assert_eq!(api.verify(&project.credentials, key, "m3").await["code"], "VALID");
    let shown = api.call(&project.credentials, "/v1/client/licenses/query", &json!({"key": key})).await.json();
    assert_eq!(shown["license"]["bindings"].as_array().unwrap().len(), 2, "{shown}");
    api.finish().await;
}

#[tokio::test]
async fn a_replayed_nonce_and_a_tampered_body_are_refused() {
    let api = Fixture::new().await;
    let (_, project, keys) = project_with_keys(&api, 1).await;
    let used = nonce();
    let request = || signed(&project.credentials, VERIFY, &body(&keys[0].1), &used);
    assert_eq!(api.send(request()).await.status, StatusCode::OK);
    let replayed = api.send(request()).await;
    assert_eq!((replayed.status, replayed.code().as_str()), (StatusCode::UNAUTHORIZED, "nonce-replayed"));
    check_signed(&replayed, &project, &used);
    let (parts, _) = signed(&project.credentials, VERIFY, &body(&keys[0].1), &nonce()).into_parts();
    let tampered = axum::http::Request::from_parts(parts, Body::from(body("other").to_string()));
    let refused = api.send(tampered).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "content-digest-mismatch"));
    let mut stranger = project.credentials.clone();
    stranger.api_secret.push('x');
    let refused = api.call(&stranger, VERIFY, &body(&keys[0].1)).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "signature-invalid"));
    stranger.api_key_id.0.push('x');
    let refused = api.call(&stranger, VERIFY, &body(&keys[0].1)).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "api-key-unknown"));
    api.finish().await;
}

#[tokio::test]
async fn wrong_bodies_get_a_problem_and_never_a_500() {
    let api = Fixture::new().await;
    let (_, project, keys) = project_with_keys(&api, 1).await;
    for (sent, status) in [
        (json!([]), 400),
        (json!({"key": keys[0].1}), 422),
        (json!({"key": 5, "machine": {"fingerprint": "m1"}}), 400),
        (json!({"key": keys[0].1, "machine": {"fingerprint": "m1"}, "x": 1}), 400),
        (json!({"key": keys[0].1, "machine": {"fingerprint": ""}}), 422),
        (json!({"key": keys[0].1, "machine": {"fingerprint": "m".repeat(513)}}), 422),
        (json!({"key": keys[0].1, "machine": {"fingerprint": "m1", "name": "a\u{0}b"}}), 422),
        (json!({"key": keys[0].1, "machine": {"fingerprint": "m1", "name": "n".repeat(101)}}), 422),
    ] {
        let answer = api.call(&project.credentials, VERIFY, &sent).await;
        assert_eq!(answer.status.as_u16(), status, "{sent} {:?}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let huge = json!({"key": "k".repeat(1 << 20), "machine": {"fingerprint": "m1"}});
    assert_eq!(api.call(&project.credentials, VERIFY, &huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    api.finish().await;
}

#[tokio::test]
async fn every_reason_has_its_code() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 3).await;
    let other = api.project(tenant.admin, "player").await;
    let scope = api.verify(&other.credentials, &keys[0].1, "m1").await;
    assert_eq!((scope["code"].as_str(), scope["license"].is_null()), (Some("PRODUCT_SCOPE_MISMATCH"), true));
    let mut mistyped = keys[0].1.clone();
    let last = if mistyped.ends_with('0') { "1" } else { "0" };
    mistyped.replace_range(mistyped.len() - 1.., last);
    let mistyped = api.verify(&project.credentials, &mistyped, "m1").await;
    let unknown = quotary_commands::license_key::LicenseKey::generate().unwrap();
    let unknown = api.verify(&project.credentials, unknown.as_str(), "m1").await;
    assert_eq!((&mistyped["code"], &unknown["code"]), (&json!("NOT_FOUND"), &json!("NOT_FOUND")));
    assert_ne!(mistyped["detail"], unknown["detail"]);
    let (first, second) = (keys[0].0, keys[1].0);
    let post = |id: LicenseId, step: &str| format!("/v1/licenses/{id}/{step}");
    assert_eq!(api.post(tenant.admin, &post(first, "revoke"), &json!({"reason": "stolen"})).await.status, 200);
    // No waiting: this node must know at once.
    assert_eq!(api.verify(&project.credentials, &keys[0].1, "m1").await["code"], "BANNED");
    assert_eq!(api.post(tenant.admin, &post(second, "disable"), &json!({})).await.status, 200);
    assert_eq!(api.verify(&project.credentials, &keys[1].1, "m1").await["code"], "SUSPENDED");
    assert_eq!(api.post(tenant.admin, &post(second, "enable"), &json!({})).await.status, 200);
    assert_eq!(api.verify(&project.credentials, &keys[1].1, "m1").await["code"], "VALID");
    let disabled = api.commands.disable_project(&context(tenant.admin), project.id).await.unwrap();
    api.caught_up(disabled.position).await;
    assert_eq!(api.verify(&project.credentials, &keys[1].1, "m1").await["code"], "PROJECT_DISABLED");
    api.finish().await;
}

#[tokio::test]
async fn an_expired_licence_is_told_so() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 1).await;
    assert_eq!(api.verify(&project.credentials, &keys[0].1, "m1").await["code"], "VALID");
    // The state of a licence whose time is over, as the feed or a command would show it.
    let (mut license, sequence) = api
        .commands
        .log()
        .current::<quotary_domain::license::License>(tenant.admin.tenant_id, keys[0].0)
        .await
        .unwrap()
        .unwrap();
    license.expires_at = Some(clock::now() - chrono::TimeDelta::seconds(1));
    api.state.license_index.observe(keys[0].0, &license, sequence + 1);
    let answer = api.verify(&project.credentials, &keys[0].1, "m1").await;
    assert_eq!((&answer["code"], &answer["remaining_seconds"]), (&json!("EXPIRED"), &json!(0)));
    api.finish().await;
}

#[tokio::test]
async fn licences_of_a_refunded_batch_are_refused_before_any_of_them_is_disabled() {
    for feed_runs in [true, false] {
        let api = Fixture::with(feed_runs).await;
        let tenant = api.tenant("acme").await;
        let project = api.project(tenant.admin, "editor").await;
        let (batch, position) = api.batch(tenant.admin, &project, 2).await;
        let keys = api.keys(tenant.admin, batch, position).await;
        api.state.license_index.observe_project(tenant.admin.tenant_id, project.id, &project.state, 1);
        assert_eq!(api.verify(&project.credentials, &keys[0].1, "m1").await["code"], "VALID");
        // Not by this API's own route, so the index learns it from the feed alone.
        api.commands.refund_batch(&context(tenant.admin), batch).await.unwrap();
        let unused = api.verify(&project.credentials, &keys[1].1, "m1").await;
        assert_eq!((&unused["valid"], &unused["code"]), (&json!(false), &json!("SUSPENDED")), "{unused}");
        assert_eq!(unused["license"]["status"], "disabled");
        let start = std::time::Instant::now();
        loop {
            let used = api.verify(&project.credentials, &keys[0].1, "m1").await;
            if used["code"] == "SUSPENDED" {
                break;
            }
            assert!(feed_runs && start.elapsed() < license_fixture::PATIENCE, "{used}");
        }
        let disabled = "select count(*) from events where event_type in ('LicenseDisabled', 'LicenseActivated')";
        let written: i64 = sqlx::query_scalar(disabled).fetch_one(&api.pool).await.unwrap();
        assert_eq!(written, 1, "the first use before the refund, and nothing since");
        api.finish().await;
    }
}

#[tokio::test]
async fn without_a_trusted_index_the_log_is_asked() {
    let api = Fixture::with(false).await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let (batch, position) = api.batch(tenant.admin, &project, 2).await;
    let keys = api.keys(tenant.admin, batch, position).await;
    // Nothing is known about the project yet: that is no proof that there is none.
    let behind = api.call(&project.credentials, VERIFY, &body(&keys[0].1)).await;
    assert_eq!(behind.status, StatusCode::SERVICE_UNAVAILABLE);
    api.state.license_index.observe_project(tenant.admin.tenant_id, project.id, &project.state, 1);
    assert_eq!(api.verify(&project.credentials, &keys[0].1, "m1").await["code"], "VALID");
    // Written behind this process' back, so that neither index nor cache can know.
    sqlx::query(
        "insert into events select position + 1, gen_random_uuid(), $1, 'License', $2, 3, 'LicenseRevoked', '1',
                '{\"LicenseRevoked\":{}}', '{}', clock_timestamp() from log_head",
    )
    .bind(tenant.admin.tenant_id.0)
    .bind(keys[0].0.to_string())
    .execute(&api.pool)
    .await
    .unwrap();
    sqlx::query("update log_head set position = position + 1").execute(&api.pool).await.unwrap();
    assert_eq!(api.verify(&project.credentials, &keys[0].1, "m1").await["code"], "BANNED");
    let unknown = quotary_commands::license_key::LicenseKey::generate().unwrap();
    assert_eq!(api.verify(&project.credentials, unknown.as_str(), "m1").await["code"], "NOT_FOUND");
    api.finish().await;
}

#[tokio::test]
async fn answers_are_signed_with_the_nonce_of_the_request() {
    let api = Fixture::new().await;
    let (_, project, keys) = project_with_keys(&api, 1).await;
    for path in [VERIFY, "/v1/client/licenses/query", "/v1/client/licenses/deactivate"] {
        let nonce = nonce();
        let sent = if path.ends_with("query") { json!({"key": keys[0].1}) } else { body(&keys[0].1) };
        let answer = api.send(signed(&project.credentials, path, &sent, &nonce)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {:?}", answer.body);
        assert_eq!(answer.json()["nonce"], nonce);
        check_signed(&answer, &project, &nonce);
    }
    api.finish().await;
}

#[tokio::test]
async fn rotated_credentials_overlap_and_verifications_are_counted() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 1).await;
    let rotated = api.commands.rotate_credentials(&context(tenant.admin), project.id, 1).await.unwrap();
    api.caught_up(rotated.position).await;
    for credentials in [&project.credentials, &rotated.value.credentials] {
        assert_eq!(api.verify(credentials, &keys[0].1, "m1").await["code"], "VALID");
    }
    let again = api.commands.rotate_credentials(&context(tenant.admin), project.id, 0).await.unwrap();
    api.caught_up(again.position).await;
    for credentials in [&project.credentials, &rotated.value.credentials] {
        assert_eq!(api.call(credentials, VERIFY, &body(&keys[0].1)).await.code(), "api-key-unknown");
    }
    assert_eq!(api.verify(&again.value.credentials, &keys[0].1, "m1").await["code"], "VALID");
    let metrics = api.send(axum::http::Request::get("/metrics").body(Body::empty()).unwrap()).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let line = format!("quotary_license_verifications_total{{code=\"VALID\",project_id=\"{}\"}} 3", project.id);
    assert!(text.contains(&line), "{text}");
    api.finish().await;
}

#[tokio::test]
async fn refusals_are_offered_to_a_vendor_that_wants_to_be_told_and_no_valid_answer_is() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 2).await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(api.state.refusals.clone().run(api.pool.clone(), cancel.clone()));
    let wants = "insert into callback_projects (project_id, tenant_id, url, callbacks)
                 values ($1, $2, 'https://a.example/', $3::json)";
    let callbacks =
        json!({"types": null, "secret": {"secret_id": "s", "secret": "s"}, "previous_secret": null, "stopped": false});
    sqlx::query(wants)
        .bind(project.id.0)
        .bind(tenant.admin.tenant_id.0)
        .bind(callbacks.to_string())
        .execute(&api.pool)
        .await
        .unwrap();
    let (valid, revoked) = (&keys[0], &keys[1]);
    api.state.commands.revoke_license(&context(tenant.admin), revoked.0, None).await.unwrap();
    let start = std::time::Instant::now();
    let told = loop {
        assert_eq!(api.verify(&project.credentials, &valid.1, "m1").await["valid"], true);
        assert_eq!(api.verify(&project.credentials, &revoked.1, "m1").await["code"], "BANNED");
        let told: Vec<(uuid::Uuid, uuid::Uuid, uuid::Uuid, String)> =
            sqlx::query_as("select tenant_id, project_id, license_id, code from callback_refusals")
                .fetch_all(&api.pool)
                .await
                .unwrap();
        if !told.is_empty() {
            break told;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "nothing was offered");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(told, [(tenant.admin.tenant_id.0, project.id.0, revoked.0.0, "BANNED".to_owned())]);
    cancel.cancel();
    running.await.unwrap();
    api.finish().await;
}
