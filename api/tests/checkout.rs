//! Licence and machine files over HTTP: for whom they are made, what they say, and that published keys verify them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod license_fixture;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use license_fixture::{Answer, Fixture, TestProject};
use quotary_domain::LicenseId;
use rsa::signature::Verifier as _;
use rsa::{BigUint, RsaPublicKey, pss};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const CHECKOUT: &str = "/v1/client/licenses/checkout";

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

async fn checkout(api: &Fixture, project: &TestProject, body: &Value) -> Answer {
    api.call(&project.credentials, CHECKOUT, body).await
}

/// Verifies a file with the published key set, as the description says, and decrypts it.
async fn opened(
    api: &Fixture,
    project: &TestProject,
    answer: &Value,
    label: &str,
    prefix: &str,
    secret: &str,
) -> Value {
    let path = format!("/.well-known/quotary/{}/jwks.json", project.id);
    let set = api.send(axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap()).await.json();
    let keys = set["keys"].as_array().unwrap();
    let jwk = keys.iter().find(|key| key["kid"] == answer["key_id"]).unwrap();
    let file = answer["file"].as_str().unwrap();
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(lines[0], format!("-----BEGIN {label}-----"));
    assert_eq!(lines[lines.len() - 1], format!("-----END {label}-----"));
    let envelope: Value =
        serde_json::from_slice(&STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap()).unwrap();
    let enc = envelope["enc"].as_str().unwrap();
    let (encoding, algorithm) = envelope["alg"].as_str().unwrap().split_once('+').unwrap();
    let (message, signature) = (format!("{prefix}{enc}"), STANDARD.decode(envelope["sig"].as_str().unwrap()).unwrap());
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    if algorithm == "ed25519" {
        let key = VerifyingKey::from_bytes(member("x").as_slice().try_into().unwrap()).unwrap();
        key.verify_strict(message.as_bytes(), &Signature::from_slice(&signature).unwrap()).unwrap();
    } else {
        assert_eq!(algorithm, "rsa-pss-sha256");
        let (n, e) = (BigUint::from_bytes_be(&member("n")), BigUint::from_bytes_be(&member("e")));
        let key = pss::VerifyingKey::<rsa::sha2::Sha256>::new_with_salt_len(RsaPublicKey::new(n, e).unwrap(), 222);
        key.verify(message.as_bytes(), &pss::Signature::try_from(signature.as_slice()).unwrap()).unwrap();
    }
    let content = if encoding == "base64" {
        STANDARD.decode(enc).unwrap()
    } else {
        let parts: Vec<Vec<u8>> = enc.split('.').map(|part| STANDARD.decode(part).unwrap()).collect();
        let key: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let iv = <[u8; 12]>::try_from(parts[1].as_slice()).unwrap();
        let sealed = [parts[0].as_slice(), parts[2].as_slice()].concat();
        Aes256Gcm::new((&key).into()).decrypt(&Nonce::from(iv), sealed.as_slice()).unwrap()
    };
    serde_json::from_slice(&content).unwrap()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn files_are_verified_with_the_published_keys() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 1).await;
    let (id, key) = &keys[0];
    let unused = checkout(&api, &project, &json!({"key": key})).await;
    assert_eq!((unused.status, unused.code().as_str()), (StatusCode::CONFLICT, "wrong-status"));
    let machine = json!({"fingerprint": "laptop", "name": "büro"});
    // First use: the machine is bound, as by a verification.
    let body = json!({"key": key.to_lowercase(), "machine": machine, "encrypt": true, "include": ["entitlements"]});
    let answer = checkout(&api, &project, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let answer = answer.json();
    let file = opened(&api, &project, &answer, "MACHINE FILE", "machine/", &format!("{key}laptop")).await;
    assert_eq!(file["data"]["type"], "machines");
    assert_eq!(file["data"]["attributes"], json!({"fingerprint": "laptop", "name": "büro"}));
    let license = &file["included"][0];
    assert_eq!((&license["type"], &license["id"]), (&json!("licenses"), &json!(id)));
    assert_eq!((&license["attributes"]["key"], &license["attributes"]["status"]), (&json!(key), &json!("ACTIVE")));
    assert_eq!(file["included"][1]["attributes"]["code"], "pro");
    assert_eq!((answer["license"]["machines"].as_u64(), &file["meta"]["kid"]), (Some(1), &answer["key_id"]));
    // The plan gives 30 days, and so does the file unless said otherwise: it ends with the licence, not after it.
    assert!(time(&file["meta"]["expiry"]) <= time(&answer["license"]["expires_at"]));
    let made = api
        .post(
            tenant.admin,
            &format!("/v1/projects/{}/rotate-signing-key", project.id),
            &json!({"algorithm": "rsa-pss-sha256"}),
        )
        .await;
    assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    for (algorithm, ttl) in [("ed25519", json!(3_600)), ("rsa-pss-sha256", json!(null))] {
        let body = json!({"key": key, "algorithm": algorithm, "ttl_seconds": ttl});
        let answer = checkout(&api, &project, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["algorithm"], algorithm);
        let file = opened(&api, &project, &answer, "LICENSE FILE", "license/", "").await;
        assert_eq!((&file["data"]["id"], &file["data"]["attributes"]["maxMachines"]), (&json!(id), &json!(2)));
        let (issued, expiry) = (time(&file["meta"]["issued"]), time(&file["meta"]["expiry"]));
        assert_eq!(file["meta"]["ttl"].as_i64(), Some((expiry - issued).num_seconds()), "{file}");
        if ttl.is_null() {
            assert_eq!(file["meta"]["expiry"], file["data"]["attributes"]["expiry"]);
        } else {
            assert_eq!(file["meta"]["ttl"], 3_600);
        }
    }
    api.finish().await;
}

