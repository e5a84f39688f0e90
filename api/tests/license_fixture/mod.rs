//! A whole API on a database of a test's own: write side, projections, event feed and router in one process.
//!
//! What always holds: two tests share no database; nothing waits for a time, only for a position; [`Fixture::finish`]
//! leaves no database behind.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use quotary_api::client_signature::{HmacKey, RequestToSign, sign_request};
use quotary_api::tokens::TokenKeys;
use quotary_api::{AppState, Parts, feed};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::project::create::ShownCredentials;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Vault, clock};
use quotary_domain::account::Username;
use quotary_domain::license::LicenseTerms;
use quotary_domain::project::{Plan, Project, ProjectDetails};
use quotary_domain::{AccountId, Actor, BatchId, LicenseId, PlanId, ProjectId, Quota, Role, TenantId};
use quotary_projections::bus::Names;
use quotary_projections::feed::EventSource;
use quotary_projections::log_reader::LogReader;
use quotary_projections::runner::Runners;
use quotary_projections::wait::Checkpoints;
use quotary_projections::{accounts, audit, ledger, license_ends, license_stats, licenses, projects};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

/// The longest that any condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The API and what feeds it.
pub struct Fixture {
    pub state: AppState,
    pub app: Router,
    pub commands: Commands,
    pub pool: PgPool,
    pub stop: CancellationToken,
    admin: PgConnectOptions,
    database: String,
}

/// A tenant with its super admin.
#[derive(Clone, Copy)]
pub struct Tenant {
    pub admin: Actor,
}

/// A project with one plan of two machines.
pub struct TestProject {
    pub id: ProjectId,
    pub plan_id: PlanId,
    pub credentials: ShownCredentials,
    pub state: Project,
}

/// An answer, whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[expect(clippy::disallowed_methods, reason = "the server of the tests is given by the environment")]
fn database_url() -> String {
    std::env::var("DATABASE_URL").expect("`make test` sets DATABASE_URL")
}

impl Fixture {
    /// An API whose feed runs.
    pub async fn new() -> Self {
        Self::with(true).await
    }

