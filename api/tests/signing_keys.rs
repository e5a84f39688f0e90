//! Signing keys of projects: rotation at once and with overlap, the published set, and refusals that are signed.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod license_fixture;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use license_fixture::{Answer, Fixture, context, nonce, signed};
use quotary_api::client_signature::verify_response;
use quotary_commands::clock;
use quotary_domain::project::{Project, SigningAlgorithm};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

const VERIFY: &str = "/v1/client/licenses/verify";

fn set_path(project: impl std::fmt::Display) -> String {
    format!("/.well-known/quotary/{project}/jwks.json")
}

async fn key_set(api: &Fixture, project: impl std::fmt::Display) -> Vec<Value> {
    let answer = api.send(Request::get(set_path(project)).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    answer.json()["keys"].as_array().unwrap().clone()
}

fn key_of(set: &[Value], kid: &str) -> VerifyingKey {
    let jwk = set.iter().find(|key| key["kid"] == kid).unwrap();
    assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    VerifyingKey::from_bytes(public.as_slice().try_into().unwrap()).unwrap()
}

/// The name of the key that an answer says to be signed with.
fn signer(answer: &Answer) -> String {
    let input = answer.header("signature-input");
    input.split("keyid=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn check_signed(answer: &Answer, set: &[Value], nonce: &str) {
    let key = key_of(set, &signer(answer));
    verify_response(answer.status, &answer.headers, &answer.body, &key, nonce, clock::now().timestamp()).unwrap();
}

#[tokio::test]
async fn a_rotated_key_signs_at_once_and_the_one_before_stays_published() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let ask = || async {
        let nonce = nonce();
        let body = json!({"key": "x", "machine": {"fingerprint": "m"}});
        (api.send(signed(&project.credentials, VERIFY, &body, &nonce)).await, nonce)
    };
    let (before, used) = ask().await;
    check_signed(&before, &key_set(&api, project.id).await, &used);
    let path = format!("/v1/projects/{}/rotate-signing-key", project.id);
    let rotated = api.post(tenant.admin, &path, &json!({})).await;
    assert_eq!(rotated.status, StatusCode::OK, "{:?}", rotated.body);
    let (after, used) = ask().await;
    let set = key_set(&api, project.id).await;
    check_signed(&after, &set, &used);
    assert_eq!(signer(&after), rotated.json()["signing_key"]["key_id"]);
    assert_ne!(signer(&after), signer(&before));
    let kids: Vec<_> = set.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kids, [signer(&after), signer(&before)]);
    // A key that leaked goes at once, by a command of another process: only the feed tells.
    let algorithm = SigningAlgorithm::Ed25519;
    let gone = api.commands.rotate_signing_key(&context(tenant.admin), project.id, algorithm, 0).await.unwrap();
    api.caught_up(gone.position).await;
    let (last, used) = ask().await;
    let set = key_set(&api, project.id).await;
    check_signed(&last, &set, &used);
    assert_eq!(set.len(), 2);
    assert!(!set.iter().any(|key| key["kid"] == signer(&after).as_str()));
    for (body, code) in [
        (json!({"algorithm": "none"}), "validation-failed"),
        (json!({"overlap_days": 3661}), "validation-failed"),
        (json!({"overlap_days": -1}), "validation-failed"),
    ] {
        assert_eq!(api.post(tenant.admin, &path, &body).await.code(), code);
    }
    api.finish().await;
}

#[tokio::test]
async fn the_rsa_key_is_made_when_asked_for_and_published_with_the_others() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let path = format!("/v1/projects/{}/rotate-signing-key", project.id);
    let made = api.post(tenant.admin, &path, &json!({"algorithm": "rsa-pss-sha256"})).await;
    assert_eq!(made.status, StatusCode::OK, "{:?}", made.body);
    let shown = made.json()["rsa_signing_key"].clone();
    let public = STANDARD.decode(shown["public_key"].as_str().unwrap()).unwrap();
    let public = RsaPublicKey::from_public_key_der(&public).unwrap();
    let set = key_set(&api, project.id).await;
    let jwk = set.iter().find(|key| key["kid"] == shown["key_id"]).unwrap();
    assert_eq!((&jwk["kty"], &jwk["alg"], &jwk["use"]), (&json!("RSA"), &json!("PS256"), &json!("sig")));
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    assert_eq!((modulus.len(), modulus), (256, public.n().to_bytes_be()));
    assert_eq!(jwk["e"], "AQAB");
    let (state, _) = api.commands.log().current::<Project>(tenant.admin.tenant_id, project.id).await.unwrap().unwrap();
    assert!(state.signing_keys.earlier.is_empty(), "there was none before");
    api.finish().await;
}

