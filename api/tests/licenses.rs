//! Batches, licences, downloads and statistics over HTTP against a real database.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod license_fixture;

use axum::http::StatusCode;
use license_fixture::{Fixture, context, nobody};
use quotary_domain::{BatchId, Role};
use serde_json::json;

#[tokio::test]
async fn a_batch_is_asked_for_watched_and_shown_with_keys_to_its_owner_only() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let boss = api.account(tenant.admin, "boss", Role::AgentAdmin).await;
    let agent = api.account(boss, "agent", Role::Agent).await;
    api.commands.grant_project(&context(tenant.admin), project.id, agent.account_id, None).await.unwrap();
    let body = json!({"project_id": project.id, "plan_id": project.plan_id, "count": 3});
    let asked = api.post(agent, "/v1/license-batches", &body).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    assert_eq!((asked.json()["status"].as_str(), asked.json()["issued"].as_i64()), (Some("issuing"), Some(0)));
    let location = asked.header("location").to_owned();
    let batch_id: BatchId = asked.json()["id"].as_str().unwrap().parse().unwrap();
    let position = api.issue(agent.tenant_id, batch_id).await;
    let watched = api.get_at(agent, &location, position).await;
    assert_eq!((watched.json()["status"].as_str(), watched.json()["issued"].as_i64()), (Some("completed"), Some(3)));
    assert!(!watched.header("etag").is_empty());
    let path = format!("{location}/licenses?limit=2");
    let own = api.get_at(agent, &path, position).await.json();
    assert!(own["items"].as_array().unwrap().iter().all(|item| item["key"].is_string()), "{own}");
    let rest = format!("{path}&cursor={}", own["next_cursor"].as_str().unwrap());
    assert_eq!(api.get(agent, &rest).await.json()["items"].as_array().unwrap().len(), 1);
    for above in [boss, tenant.admin] {
        let seen = api.get_at(above, &path, position).await.json();
        assert!(seen["items"].as_array().unwrap().iter().all(|item| item["key"].is_null()), "{seen}");
        assert_eq!(api.get(above, &format!("{location}/export")).await.status, StatusCode::FORBIDDEN);
        assert_eq!(api.get(above, "/v1/license-batches").await.json()["items"].as_array().unwrap().len(), 1);
    }
    api.finish().await;
}

#[tokio::test]
async fn a_cancelled_batch_keeps_what_was_issued_and_gives_the_rest_of_its_hold_back() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let agent = api.account(tenant.admin, "agent", Role::Agent).await;
    let beside = api.account(tenant.admin, "beside", Role::Agent).await;
    api.commands.grant_project(&context(tenant.admin), project.id, agent.account_id, None).await.unwrap();
    let top_up = json!({"agent_id": agent.account_id, "amount": 30_000});
    assert_eq!(api.post(tenant.admin, "/v1/quota/top-ups", &top_up).await.status, StatusCode::CREATED);
    let plan = json!({"name": "paid", "duration_days": 30, "unit_price": 5});
    let plan = api.post(tenant.admin, &format!("/v1/projects/{}/plans", project.id), &plan).await.json();
    let body = json!({"project_id": project.id, "plan_id": plan["id"], "count": 5_000});
    let asked = api.post(agent, "/v1/license-batches", &body).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    let batch_id: BatchId = asked.json()["id"].as_str().unwrap().parse().unwrap();
    let system =
        quotary_commands::Context::system(agent.tenant_id, "license_batch.issue_chunk", quotary_commands::clock::now());
    let issued = api.commands.issue_chunk(&system, batch_id).await.unwrap().value.batch.issued;
    let path = format!("/v1/license-batches/{batch_id}/cancel");
    assert_eq!(api.post(beside, &path, &json!({})).await.status, StatusCode::NOT_FOUND);
    let cancelled = api.post(agent, &path, &json!({})).await;
    assert_eq!(cancelled.status, StatusCode::OK, "{:?}", cancelled.body);
    assert_eq!((&cancelled.json()["status"], &cancelled.json()["issued"]), (&json!("stopped"), &json!(issued)));
    assert_eq!(api.post(agent, &path, &json!({})).await.status, StatusCode::OK, "again is the same");
    assert!(
        api.commands.issue_chunk(&system, batch_id).await.unwrap().value.batch.issued == issued,
        "no more is issued"
    );
    let position: u64 = cancelled.header("quotary-position").parse().unwrap();
    let account = api.get_at(agent, &format!("/v1/quota/accounts/{}", agent.account_id), position).await.json();
    assert_eq!((&account["available"], &account["held"]), (&json!(30_000 - 5 * i64::from(issued)), &json!(0)));
    let (done, _) = api.batch(tenant.admin, &project, 1).await;
    let late = api.post(tenant.admin, &format!("/v1/license-batches/{done}/cancel"), &json!({})).await;
    assert_eq!((late.status, late.code().as_str()), (StatusCode::CONFLICT, "wrong-status"));
    api.finish().await;
}