#[tokio::test]
async fn a_file_signed_before_a_rotation_is_verified_after_it() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 1).await;
    let body = json!({"key": keys[0].1, "machine": {"fingerprint": "laptop"}});
    let before = checkout(&api, &project, &body).await.json();
    let path = format!("/v1/projects/{}/rotate-signing-key", project.id);
    assert_eq!(api.post(tenant.admin, &path, &json!({"overlap_days": 30})).await.status, StatusCode::OK);
    let after = checkout(&api, &project, &body).await.json();
    assert_ne!(before["key_id"], after["key_id"]);
    for answer in [before, after] {
        let file = opened(&api, &project, &answer, "MACHINE FILE", "machine/", "").await;
        assert_eq!(file["meta"]["kid"], answer["key_id"]);
    }
    api.finish().await;
}

#[tokio::test]
async fn no_file_is_made_for_a_licence_that_is_not_valid() {
    let api = Fixture::new().await;
    let (tenant, project, keys) = project_with_keys(&api, 2).await;
    let key = &keys[0].1;
    let on = |machine: &str| json!({"key": key, "machine": {"fingerprint": machine}});
    let refused = |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{:?}", answer.body);
    };
    refused(checkout(&api, &project, &json!({"key": key, "algorithm": "rsa-pss-sha256"})).await, 409, "wrong-status");
    for machine in ["m1", "m2"] {
        assert_eq!(checkout(&api, &project, &on(machine)).await.status, StatusCode::OK);
    }
    refused(checkout(&api, &project, &on("m3")).await, 409, "too-many-machines");
    let other = api.project(tenant.admin, "player").await;
    refused(checkout(&api, &other, &on("m1")).await, 403, "product-scope-mismatch");
    refused(checkout(&api, &other, &json!({"key": key})).await, 404, "not-found");
    refused(checkout(&api, &project, &json!({"key": "x"})).await, 404, "not-found");
    for ttl in [json!(3_599), json!(315_360_001)] {
        let body = json!({"key": key, "ttl_seconds": ttl});
        refused(checkout(&api, &project, &body).await, 422, "validation-failed");
    }
    let twice = json!({"key": key, "include": ["entitlements", "entitlements"]});
    refused(checkout(&api, &project, &twice).await, 422, "validation-failed");
    for (field, value) in [("algorithm", json!("none")), ("include", json!(["secrets"])), ("ttl_seconds", json!(-1))] {
        let mut body = on("m1");
        body[field] = value;
        let answer = checkout(&api, &project, &body).await;
        assert!(answer.status.is_client_error(), "{field} {:?}", answer.body);
    }
    let post = |step: &str| format!("/v1/licenses/{}/{step}", keys[0].0);
    assert_eq!(api.post(tenant.admin, &post("disable"), &json!({})).await.status, 200);
    refused(checkout(&api, &project, &on("m1")).await, 403, "license-suspended");
    refused(checkout(&api, &project, &json!({"key": key})).await, 403, "license-suspended");
    assert_eq!(api.post(tenant.admin, &post("revoke"), &json!({})).await.status, 200);
    refused(checkout(&api, &project, &on("m1")).await, 403, "license-banned");
    refused(checkout(&api, &project, &json!({"key": key})).await, 403, "license-banned");
    api.finish().await;
}
