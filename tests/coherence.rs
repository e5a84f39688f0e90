//! A licence revoked on one API process is refused by the others, with the bus and without it: three processes of the
//! binary on one database.
//!
//! What always holds: no verification that was sent more than a second after the revocation was answered is accepted. How
//! soon it is refused in fact, `make bench` measures (`revoke_coherence`).

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use std::time::{Duration, Instant};

use axum::http::Method;
use quotary::embedded::{EmbeddedConfig, Nats, Profile};
use reqwest::Client;
use serde_json::{Value, json};
use support::api::{call, http};
use support::eventually;
use support::installation::{Installation, Server};
use support::vendor::{Project, Vendor};

const VERIFY: &str = "/v1/client/licenses/verify";
/// Licences that are revoked with the bus, and without it.
const EACH: usize = 25;
/// After it, whatever is sent has to be refused.
const COHERENT_WITHIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    http: Client,
    vendor: Vendor,
    project: Project,
    nodes: Vec<Server>,
}

impl Stage {
    async fn code(&self, node: &Server, key: &str) -> String {
        let body = json!({"key": key, "machine": {"fingerprint": "m1"}});
        let answer = self.project.key.request(&self.http, &node.url, VERIFY, &body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Revokes on the first process, and watches the others until each refuses.
    async fn revoke(&self, id: &str, key: &str) {
        for node in &self.nodes {
            eventually("a licence that is known everywhere", PATIENCE, async || {
                (self.code(node, key).await == "VALID").then_some(())
            })
            .await;
        }
        let url = format!("{}/v1/licenses/{id}/revoke", self.nodes[0].url);
        call(&self.http, &self.vendor.token, Method::POST, &url, &json!({})).await.expect(200);
        let revoked = Instant::now();
        assert_eq!(self.code(&self.nodes[0], key).await, "BANNED", "the process itself knows at once");
        for node in &self.nodes[1..] {
            loop {
                let sent = revoked.elapsed();
                let code = self.code(node, key).await;
                if code == "BANNED" {
                    break;
                }
                assert!(sent < COHERENT_WITHIN, "{code} was answered to what was sent {sent:?} after the revocation");
            }
        }
    }
}

#[tokio::test]
async fn a_revoked_licence_is_refused_by_every_process_with_the_bus_and_without_it() {
    let folder = tempfile::Builder::new().prefix("quotary-coherence-").tempdir().unwrap();
    let mut nats = Nats::start(&EmbeddedConfig::new(folder.path().join("servers"), Profile::Test)).await.unwrap();
    let installation =
        Installation::on("coherence", &support::environment("DATABASE_URL"), nats.nats_url().to_owned()).await;
    let worker = installation.start("worker").await;
    let mut nodes = vec![];
    for _ in 0..3 {
        nodes.push(installation.start("api").await);
    }
    let http = http();
    let vendor = Vendor::create(&installation, &http, &nodes[0].url, "acme").await;
    let project = vendor.project(&http, &nodes[0].url, "editor").await;
    let plan = json!({"name": "p", "duration_days": null, "max_machines": 1, "unit_price": 0});
    let plan = vendor.plan(&http, &nodes[0].url, &project, &plan).await;
    let licenses = licenses(&http, &vendor, &nodes[0], &project, &plan).await;
    let stage = Stage { http, vendor, project, nodes };
    for (id, key) in &licenses[..EACH] {
        stage.revoke(id, key).await;
    }
    nats.kill().await.unwrap();
    for (id, key) in &licenses[EACH..] {
        stage.revoke(id, key).await;
    }
    drop((stage, worker));
    // For the stream to be removed from.
    nats.restart().await.unwrap();
    installation.finish().await;
}

/// A batch of licences with their keys.
async fn licenses(
    http: &Client,
    vendor: &Vendor,
    node: &Server,
    project: &Project,
    plan: &str,
) -> Vec<(String, String)> {
    let asked = json!({"project_id": project.id, "plan_id": plan, "count": 2 * EACH});
    let url = format!("{}/v1/license-batches", node.url);
    let batch = call(http, &vendor.token, Method::POST, &url, &asked).await.expect(202).text_of("id");
    let url = format!("{}/v1/license-batches/{batch}/licenses?limit=200", node.url);
    eventually("the batch", PATIENCE, async || {
        let answer = call(http, &vendor.token, Method::GET, &url, &Value::Null).await;
        let items = answer.body["items"].as_array()?.clone();
        (items.len() == 2 * EACH).then_some(items)
    })
    .await
    .iter()
    .map(|item| (item["id"].as_str().unwrap().to_owned(), item["key"].as_str().unwrap().to_owned()))
    .collect()
}
