//! What the load works on: a vendor, its agents, a project, and the addresses of the processes that are up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::api::{call, http};
use crate::support::eventually;
use crate::support::installation::Installation;
use crate::support::vendor::{Agent, Project, Vendor};

/// What each agent begins with.
pub const OPENING: i64 = 1_000_000;
/// What a licence costs.
pub const PRICE: i64 = 7;
/// Licences that are there before the load, for its activations.
const LICENSES: u32 = 3_000;
/// Agents: two that manage, and six that sell, of which the last two stand below the first.
const AGENTS: usize = 8;
/// Where those begin that stand below the first.
const BELOW: usize = 6;

/// Everything that the clients share.
pub struct World {
    /// Client software and browsers.
    pub http: Client,
    /// The vendor.
    pub vendor: Vendor,
    /// Agents; the first two are agent admins.
    pub agents: Vec<Agent>,
    /// What is sold.
    pub project: Project,
    /// Under which plan.
    pub plan_id: String,
    /// Keys of licences that nobody has used yet.
    pub keys: Vec<String>,
    next_key: AtomicUsize,
    /// Where the API can be reached now; empty while nothing is up.
    pub urls: watch::Sender<Vec<String>>,
    /// How many commands were acknowledged.
    pub acknowledged: watch::Sender<u64>,
    /// How many requests have been sent and not answered.
    pub in_flight: Arc<AtomicUsize>,
    stopped: AtomicBool,
}

impl World {
    /// Makes the vendor through the front door of a running server.
    pub async fn build(installation: &Installation, url: &str) -> Self {
        let http = http();
        let vendor = Vendor::create(installation, &http, url, "vendor").await;
        let project = vendor.project(&http, url, "Editor").await;
        let plan =
            json!({ "name": "Year", "duration_days": 365, "max_machines": 2, "unit_price": PRICE, "features": ["a"] });
        let plan_id = vendor.plan(&http, url, &project, &plan).await;
        let mut agents: Vec<Agent> = Vec::new();
        for number in 0..AGENTS {
            let role = if number < 2 { "agent_admin" } else { "agent" };
            let name = format!("agent-{number}");
            let parent = if number < BELOW { vendor.token.clone() } else { agents[0].token.clone() };
            // The first pays for what those below it begin with.
            let opening = if number == 0 { OPENING * i64::try_from(AGENTS - BELOW + 1).unwrap() } else { OPENING };
            let agent = vendor.account(&http, url, &parent, &name, role, opening).await;
            vendor.grant(&http, url, &project, &agent).await;
            agents.push(agent);
        }
        let keys = first_keys(&http, url, &vendor, &project, &plan_id).await;
        Self {
            http,
            vendor,
            agents,
            project,
            plan_id,
            keys,
            next_key: AtomicUsize::new(0),
            urls: watch::Sender::new(vec![url.to_owned()]),
            acknowledged: watch::Sender::new(0),
            in_flight: Arc::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// A key that nobody has used; `None` when all are.
    pub fn take_key(&self) -> Option<&str> {
        self.keys.get(self.next_key.fetch_add(1, Ordering::Relaxed)).map(String::as_str)
    }

    /// Tells the clients to finish what they are at.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the clients shall end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The keys of a batch that the super admin's own account buys.
async fn first_keys(http: &Client, url: &str, vendor: &Vendor, project: &Project, plan_id: &str) -> Vec<String> {
    let top_up = json!({ "agent_id": vendor.admin_id, "amount": i64::from(LICENSES) * PRICE });
    call(http, &vendor.token, Method::POST, &format!("{url}/v1/quota/top-ups"), &top_up).await.expect(201);
    let batch = json!({ "project_id": project.id, "plan_id": plan_id, "count": LICENSES });
    let asked = call(http, &vendor.token, Method::POST, &format!("{url}/v1/license-batches"), &batch).await.expect(202);
    let location = format!("{url}{}", asked.header("location"));
    eventually("the first batch is issued", Duration::from_secs(60), async || {
        let batch = call(http, &vendor.token, Method::GET, &location, &Value::Null).await;
        (batch.body["status"] == "completed").then_some(())
    })
    .await;
    let export = format!("{location}/export?format=txt");
    let keys = call(http, &vendor.token, Method::GET, &export, &Value::Null).await.expect(200);
    let keys: Vec<String> = keys.text.lines().map(str::to_owned).collect();
    assert_eq!(keys.len(), LICENSES as usize);
    keys
}