#[tokio::test]
async fn every_download_has_all_keys_and_is_recorded_once() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let (batch, position) = api.batch(tenant.admin, &project, 2_500).await;
    let keys = api.keys(tenant.admin, batch, position).await;
    let path = |format: &str| format!("/v1/license-batches/{batch}/export?format={format}");
    let csv = api.get(tenant.admin, &path("csv")).await;
    assert_eq!(csv.status, StatusCode::OK, "{:?}", csv.body);
    assert!(csv.header("content-disposition").starts_with("attachment; filename=\"licenses-"));
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert_eq!(text.lines().next(), Some("number,key,license_id"));
    assert_eq!(text.lines().count(), 2_501);
    assert!(keys.iter().all(|(id, key)| text.contains(&format!(",{key},{id}\r\n"))));
    let lines = String::from_utf8(api.get(tenant.admin, &path("txt")).await.body.to_vec()).unwrap();
    assert_eq!(lines.lines().count(), 2_500);
    assert!(keys.iter().all(|(_, key)| lines.lines().any(|line| line == key)));
    let xlsx = api.get(tenant.admin, &path("xlsx")).await;
    assert!(xlsx.body.starts_with(b"PK"), "a workbook is a ZIP archive");
    assert!(xlsx.header("content-type").contains("spreadsheetml"));
    let last: u64 = xlsx.header("quotary-position").parse().unwrap();
    let seen = api.get_at(tenant.admin, &format!("/v1/license-batches/{batch}"), last).await.json();
    assert_eq!((seen["exports"].as_i64(), seen["exported"].as_i64()), (Some(3), Some(2_500)), "{seen}");
    let funnel = api.get_at(tenant.admin, "/v1/stats/funnel", last).await.json();
    assert_eq!((funnel["issued"].as_i64(), funnel["exported"].as_i64()), (Some(2_500), Some(2_500)));
    assert_eq!(api.get(tenant.admin, &path("pdf")).await.status, StatusCode::BAD_REQUEST);
    api.finish().await;
}

#[tokio::test]
async fn licences_are_listed_filtered_and_changed() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let (batch, position) = api.batch(tenant.admin, &project, 3).await;
    let keys = api.keys(tenant.admin, batch, position).await;
    let (id, key) = &keys[0];
    api.verify(&project.credentials, key, "m1").await;
    let renewed = api.post(tenant.admin, &format!("/v1/licenses/{id}/renew"), &json!({"days": 10})).await;
    assert_eq!(renewed.status, StatusCode::OK, "{:?}", renewed.body);
    let at = renewed.header("quotary-position").parse().unwrap();
    let one = api.get_at(tenant.admin, &format!("/v1/licenses/{id}"), at).await;
    assert_eq!(one.header("etag"), renewed.header("etag"));
    assert_eq!(one.json()["bindings"][0]["name"], "büro 1");
    assert!(one.json().get("key").is_none());
    for (filter, count) in [
        ("status=active".to_owned(), 1),
        ("status=unused".to_owned(), 2),
        (format!("batch_id={batch}"), 3),
        (format!("project_id={}", nobody()), 0),
        (format!("agent_id={}", tenant.admin.account_id), 3),
    ] {
        let listed = api.get_at(tenant.admin, &format!("/v1/licenses?{filter}"), at).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), count, "{filter}");
    }
    let unbound = api.post(tenant.admin, &format!("/v1/licenses/{id}/unbind"), &json!({})).await;
    assert_eq!((unbound.status, unbound.json()["machines"].as_i64()), (StatusCode::OK, Some(0)));
    let again = api.post(tenant.admin, &format!("/v1/licenses/{id}/unbind"), &json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "wrong-status"));
    let months = api.get_at(tenant.admin, "/v1/stats/licenses?group=month", at).await.json();
    let month = &months["items"][0];
    assert_eq!(
        (month["issued"].as_i64(), month["activated"].as_i64(), month["renewed"].as_i64()),
        (Some(3), Some(1), Some(1))
    );
    let activity = api.get_at(tenant.admin, "/v1/stats/activity", at).await.json();
    assert!(activity["days"].as_array().unwrap().iter().any(|day| day["command"] == "license.renew"), "{activity}");
    assert!(!activity["hours"].as_array().unwrap().is_empty());
    assert_eq!(api.get_at(tenant.admin, "/v1/stats/quota?group=month", at).await.status, StatusCode::OK);
    api.finish().await;
}

