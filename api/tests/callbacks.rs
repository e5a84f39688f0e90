//! Callbacks of a project over HTTP: who may set them, where they may go, and secrets that are shown once.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod stand;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stand::{Answer, Stand};
use uuid::Uuid;

async fn put(stand: &Stand, path: &str, body: &Value) -> Answer {
    stand.call(Method::PUT, path, Some(&stand.token(stand.admin)), Some(&body.to_string())).await
}

/// The bytes of a secret in the form of Standard Webhooks.
fn bytes(secret: &Value) -> Vec<u8> {
    STANDARD.decode(secret.as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_address_comes_with_a_secret_and_rotation_keeps_the_old_one_for_the_overlap() {
    let stand = Stand::new().await;
    let project = stand.post(stand.admin, "/v1/projects", &json!({ "name": "Editor" })).await.expect(201);
    let path = format!("/v1/projects/{}/callbacks", project.body["id"].as_str().unwrap());
    assert_eq!(project.body.get("callback_secret"), None);
    assert_eq!(stand.get(stand.admin, &path).await.expect(200).body["status"], "off");
    let set = json!({ "url": "https://first.example/hook", "events": ["license.revoked", "license.activated"] });
    let first = put(&stand, &path, &set).await.expect(200).body;
    assert_eq!((&first["status"], bytes(&first["secret"]).len()), (&json!("active"), 32));
    assert_eq!(first["events"], json!(["license.activated", "license.revoked"]));
    let shown = stand.get(stand.admin, &path).await.expect(200);
    assert_eq!((shown.body.get("secret"), &shown.body["secret_id"]), (None, &first["secret_id"]));
    assert_eq!(shown.body["previous_secret_id"], Value::Null);
    // Another address keeps the secret, and says nothing of it.
    let second = put(&stand, &path, &json!({ "url": "https://second.example/" })).await.expect(200).body;
    assert_eq!((second.get("secret"), &second["secret_id"]), (None, &first["secret_id"]));
    assert_eq!(second["events"], Value::Null);
    let rotate = format!("{path}/rotate-secret");
    let key = [("idempotency-key", "once")];
    let token = stand.token(stand.admin);
    let once = || stand.call_with(Method::POST, &rotate, Some(&token), Some("{}"), &key);
    let rotated = once().await.expect(200).body;
    assert_eq!(once().await.expect(200).body, rotated, "a repeat shows the same secret");
    assert_ne!(bytes(&rotated["secret"]), bytes(&first["secret"]));
    assert_eq!(rotated["previous_secret_id"], first["secret_id"]);
    let now = stand.post(stand.admin, &rotate, &json!({ "overlap_hours": 0 })).await.expect(200).body;
    assert_eq!(now["previous_secret_id"], Value::Null, "an overlap of nothing");
    stand.post(stand.admin, &rotate, &json!({ "overlap_hours": 721 })).await.refused(422, "validation-failed");
    assert_eq!(put(&stand, &path, &json!({ "url": null })).await.expect(200).body["status"], "off");
    // Neither the log nor any answer of before has a secret in the clear.
    let log: String = sqlx::query_scalar("select string_agg(payload::text, '') from events")
        .fetch_one(&stand.state.pool)
        .await
        .unwrap();
    for secret in [&first["secret"], &rotated["secret"]] {
        assert!(!log.contains(secret.as_str().unwrap().trim_start_matches("whsec_")));
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_in_a_projects_details_is_the_same_one() {
    let stand = Stand::new().await;
    let body = json!({ "name": "Editor", "callback_url": "https://a.example/" });
    let project = stand.post(stand.admin, "/v1/projects", &body).await.expect(201);
    assert_eq!(bytes(&project.body["callback_secret"]).len(), 32);
    let details = format!("/v1/projects/{}", project.body["id"].as_str().unwrap());
    let path = format!("{details}/callbacks");
    assert_eq!(stand.get(stand.admin, &path).await.body["url"], "https://a.example/");
    let change = |body: Value| {
        let (stand, details) = (&stand, &details);
        async move {
            stand
                .call(Method::PATCH, details, Some(&stand.token(stand.admin)), Some(&body.to_string()))
                .await
                .expect(200)
        }
    };
    let other = change(json!({ "callback_url": "https://b.example/" })).await.body;
    assert_eq!((&other["callback_url"], other.get("callback_secret")), (&json!("https://b.example/"), None));
    assert_eq!(stand.get(stand.admin, &path).await.body["url"], "https://b.example/");
    put(&stand, &path, &json!({ "url": "https://c.example/" })).await.expect(200);
    assert_eq!(stand.get(stand.agent, &details).await.status, 404, "agents see what is granted");
    assert_eq!(stand.get(stand.admin, &details).await.body["callback_url"], "https://c.example/");
    let plain = stand.post(stand.admin, "/v1/projects", &json!({ "name": "Plain" })).await.expect(201);
    let details = format!("/v1/projects/{}", plain.body["id"].as_str().unwrap());
    let token = stand.token(stand.admin);
    let body = json!({ "callback_url": "https://d.example/" }).to_string();
    let first = stand.call(Method::PATCH, &details, Some(&token), Some(&body)).await.expect(200).body;
    assert_eq!(bytes(&first["callback_secret"]).len(), 32);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_public_hosts_over_tls_are_taken_and_nothing_refused_is_written() {
    let stand = Stand::new().await;
    let project = stand.post(stand.admin, "/v1/projects", &json!({ "name": "Editor" })).await.expect(201);
    let path = format!("/v1/projects/{}/callbacks", project.body["id"].as_str().unwrap());
    let head = stand.head().await;
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://user:word@example.com/",
        "https://example.com/#f",
        "https://example.com:22/",
        "ftp://example.com/",
        "",
    ] {
        let answer = put(&stand, &path, &json!({ "url": url })).await.refused(422, "validation-failed");
        assert_eq!(answer.body["errors"][0]["pointer"], "/url", "{url}");
    }
    let unknown = json!({ "url": "https://example.com/", "events": ["license.sold"] });
    put(&stand, &path, &unknown).await.refused(422, "validation-failed");
    for actor in [stand.agent_admin, stand.agent, stand.analyst, stand.auditor] {
        let body = json!({ "url": "https://example.com/" }).to_string();
        stand.call(Method::PUT, &path, Some(&stand.token(actor)), Some(&body)).await.refused(403, "forbidden");
    }
    let foreign = json!({ "url": "https://example.com/" }).to_string();
    let token = stand.token(stand.other_admin);
    stand.call(Method::PUT, &path, Some(&token), Some(&foreign)).await.refused(404, "not-found");
    stand.get(stand.other_admin, &path).await.refused(404, "not-found");
    for actor in [stand.analyst, stand.auditor] {
        stand.get(actor, &path).await.expect(200);
    }
    assert_eq!(stand.head().await, head, "something refused was written");
    stand.end().await;
}

/// Writes deliveries down as who delivers does, and says that it has read the log so far.
async fn deliver(stand: &Stand, project: &str, standing: &[(&str, u128)]) {
    let query = "insert into callback_deliveries (delivery_id, tenant_id, project_id, license_id, order_key, type, body, turn, status,
            due_at, attempts, tries, outcome, happened_at, created_at, expires_at, finished_at)
        select $1, $2, $3, $1, $1, 'license.revoked', '{\"type\":\"license.revoked\"}', $4, $5,
               case when $5 = 'pending' then 'infinity' else now() end, 1, 1, 'status', now(), now(), now(),
               case when $5 <> 'pending' then now() end";
    for (status, number) in standing {
        sqlx::query(query)
            .bind(Uuid::from_u128(*number))
            .bind(stand.admin.tenant_id.0)
            .bind(project.parse::<Uuid>().unwrap())
            .bind(i64::try_from(*number).unwrap())
            .bind(status)
            .execute(&stand.state.pool)
            .await
            .unwrap();
    }
    let attempt =
        "insert into callback_attempts select delivery_id, 1, now(), 12, 'status', 500, 'no' from callback_deliveries";
    sqlx::query(attempt).execute(&stand.state.pool).await.unwrap();
    catch_up(stand).await;
}

async fn catch_up(stand: &Stand) {
    let query = "update callback_intake set position = (select position from log_head)";
    sqlx::query(query).execute(&stand.state.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_shown_and_replayed_within_their_project_and_tenant() {
    let stand = Stand::new().await;
    let set = json!({ "name": "Editor", "callback_url": "https://a.example/" });
    let project = stand.post(stand.admin, "/v1/projects", &set).await.expect(201).body["id"].clone();
    let project = project.as_str().unwrap();
    let other = stand.post(stand.admin, "/v1/projects", &set).await.expect(201).body["id"].clone();
    let path = format!("/v1/projects/{project}/callbacks/deliveries");
    stand.get(stand.admin, &path).await.refused(503, "read-model-behind");
    deliver(&stand, project, &[("delivered", 1), ("dead", 2), ("pending", 3)]).await;
    let ids = |answer: Answer| -> Vec<u128> {
        let items = answer.expect(200).body["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128()).collect()
    };
    for actor in [stand.admin, stand.analyst, stand.auditor] {
        assert_eq!(ids(stand.get(actor, &path).await), [3, 2, 1]);
    }
    assert_eq!(ids(stand.get(stand.admin, &format!("{path}?status=dead")).await), [2]);
    let one = format!("{path}?license_id={}", Uuid::from_u128(1));
    assert_eq!(ids(stand.get(stand.admin, &one).await), [1]);
    let first = stand.get(stand.admin, &format!("{path}?limit=2")).await.expect(200).body;
    let next = format!("{path}?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(ids(stand.get(stand.admin, &next).await), [1]);
    for wrong in ["?status=lost", "?limit=0", "?cursor=x", "?license_id=x", "?nothing=1"] {
        stand.get(stand.admin, &format!("{path}{wrong}")).await.refused(400, "invalid-parameter");
    }
    let dead = format!("{path}/{}", Uuid::from_u128(2));
    let shown = stand.get(stand.auditor, &dead).await.expect(200).body;
    assert_eq!((&shown["status"], &shown["body"]), (&json!("dead"), &json!("{\"type\":\"license.revoked\"}")));
    assert_eq!(shown["attempt_log"][0]["http_status"], 500);
    assert_eq!(shown["attempt_log"][0]["answer"], "no");
    assert_eq!(stand.get(stand.admin, &path).await.body["items"][0].get("body"), None);
    for actor in [stand.agent, stand.agent_admin] {
        stand.get(actor, &path).await.refused(403, "forbidden");
    }
    stand.get(stand.other_admin, &path).await.refused(404, "not-found");
    stand.get(stand.other_admin, &dead).await.refused(404, "not-found");
    let elsewhere = format!("/v1/projects/{}/callbacks/deliveries/{}", other.as_str().unwrap(), Uuid::from_u128(2));
    stand.get(stand.admin, &elsewhere).await.refused(404, "not-found");

    let pending = format!("{path}/{}", Uuid::from_u128(3));
    stand.post(stand.admin, &replay_of(&pending), &json!({})).await.refused(409, "wrong-status");
    stand.post(stand.admin, &replay_of(&elsewhere), &json!({})).await.refused(404, "not-found");
    stand.post(stand.other_admin, &replay_of(&dead), &json!({})).await.refused(404, "not-found");
    stand.post(stand.auditor, &replay_of(&dead), &json!({})).await.refused(403, "forbidden");
    let head = stand.head().await;
    let (token, key) = (stand.token(stand.admin), [("idempotency-key", "again")]);
    let again_at = replay_of(&dead);
    let again = || stand.call_with(Method::POST, &again_at, Some(&token), Some("{}"), &key);
    let asked = again().await.expect(202);
    assert_eq!(asked.header("location"), dead);
    // Meanwhile it is on its way: the repeat gets its first answer all the same, and nothing is asked for twice.
    sqlx::query("update callback_deliveries set status = 'pending', finished_at = null where status = 'dead'")
        .execute(&stand.state.pool)
        .await
        .unwrap();
    assert_eq!(again().await.expect(202).header("idempotency-replayed"), "true");
    assert_eq!(stand.head().await, head + 1);
    stand.end().await;
}

fn replay_of(path: &str) -> String {
    format!("{path}/replay")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_button_needs_callbacks_and_answers_where_to_look() {
    let stand = Stand::new().await;
    let project = stand.post(stand.admin, "/v1/projects", &json!({ "name": "Editor" })).await.expect(201);
    let path = format!("/v1/projects/{}/callbacks", project.body["id"].as_str().unwrap());
    let test = format!("{path}/test");
    stand.post(stand.admin, &test, &json!({})).await.refused(409, "wrong-status");
    put(&stand, &path, &json!({ "url": "https://a.example/" })).await.expect(200);
    for actor in [stand.agent_admin, stand.agent, stand.analyst, stand.auditor] {
        stand.post(actor, &test, &json!({})).await.refused(403, "forbidden");
    }
    let asked = stand.post(stand.admin, &test, &json!({})).await.expect(202);
    assert_eq!(asked.header("location"), format!("{path}/deliveries/{}", asked.body["id"].as_str().unwrap()));
    catch_up(&stand).await;
    // Who delivers is not there, so nothing is written down.
    stand.get(stand.admin, asked.header("location")).await.refused(404, "not-found");
    stand.end().await;
}
