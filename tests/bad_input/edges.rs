//! Headers, queries, paths and signatures that are wrong.

use axum::http::{HeaderMap, Method};
use quotary_commands::clock;
use serde_json::json;

use super::scene::{Scene, Shot};

/// Headers that can't be read, are there twice, or belong to nobody.
pub async fn headers(scene: &mut Scene) {
    let (root, seller) = (scene.shop.vendor.token.clone(), scene.shop.seller.token.clone());
    let transfer = || Shot::post(&seller, "/v1/quota/transfers", r#"{"to_username":"stranger","amount":1}"#);
    let me = || Shot::get("", "/v1/me");
    let unknown = vec![
        me(),
        transfer().without("authorization"),
        me().with("authorization", "Bearer"),
        me().with("authorization", "Bearer "),
        me().with("authorization", "Bearer nonsense"),
        me().with("authorization", "Bearer a.b.c"),
        me().with("authorization", format!("Basic {root}")),
        me().with("authorization", root.as_bytes()),
        me().with("authorization", b"Bearer \xff\xfe"),
        me().with("authorization", format!("Bearer {root}x")),
        me().with("authorization", format!("Bearer {}", forged(&root))),
        me().with("authorization", format!("Bearer {root}")).with("authorization", format!("Bearer {seller}")),
        me().with("authorization", format!("Bearer {}", "x".repeat(20_000))),
    ];
    scene.refuse_all(unknown, 401, "unauthenticated").await;
    let long = "k".repeat(256);
    let invalid = vec![
        transfer().with("idempotency-key", ""),
        transfer().with("idempotency-key", "with space"),
        transfer().with("idempotency-key", b"\xff\xfe"),
        transfer().with("idempotency-key", &long),
        transfer().with("idempotency-key", "one").with("idempotency-key", "two"),
        transfer().with("if-match", "7"),
        transfer().with("if-match", "\"1\", \"2\""),
        transfer().with("if-match", b"\xff"),
        transfer().with("x-correlation-id", "no id"),
        transfer().with("x-correlation-id", b"\xff"),
        Shot::get(&root, "/v1/agents").with("quotary-min-position", "-1"),
        Shot::get(&root, "/v1/agents").with("quotary-min-position", "soon"),
        Shot::get(&root, "/v1/agents").with("quotary-min-position", "99999999999999999999"),
        Shot::get(&root, "/v1/agents").with("quotary-min-position", b"\xff"),
    ];
    scene.refuse_all(invalid, 400, "invalid-header").await;
    let project = format!("/v1/projects/{}", scene.shop.project.id);
    for tag in ["\"99999\"", "\"never\"", "\"\""] {
        let change =
            Shot::new(&root, Method::PATCH, project.clone(), r#"{"description":"changed"}"#).with("if-match", tag);
        scene.refuse(change, 412, "precondition-failed").await;
    }
    let behind = Shot::get(&root, "/v1/agents").with("quotary-min-position", "9223372036854775807");
    scene.refuse(behind, 503, "read-model-behind").await;
    // Odd but harmless: what is not ours is not looked at.
    for (name, value) in [
        ("traceparent", "nonsense"),
        ("traceparent", "00-0-0-0"),
        ("accept", "text/plain"),
        ("x-forwarded-for", "''\"--"),
    ] {
        scene.fire(&Shot::get(&root, "/v1/me").with(name, value)).await.expect(200);
    }
    let many = (0..60).fold(Shot::get(&root, "/v1/me"), |shot, _| shot.with("x-filler", "y".repeat(50)));
    scene.fire(&many).await.expect(200);
}

/// The token with another tenant's role in it, under the same signature.
fn forged(token: &str) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let middle = parts[1].len() / 2;
    let other = if &parts[1][middle..=middle] == "A" { "B" } else { "A" };
    parts[1].replace_range(middle..=middle, other);
    parts.join(".")
}

/// A key that was used for another request.
pub async fn reused_keys(scene: &mut Scene) {
    let seller = scene.shop.seller.token.clone();
    let key = clock::new_id().to_string();
    let with = |path: &str, body: &str| Shot::post(&seller, path, body).with("idempotency-key", &key);
    let first = scene.fire(&with("/v1/quota/transfers", r#"{"to_username":"stranger","amount":1}"#)).await.expect(201);
    let before = scene.installation.head().await;
    let others = vec![
        with("/v1/quota/transfers", r#"{"to_username":"stranger","amount":2}"#),
        with("/v1/quota/transfers", r#"{"to_username":"manager","amount":1}"#),
        with("/v1/withdrawals", r#"{"payee":{"bank":"First"},"amount":1}"#),
    ];
    scene.refuse_all(others, 422, "idempotency-key-reused").await;
    let again = scene.fire(&with("/v1/quota/transfers", r#"{"to_username":"stranger","amount":1}"#)).await.expect(201);
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, "true"));
    scene.nothing_written(before, "reused keys").await;
}

/// Parameters of queries and paths.
pub async fn parameters(scene: &mut Scene) {
    let root = scene.shop.vendor.token.clone();
    let agent = scene.shop.seller.id.clone();
    let lists = ["agents", "projects", "license-batches", "licenses", "withdrawals", "quota/transfers", "audit/events"];
    let wrong = [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "cursor=nonsense",
        "cursor=",
        "cursor=%00",
        "cursor=%FF",
        "cursor=bm9uc2Vuc2U",
        "cursor=WyIiXQ",
        "no_such=1",
        "limit=1&x=%00",
    ];
    for list in lists {
        let shots = wrong.iter().map(|query| Shot::get(&root, format!("/v1/{list}?{query}")));
        scene.refuse_all(shots.collect::<Vec<_>>(), 400, "invalid-parameter").await;
    }
    let mut shots: Vec<Shot> = [
        "agents?role=king",
        "agents?disabled=perhaps",
        "agents?search=%00",
        "withdrawals?status=lost",
        "withdrawals?agent_id=x",
        "licenses?status=lost",
        "licenses?batch_id=x",
        "licenses?project_id=",
        "audit/events?aggregate_type=Nothing",
        "audit/events?after=x",
        "audit/events?after=-1",
        "audit/events?aggregate_id=x",
        "audit/events?until=2026-99-99T00:00:00Z",
    ]
    .iter()
    .map(|query| Shot::get(&root, format!("/v1/{query}")))
    .collect();
    for at in ["x", "-1", "99999999999999999999", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "%00"] {
        shots.push(Shot::get(&root, format!("/v1/quota/accounts/{agent}?at={at}")));
        shots.push(Shot::get(&root, format!("/v1/quota/accounts/{agent}/statement?from={at}")));
    }
    for path in
        ["agents", "projects", "license-batches", "licenses", "withdrawals", "quota/transfers", "quota/accounts"]
    {
        for id in ["x", "1", "%00", "%FF", "..%2F..", "00000000-0000-0000-0000-00000000000g", "%F0%9F%98%80"] {
            shots.push(Shot::get(&root, format!("/v1/{path}/{id}")));
        }
    }
    scene.refuse_all(shots, 400, "invalid-parameter").await;
    let lost = [
        "/",
        "/v1",
        "/v1/",
        "/v2/agents",
        "/v1/agents/",
        "/v1/nothing",
        "/v1/agents/x/y/z",
        "/%00",
        "/v1/../etc/passwd",
    ];
    scene.refuse_all(lost.map(|path| Shot::get(&root, path)), 404, "no-such-route").await;
    let methods = [
        (Method::DELETE, "/v1/me"),
        (Method::PUT, "/v1/agents"),
        (Method::GET, "/v1/auth/login"),
        (Method::POST, "/healthz"),
        (Method::PATCH, "/v1/quota/transfers"),
        (Method::GET, "/v1/client/licenses/verify"),
        (Method::OPTIONS, "/v1/agents"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/agents"),
    ];
    for (method, path) in methods {
        scene.refuse(Shot::new(&root, method, path, ""), 405, "method-not-allowed").await;
    }
}

/// Logins that are none.
pub async fn sessions(scene: &mut Scene) {
    let login = |body: &str| Shot::post("", "/v1/auth/login", body);
    let long = json!({ "tenant": "first", "username": "root", "password": "x".repeat(2_000) }).to_string();
    let wrong = [
        r#"{"tenant":"first","username":"stranger","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"first","username":"nobody.here","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"nowhere","username":"root","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"first","username":"' or 1=1 --","password":"wrong wrong wrong"}"#,
    ];
    scene.refuse_all(wrong.map(login), 401, "wrong-credentials").await;
    let invalid = [
        r#"{"username":"root","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"first","username":"","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"first","username":"a\u0000b","password":"wrong wrong wrong"}"#,
        r#"{"tenant":"first","username":"root"}"#,
        long.as_str(),
    ];
    scene.refuse_all(invalid.map(login), 422, "validation-failed").await;
    for token in ["", "x", &"y".repeat(10_000)] {
        let shot = Shot::post("", "/v1/auth/refresh", json!({ "refresh_token": token }).to_string());
        scene.refuse(shot, 401, "invalid-refresh-token").await;
    }
    let stranger = scene.shop.stranger.token.clone();
    let change = |new: &str| {
        let body = json!({ "current_password": "wrong wrong wrong", "new_password": new }).to_string();
        Shot::post(&stranger, "/v1/auth/password/change", body)
    };
    scene.refuse(change("another good password"), 422, "wrong-password").await;
    scene.refuse(change("short"), 422, "validation-failed").await;
}

const VERIFY: &str = "/v1/client/licenses/verify";

/// Signed requests with something wrong about them.
pub async fn signatures(scene: &mut Scene) {
    let key = scene.shop.project.key.clone();
    let body = json!({ "key": scene.shop.license_key, "machine": { "fingerprint": "bench" } }).to_string();
    let signed = |nonce: &str, created: i64| {
        Shot::post("", VERIFY, body.clone()).signed(key.sign(VERIFY, body.as_bytes(), nonce, created))
    };
    let now = || clock::now().timestamp();
    let nonce = || clock::new_id().simple().to_string();
    // The machine is bound by the first good one; what follows changes nothing any more.
    let used = nonce();
    let first = signed(&used, now());
    assert_eq!(scene.fire(&first).await.expect(200).body["code"], "VALID");
    let before = scene.installation.head().await;
    scene.refuse(first, 401, "nonce-replayed").await;
    scene.refuse(signed(&used, now()), 401, "nonce-replayed").await;
    scene.refuse(Shot::post("", VERIFY, body.clone()), 401, "signature-missing").await;
    let mut tampered = signed(&nonce(), now());
    tampered.body = body.replace("bench", "other").into_bytes();
    scene.refuse(tampered, 401, "content-digest-mismatch").await;
    let other = body.replace("bench", "other").into_bytes();
    let mut both = signed(&nonce(), now());
    both.headers.insert("content-digest", key.sign(VERIFY, &other, "x", 1)["content-digest"].clone());
    both.body = other;
    scene.refuse(both, 401, "signature-invalid").await;
    scene.refuse(signed(&nonce(), now() - 400), 401, "signature-too-old").await;
    scene.refuse(signed(&nonce(), now() + 400), 401, "signature-in-future").await;
    scene.refuse(signed(&"n".repeat(5_000), now()), 401, "nonce-too-long").await;
    scene.refuse(signed(&nonce(), now()).without("content-digest"), 401, "content-digest-missing").await;
    scene.refuse(signed(&nonce(), now()).without("signature-input"), 401, "signature-missing").await;
    // The digest is signed, so another one is first of all another message.
    for digest in ["nonsense", "sha-256=:AAAA", "md5=:AAAA:"] {
        let shot = signed(&nonce(), now()).without("content-digest").with("content-digest", digest);
        scene.refuse(shot, 401, "signature-invalid").await;
    }
    let signature = |text: &[u8]| signed(&nonce(), now()).without("signature").with("signature", text);
    scene.refuse(signature(b"sig1=:AAAA:"), 401, "signature-invalid").await;
    scene.refuse(signature(b"sig2=:AAAA:"), 401, "signature-label-unmatched").await;
    scene.refuse(signature(b"\xff\xfe"), 401, "signature-malformed").await;
    let other_key = scene.other.project.key.clone();
    let unknown = crate::support::api::ApiKey { id: "qk_nobody".into(), secret: key.secret.clone() };
    let wrong_secret = crate::support::api::ApiKey { id: other_key.id, secret: key.secret.clone() };
    let by = |key: &crate::support::api::ApiKey| -> HeaderMap { key.sign(VERIFY, body.as_bytes(), &nonce(), now()) };
    scene.refuse(Shot::post("", VERIFY, body.clone()).signed(by(&unknown)), 401, "api-key-unknown").await;
    scene.refuse(Shot::post("", VERIFY, body.clone()).signed(by(&wrong_secret)), 401, "signature-invalid").await;
    // A signature for one route is none for another.
    let elsewhere = Shot::post("", "/v1/client/licenses/query", body.clone()).signed(by(&key));
    scene.refuse(elsewhere, 401, "signature-invalid").await;
    signed_bodies(scene).await;
    scene.nothing_written(before, "signatures").await;
}

/// Well signed, and still wrong.
async fn signed_bodies(scene: &mut Scene) {
    let (key, license) = (scene.shop.project.key.clone(), scene.shop.license_key.clone());
    let signed = |body: &str| {
        let nonce = clock::new_id().simple().to_string();
        let headers = key.sign(VERIFY, body.as_bytes(), &nonce, clock::now().timestamp());
        Shot::post("", VERIFY, body).signed(headers)
    };
    scene.refuse(signed("{"), 400, "malformed-json").await;
    scene.refuse(signed("[]"), 400, "wrong-type").await;
    scene.refuse(signed(r#"{"key":5,"machine":{"fingerprint":"a"}}"#), 400, "wrong-type").await;
    scene.refuse(signed(r#"{"key":"a","machine":{"fingerprint":"a"},"x":1}"#), 400, "unknown-field").await;
    for machine in [
        json!({}),
        json!({ "fingerprint": "" }),
        json!({ "fingerprint": "f".repeat(600) }),
        json!({ "fingerprint": "a", "name": "n".repeat(200) }),
        json!({ "fingerprint": "a", "name": "a\u{0}" }),
    ] {
        let body = json!({ "key": license, "machine": machine }).to_string();
        scene.refuse(signed(&body), 422, "validation-failed").await;
    }
    // What is wrong with a key is an answer, not a problem.
    let foreign = scene.other.license_key.clone();
    for (key, code) in [("", "NOT_FOUND"), ("nonsense", "NOT_FOUND"), (foreign.as_str(), "NOT_FOUND")] {
        let body = json!({ "key": key, "machine": { "fingerprint": "a" } }).to_string();
        let answer = scene.fire(&signed(&body)).await.expect(200);
        assert_eq!((&answer.body["valid"], &answer.body["code"]), (&json!(false), &json!(code)));
    }
    let second = json!({ "key": license, "machine": { "fingerprint": "another machine" } }).to_string();
    assert_eq!(scene.fire(&signed(&second)).await.expect(200).body["code"], "TOO_MANY_MACHINES");
}