#[tokio::test]
async fn other_tenants_and_outsiders_find_nothing() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let agent = api.account(tenant.admin, "agent", Role::Agent).await;
    let (batch, position) = api.batch(tenant.admin, &project, 1).await;
    let (id, key) = api.keys(tenant.admin, batch, position).await.remove(0);
    let stranger = api.tenant("umbrella").await.admin;
    let foreign = api.project(stranger, "editor").await;
    for actor in [stranger, agent] {
        for path in [
            format!("/v1/license-batches/{batch}"),
            format!("/v1/license-batches/{batch}/licenses"),
            format!("/v1/license-batches/{batch}/export?format=csv"),
            format!("/v1/licenses/{id}"),
        ] {
            assert_eq!(api.get_at(actor, &path, position).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        for step in ["unbind", "disable", "enable", "revoke"] {
            let answer = api.post(actor, &format!("/v1/licenses/{id}/{step}"), &json!({})).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{step} {:?}", answer.body);
        }
        assert!(api.get(actor, "/v1/licenses").await.json()["items"].as_array().unwrap().is_empty());
    }
    let body = json!({"project_id": project.id, "plan_id": project.plan_id, "count": 1});
    assert_eq!(api.post(stranger, "/v1/license-batches", &body).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.verify(&foreign.credentials, &key, "m1").await["code"], "NOT_FOUND");
    api.finish().await;
}

#[tokio::test]
async fn bad_input_gets_a_problem_and_writes_nothing() {
    let api = Fixture::new().await;
    let tenant = api.tenant("acme").await;
    let project = api.project(tenant.admin, "editor").await;
    let (batch, position) = api.batch(tenant.admin, &project, 1).await;
    let (id, _) = api.keys(tenant.admin, batch, position).await.remove(0);
    let count = "select count(*) from events";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&api.pool).await.unwrap();
    let of = |count: serde_json::Value| json!({"project_id": project.id, "plan_id": project.plan_id, "count": count});
    for (body, status) in [
        (of(json!(0)), 422),
        (of(json!(-1)), 422),
        (of(json!(1_000_001)), 422),
        (of(json!(1.5)), 400),
        (of(json!("1")), 400),
        (of(json!(1e300)), 422),
        (json!({"project_id": "x", "plan_id": project.plan_id, "count": 1}), 422),
        (json!({"project_id": project.id, "plan_id": nobody(), "count": 1}), 404),
        (json!({"project_id": nobody(), "plan_id": project.plan_id, "count": 1}), 404),
        (json!({"project_id": project.id, "plan_id": project.plan_id, "count": 1, "x": 1}), 400),
    ] {
        let answer = api.post(tenant.admin, "/v1/license-batches", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body} {:?}", answer.body);
    }
    for (path, body, status) in [
        (format!("/v1/licenses/{id}/renew"), json!({"days": 0}), 422),
        (format!("/v1/licenses/{id}/renew"), json!({"days": 36_501}), 422),
        (format!("/v1/licenses/{id}/renew"), json!({}), 422),
        (format!("/v1/licenses/{id}/unbind"), json!({}), 409),
        (format!("/v1/licenses/{id}/revoke"), json!({"reason": "a\u{0}b"}), 422),
        (format!("/v1/licenses/{}/revoke", nobody()), json!({}), 404),
        ("/v1/licenses/x/revoke".to_owned(), json!({}), 400),
    ] {
        let answer = api.post(tenant.admin, &path, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body} {:?}", answer.body);
    }
    for path in [
        "/v1/licenses?limit=0",
        "/v1/licenses?limit=201",
        "/v1/licenses?status=lost",
        "/v1/licenses?cursor=%00",
        "/v1/licenses?x=1",
        "/v1/licenses/x",
        "/v1/license-batches?project_id=1",
        "/v1/stats/licenses?from=2026-13-01",
        "/v1/stats/licenses?from=2026-02-01&to=2026-01-01",
        "/v1/stats/licenses?from=-20000-01-01",
        "/v1/stats/licenses?group=week",
        "/v1/stats/quota?kind=%00",
        "/v1/stats/activity?from=1971-01-01",
        "/v1/stats/activity?to=9999-12-31&from=9999-01-01&x=",
        "/v1/stats/funnel?agent_id=",
    ] {
        let answer = api.get(tenant.admin, path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {:?}", answer.body);
    }
    let after: i64 = sqlx::query_scalar(count).fetch_one(&api.pool).await.unwrap();
    assert_eq!(after, before);
    api.finish().await;
}