#[tokio::test]
async fn the_set_has_a_tag_and_an_unknown_project_none() {
    for feed_runs in [true, false] {
        let api = Fixture::with(feed_runs).await;
        let tenant = api.tenant("acme").await;
        let project = api.project(tenant.admin, "editor").await;
        assert_eq!(key_set(&api, project.id).await.len(), 1);
        let get =
            |path: String, tag: &str| Request::get(path).header("if-none-match", tag).body(Body::empty()).unwrap();
        let first = api.send(get(set_path(project.id), "\"other\"")).await;
        assert_eq!((first.status, first.header("content-type")), (StatusCode::OK, "application/jwk-set+json"));
        let again = api.send(get(set_path(project.id), first.header("etag"))).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        let unknown = api.send(get(set_path(clock::new_id()), "x")).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::NOT_FOUND, "not-found"));
        let bad = api.send(get(set_path("x"), "x")).await;
        assert_eq!((bad.status, bad.code().as_str()), (StatusCode::BAD_REQUEST, "invalid-parameter"));
        api.finish().await;
    }
}

#[tokio::test]
async fn refusals_of_requests_that_cannot_be_believed_are_signed_too() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let set = key_set(&api, project.id).await;
    let body = json!({"key": "x", "machine": {"fingerprint": "m"}});
    let with = |from: &str, to: &str, nonce: &str| {
        let mut request = signed(&project.credentials, VERIFY, &body, nonce);
        let input = request.headers()["signature-input"].to_str().unwrap().to_owned();
        assert!(input.contains(from), "{input}");
        request.headers_mut().insert("signature-input", HeaderValue::try_from(input.replacen(from, to, 1)).unwrap());
        request
    };
    for (from, to, code) in [
        ("alg=\"hmac-sha256\"", "alg=\"none\"", "signature-algorithm-unsupported"),
        ("\"@method\"", "\"@query-param\"", "signature-component-unsupported"),
        (";created=", ";extra=1;created=", "signature-parameter-unsupported"),
        (";created=1", ";created=2", "signature-in-future"),
        ("\"@path\"", "\"@authority\"", "signature-components-missing"),
    ] {
        let nonce = nonce();
        let refused = api.send(with(from, to, &nonce)).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, code));
        check_signed(&refused, &set, &nonce);
    }
    let used = nonce();
    let mut unsigned = signed(&project.credentials, VERIFY, &body, &used);
    unsigned.headers_mut().remove("signature");
    let refused = api.send(unsigned).await;
    assert_eq!(refused.code(), "signature-missing");
    check_signed(&refused, &set, &used);
    let large = signed(&project.credentials, VERIFY, &json!({"key": "k".repeat(1 << 20)}), &used);
    let refused = api.send(large).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    check_signed(&refused, &set, &used);
    // Without a nonce the signature has none; and an unknown key has nobody to sign for it.
    let refused = api.send(with(&format!(";nonce=\"{used}\""), "", &used)).await;
    assert_eq!((refused.code().as_str(), signer(&refused).is_empty()), ("nonce-missing", false));
    assert!(!refused.header("signature-input").contains("nonce="));
    let key_id = project.credentials.api_key_id.0.as_str();
    let refused = api.send(with(key_id, "qk_unknown", &used)).await;
    assert_eq!((refused.code().as_str(), refused.headers.contains_key("signature")), ("api-key-unknown", false));
    let mut quiet = signed(&project.credentials, VERIFY, &body, &used);
    quiet.headers_mut().remove("accept-signature");
    quiet.headers_mut().remove("signature");
    assert!(!api.send(quiet).await.headers.contains_key("signature"), "nobody asked");
    api.finish().await;
}