    /// An API with or without a feed; without one, nothing in memory is ever trusted.
    pub async fn with(feed_runs: bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("api_lic_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let admin: PgConnectOptions = database_url().parse().unwrap();
        let mut connection = admin.connect().await.unwrap();
        sqlx::raw_sql(&format!("drop database if exists {name} with (force)")).execute(&mut connection).await.unwrap();
        sqlx::raw_sql(&format!("create database {name}")).execute(&mut connection).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(20).connect_with(admin.clone().database(&name)).await.unwrap();
        for migration in migrations() {
            sqlx::raw_sql(&migration).execute(&pool).await.unwrap();
        }
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let (log, _committer) = EventLog::start(pool.clone(), vault, Limits::default(), 10_000);
        let commands = Commands::new(log);
        let stop = CancellationToken::new();
        let checkpoints = Checkpoints::default();
        let events = Arc::new(LogReader::new(pool.clone()));
        let runners = Runners::new(pool.clone(), events, checkpoints.clone(), stop.clone())
            .spawn(licenses::Licenses)
            .spawn(license_stats::LicenseStatistics)
            .spawn(license_ends::LicenseEnds)
            .spawn(projects::Projects)
            .spawn(accounts::Accounts)
            .spawn(ledger::Ledger)
            .spawn(audit::Audit);
        tokio::spawn(runners.join());
        let models = feed::load(&pool).await.unwrap();
        let keys = TokenKeys::from_json(&TokenKeys::generate_json().unwrap()).unwrap();
        let state = AppState::new(Parts {
            commands: commands.clone(),
            pool: pool.clone(),
            license_index: models.license_index.clone(),
            directory: models.directory.clone(),
            checkpoints,
            token_keys: keys,
            nonces: 10_000,
            migration: None,
            request_timeout: PATIENCE,
        });
        if feed_runs {
            let source = EventSource::new(pool.clone(), None, Names::default(), stop.clone());
            tokio::spawn(feed::run(source.feed(models.position), models, pool.clone()));
        }
        let app = quotary_api::router(state.clone());
        Self { state, app, commands, pool, stop, admin, database: name }
    }

    pub async fn finish(self) {
        self.stop.cancel();
        self.pool.close().await;
        let mut connection = self.admin.connect().await.unwrap();
        let drop = format!("drop database {} with (force)", self.database);
        sqlx::raw_sql(&drop).execute(&mut connection).await.unwrap();
    }

    pub async fn tenant(&self, name: &str) -> Tenant {
        let input = CreateTenant {
            name: name.to_owned(),
            username: Username::parse("root").unwrap(),
            email: format!("root@{name}.example"),
            password: "correct horse battery staple".to_owned().into(),
            must_change_password: false,
        };
        let created = self.commands.create_tenant(input).await.unwrap().value;
        let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
        Tenant { admin }
    }

    /// An account below `parent`.
    pub async fn account(&self, parent: Actor, name: &str, role: Role) -> Actor {
        let input = CreateAccount {
            username: Username::parse(name).unwrap(),
            email: format!("{name}@{}.example", parent.tenant_id),
            password: Some("correct horse battery staple".to_owned().into()),
            must_change_password: false,
            role,
            opening_quota: Quota::ZERO,
        };
        let created = self.commands.create_account(&context(parent), input).await.unwrap();
        Actor { tenant_id: parent.tenant_id, account_id: created.value.account_id, role }
    }

    /// A project whose licences cost nothing.
    pub async fn project(&self, admin: Actor, name: &str) -> TestProject {
        let details = ProjectDetails { name: name.to_owned(), description: None, version: None, callback_url: None };
        let created = self.commands.create_project(&context(admin), details).await.unwrap().value;
        let id = created.after.project_id;
        let terms = LicenseTerms::usual(Some(30), 2, vec!["pro".to_owned()]);
        let plan = Plan::new("usual".to_owned(), Quota::ZERO, terms);
        let added = self.commands.add_plan(&context(admin), id, plan).await.unwrap();
        self.caught_up(added.position).await;
        TestProject { id, plan_id: added.value.plan_id, credentials: created.credentials, state: created.after.project }
    }

    /// A batch, issued to its end as the process manager does it.
    pub async fn batch(&self, owner: Actor, project: &TestProject, count: u32) -> (BatchId, u64) {
        let requested = self.commands.request_batch(&context(owner), project.id, project.plan_id, count).await.unwrap();
        let batch_id = requested.value.batch_id;
        let position = self.issue(owner.tenant_id, batch_id).await;
        (batch_id, position)
    }

    pub async fn issue(&self, tenant_id: TenantId, batch_id: BatchId) -> u64 {
        let context = Context::system(tenant_id, "license_batch.issue_chunk", clock::now());
        loop {
            let done = self.commands.issue_chunk(&context, batch_id).await.unwrap();
            if done.value.batch.next_chunk().is_none() {
                self.caught_up(done.position).await;
                return done.position;
            }
        }
    }

    /// Ids and keys of the licences of a batch, over HTTP.
    pub async fn keys(&self, owner: Actor, batch_id: BatchId, position: u64) -> Vec<(LicenseId, String)> {
        let path = format!("/v1/license-batches/{batch_id}/licenses?limit=200");
        let answer = self.get_at(owner, &path, position).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let items = answer.json()["items"].as_array().unwrap().clone();
        let pair =
            |item: &Value| (item["id"].as_str().unwrap().parse().unwrap(), item["key"].as_str().unwrap().to_owned());
        items.iter().map(pair).collect()
    }

    /// Waits until the feed has confirmed `position`; at once if it does not run.
    pub async fn caught_up(&self, position: u64) {
        let deadline = Instant::now() + PATIENCE;
        let index = &self.state.license_index;
        while index.position() < position {
            assert!(Instant::now() < deadline, "the feed is at {} and not at {position}", index.position());
            tokio::task::yield_now().await;
            if index.position() == 0 && !index.is_trusted(Instant::now()) && self.feed_is_off() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn feed_is_off(&self) -> bool {
        Arc::strong_count(&self.state.license_index) == 1
    }

    pub fn token(&self, actor: Actor) -> String {
        self.state.tokens.load().issue(actor, None, clock::now()).unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        assert_ne!(parts.status, StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, actor: Actor, path: &str) -> Answer {
        self.get_at(actor, path, 0).await
    }

    pub async fn get_at(&self, actor: Actor, path: &str, position: u64) -> Answer {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", self.token(actor)))
            .header("quotary-min-position", position);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, actor: Actor, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", self.token(actor)))
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A signed call of client software.
    pub async fn call(&self, credentials: &ShownCredentials, path: &str, body: &Value) -> Answer {
        self.send(signed(credentials, path, body, &nonce())).await
    }

    pub async fn verify(&self, credentials: &ShownCredentials, key: &str, fingerprint: &str) -> Value {
        let body = serde_json::json!({"key": key, "machine": {"fingerprint": fingerprint, "name": "büro 1"}});
        let answer = self.call(credentials, "/v1/client/licenses/verify", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()
    }
}

pub fn context(actor: Actor) -> Context {
    Context::of(actor, "test", clock::now())
}

pub fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("nonce-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A request of client software that asks for a signed answer.
pub fn signed(credentials: &ShownCredentials, path: &str, body: &Value, nonce: &str) -> Request<Body> {
    let body = body.to_string().into_bytes();
    let uri: Uri = path.parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept-signature", HeaderValue::from_static(r#"sig1=("@status" "content-digest");alg="ed25519""#));
    let request =
        RequestToSign { method: &Method::POST, uri: &uri, headers: &headers, body: &body, extra_components: &[] };
    let key = HmacKey::new(credentials.api_secret.as_bytes()).unwrap();
    let signature = sign_request(&request, &credentials.api_key_id.0, &key, clock::now().timestamp(), nonce).unwrap();
    signature.apply(&mut headers);
    let mut request = Request::new(Body::from(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
    request
}

fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// An id that nothing has.
pub fn nobody() -> AccountId {
    AccountId(clock::new_id())
}
