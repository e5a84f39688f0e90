//! A running server with two vendors, and shots at it that must be refused.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use quotary_api::problem::Code;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::api::{Answer, call};
use crate::support::eventually;
use crate::support::installation::{Installation, Server};
use crate::support::vendor::{Agent, Project, Vendor};

/// A request that is wrong in one way.
#[derive(Clone, Debug)]
pub struct Shot {
    /// What is wrong.
    pub name: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: Vec<u8>,
}

impl Shot {
    /// A request with a JSON body and a token.
    pub fn new(token: &str, method: Method, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let (path, body) = (path.into(), body.into());
        let mut headers = HeaderMap::new();
        if !token.is_empty() {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if !body.is_empty() {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        let start: String = String::from_utf8_lossy(&body).chars().take(80).collect();
        Self { name: format!("{method} {path} {start}"), method, path, headers, body }
    }

    /// A command.
    pub fn post(token: &str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new(token, Method::POST, path, body)
    }

    /// A query.
    pub fn get(token: &str, path: impl Into<String>) -> Self {
        Self::new(token, Method::GET, path, "")
    }

    /// The same with a header more; a second one of that name stands beside the first.
    pub fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.name = format!("{} {name}: {value:?}", self.name);
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// The same with a header less.
    pub fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self.name = format!("{} without {name}", self.name);
        self
    }

    /// The same with these headers in place of those of the same names.
    pub fn signed(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// A vendor with one of everything.
pub struct Shop {
    /// The vendor; its token is the super admin's.
    pub vendor: Vendor,
    /// An agent admin.
    pub manager: Agent,
    /// An agent below the manager.
    pub seller: Agent,
    /// An agent below the super admin.
    pub stranger: Agent,
    /// Reads statistics.
    pub analyst: Agent,
    /// Reads the log.
    pub auditor: Agent,
    /// A project, granted to all agents.
    pub project: Project,
    /// A plan of it.
    pub plan_id: String,
    /// A batch of the seller's.
    pub batch_id: String,
    /// A licence of it.
    pub license_id: String,
    /// Its key.
    pub license_key: String,
    /// An open withdrawal of the seller's.
    pub withdrawal_id: String,
    /// A transfer of the seller's.
    pub transfer_id: String,
}

/// The server with both vendors.
pub struct Scene {
    /// Where it runs.
    pub installation: Installation,
    /// The server.
    pub server: Server,
    /// Whoever asks.
    pub http: Client,
    /// The vendor whose accounts ask.
    pub shop: Shop,
    /// Another vendor, whose things nobody of the first may see.
    pub other: Shop,
    /// How many shots were refused.
    pub refused: usize,
    /// What was not answered as it should be; told together at the end.
    wrong: Vec<String>,
}

impl Scene {
    /// Starts a server and makes both vendors.
    pub async fn new() -> Self {
        let installation = Installation::new("bad_input").await;
        let server = installation.start("serve").await;
        // A server that refuses a request before it has read its body may close the connection. A client that keeps it
        // for the next request races with that, so this one keeps none.
        let patience = Duration::from_secs(40);
        let http = Client::builder().timeout(patience).pool_max_idle_per_host(0).build().unwrap();
        let shop = Shop::create(&installation, &http, &server.url, "first").await;
        let other = Shop::create(&installation, &http, &server.url, "second").await;
        Self { installation, server, http, shop, other, refused: 0, wrong: vec![] }
    }

    /// Fires a shot.
    pub async fn fire(&self, shot: &Shot) -> Answer {
        let url = format!("{}{}", self.server.url, shot.path);
        let request = self.http.request(shot.method.clone(), url).headers(shot.headers.clone()).body(shot.body.clone());
        let response = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", shot.name));
        Answer::read(response).await.unwrap()
    }

    /// Fires a shot that must be refused with this status and code, as a problem document.
    pub async fn refuse(&mut self, shot: Shot, status: u16, code: &str) {
        let answer = self.fire(&shot).await;
        if (answer.status, answer.code()) == (status, code) {
            check_problem(&shot.name, &answer);
            self.refused += 1;
        } else {
            self.wrong.push(format!("{} wants {status} {code}: {} {}", shot.name, answer.status, answer.text));
        }
    }

    /// Fires shots that must all be refused alike.
    pub async fn refuse_all(&mut self, shots: impl IntoIterator<Item = Shot>, status: u16, code: &str) {
        for shot in shots {
            self.refuse(shot, status, code).await;
        }
    }

    /// Notes it unless the log is where it was.
    pub async fn nothing_written(&mut self, before: i64, section: &str) {
        let head = self.installation.head().await;
        if head != before {
            self.wrong.push(format!("{section}: {} events were written", head - before));
        }
    }

    /// Stops the server, which must not have met a failure of the inside.
    pub async fn finish(mut self) {
        assert!(
            self.wrong.is_empty(),
            "{} are not answered as they should be:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        assert!(self.server.process.terminate().await.success(), "{}", self.server.process.diagnostics());
        assert_eq!(self.installation.failures(), Vec::<String>::new());
        self.installation.finish().await;
    }
}

/// A refusal is a whole problem document with a known code, and tells nothing of the inside.
pub fn check_problem(name: &str, answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{name}: {}", answer.text);
    let known = Code::ALL.iter().find(|code| code.slug() == answer.code());
    let known = known.unwrap_or_else(|| panic!("{name}: unknown code: {}", answer.text));
    assert_eq!(known.status().as_u16(), answer.status, "{name}");
    assert_eq!(answer.body["status"], answer.status, "{name}");
    for field in ["type", "title", "detail"] {
        assert!(
            answer.body[field].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: no {field}: {}",
            answer.text
        );
    }
    for inside in ["sqlx", "postgres", "panicked", "src/", "quotary_", "::"] {
        assert!(!answer.text.to_lowercase().contains(inside), "{name} shows the inside: {}", answer.text);
    }
}

impl Shop {
    async fn create(installation: &Installation, http: &Client, url: &str, tenant: &str) -> Self {
        let vendor = Vendor::create(installation, http, url, tenant).await;
        let root = vendor.token.clone();
        let manager = vendor.account(http, url, &root, "manager", "agent_admin", 10_000).await;
        let seller = vendor.account(http, url, &manager.token, "seller", "agent", 5_000).await;
        let stranger = vendor.account(http, url, &root, "stranger", "agent", 1_000).await;
        let analyst = vendor.account(http, url, &root, "analyst", "analyst", 0).await;
        let auditor = vendor.account(http, url, &root, "auditor", "auditor", 0).await;
        let project = vendor.project(http, url, "Editor").await;
        let plan = json!({ "name": "Year", "duration_days": 365, "max_machines": 1, "unit_price": 10 });
        let plan_id = vendor.plan(http, url, &project, &plan).await;
        for agent in [&manager, &seller, &stranger] {
            vendor.grant(http, url, &project, agent).await;
        }
        let post = async |path: &str, body: Value| {
            call(http, &seller.token, Method::POST, &format!("{url}{path}"), &body).await
        };
        let get =
            async |path: &str| call(http, &seller.token, Method::GET, &format!("{url}{path}"), &Value::Null).await;
        let batch = json!({ "project_id": project.id, "plan_id": plan_id, "count": 2 });
        let batch_id = post("/v1/license-batches", batch).await.expect(202).text_of("id");
        eventually("the batch is issued", Duration::from_secs(30), async || {
            let batch = get(&format!("/v1/license-batches/{batch_id}")).await;
            (batch.body["status"] == "completed").then_some(())
        })
        .await;
        let license =
            get(&format!("/v1/license-batches/{batch_id}/licenses")).await.expect(200).body["items"][0].clone();
        let payee = json!({ "amount": 100, "payee": { "bank": "First" } });
        let withdrawal_id = post("/v1/withdrawals", payee).await.expect(201).text_of("id");
        let transfer = json!({ "to_username": "stranger", "amount": 1 });
        let transfer_id = post("/v1/quota/transfers", transfer).await.expect(201).text_of("id");
        let text = |field: &str| license[field].as_str().unwrap().to_owned();
        let (license_id, license_key) = (text("id"), text("key"));
        Self {
            vendor,
            manager,
            seller,
            stranger,
            analyst,
            auditor,
            project,
            plan_id,
            batch_id,
            license_id,
            license_key,
            withdrawal_id,
            transfer_id,
        }
    }
}
