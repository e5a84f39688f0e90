//! A vendor with a project, a server that takes its callbacks or does not, a clock that a test moves, and who delivers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use quotary_commands::callback::target::Reach;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Vault, clock};
use quotary_domain::account::Username;
use quotary_domain::license::{Issue, License, LicenseEvent, LicenseTerms, Machine};
use quotary_domain::project::ProjectDetails;
use quotary_domain::{Actor, DeliveryId, LicenseId, ProjectId, Role, Sealed};
use quotary_projections::callbacks::{self, AttemptRecord, DeliveryFilter, DeliveryRecord};
use quotary_projections::page::PageRequest;
use quotary_workers::deliver_callbacks::{DeliverOptions, run};
use quotary_workers::leader::LeaderOptions;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::fixture::{Fact, Fixture, PATIENCE, fact};

/// What the server saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub fn license(&self) -> String {
        self.json()["data"]["license_id"].as_str().unwrap_or_default().to_owned()
    }
}

/// What the server does.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    With(u16, &'static str, &'static str),
    /// Never answers.
    Hang,
    /// Answers, and never ends.
    Endless,
}

type Answering = Box<dyn FnMut(&Seen) -> Reply + Send>;

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answering: Arc<Mutex<Answering>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
        let answering: Answering = Box::new(|_| Reply::Status(204));
        let receiver = Self { url, seen: Arc::default(), answering: Arc::new(Mutex::new(answering)) };
        let app = axum::Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    pub fn answer(&self, answering: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.answering.lock() = Box::new(answering);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until so many requests came.
    pub async fn until(&self, count: usize) -> Vec<Seen> {
        eventually(&format!("{count} requests"), || async { (self.seen().len() >= count).then(|| self.seen()) }).await
    }
}

async fn take(State(receiver): State<Receiver>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let seen = Seen { path: parts.uri.to_string(), headers: parts.headers, body };
    let reply = (*receiver.answering.lock())(&seen);
    receiver.seen.lock().push(seen);
    match reply {
        Reply::Status(status) => Response::builder().status(status).body(Body::empty()).unwrap(),
        Reply::With(status, name, value) => {
            Response::builder().status(status).header(name, value).body(Body::from("said the server")).unwrap()
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless => {
            Response::new(Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()))
        }
    }
}

/// Waits for something to be there, for a bounded time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub struct Scene {
    pub fixture: Fixture,
    pub commands: Commands,
    pub boss: Actor,
    pub project: ProjectId,
    /// The secret of the project's callbacks, as it was shown.
    pub secret: String,
    pub receiver: Receiver,
    clock: Arc<Mutex<DateTime<Utc>>>,
}

/// Who delivers, as a process would.
pub struct Worker {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    pub async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }

    /// Ends it as a crash does: nothing is finished, nothing written.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// How often a leader's lock is asked for in these tests.
fn leading() -> LeaderOptions {
    LeaderOptions { ask_again: Duration::from_millis(20), ..LeaderOptions::default() }
}

impl Scene {
    pub async fn new() -> Self {
        Self::reaching(Reach::Anything).await
    }

    pub async fn reaching(reach: Reach) -> Self {
        let fixture = Fixture::new().await;
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let log = EventLog::start(fixture.pool.clone(), vault, Limits::default(), 1_000).0;
        let commands = Commands::new(log).with_callbacks(reach);
        let input = CreateTenant {
            name: "acme".to_owned(),
            username: Username::parse("boss").unwrap(),
            email: "boss@example.com".to_owned(),
            password: "correct horse battery".to_owned().into(),
            must_change_password: false,
        };
        let made = commands.create_tenant(input).await.unwrap().value;
        let boss = Actor { tenant_id: made.tenant_id, account_id: made.account_id, role: Role::SuperAdmin };
        let receiver = Receiver::start().await;
        let clock = Arc::new(Mutex::new(clock::now()));
        let mut scene =
            Self { fixture, commands, boss, project: ProjectId::default(), secret: String::new(), receiver, clock };
        if reach == Reach::Anything {
            (scene.project, scene.secret) = scene.project_at(&scene.receiver.url.clone()).await;
        }
        scene
    }

    /// A project with callbacks to `url`, and their secret.
    pub async fn project_at(&self, url: &str) -> (ProjectId, String) {
        let details = ProjectDetails {
            name: format!("p-{}", clock::new_id()),
            description: None,
            version: None,
            callback_url: Some(url.to_owned()),
        };
        let made = self.commands.create_project(&self.by_boss(), details).await.unwrap().value;
        (made.after.project_id, made.callback_secret.unwrap())
    }

    pub fn by_boss(&self) -> Context {
        Context::of(self.boss, "test", clock::now())
    }

    pub fn now(&self) -> DateTime<Utc> {
        *self.clock.lock()
    }

    /// Moves the clock of who delivers.
    pub fn later(&self, by: TimeDelta) {
        *self.clock.lock() += by;
    }

    pub fn options(&self) -> DeliverOptions {
        let clock = self.clock.clone();
        DeliverOptions {
            poll: Duration::from_millis(10),
            answer_within: Duration::from_secs(10),
            clock: Some(Arc::new(move || *clock.lock())),
            roots: Some(tokio_rustls::rustls::RootCertStore::empty()),
            ..DeliverOptions::default()
        }
    }

    pub fn start(&self) -> Worker {
        self.start_with(self.options())
    }

    pub fn start_with(&self, options: DeliverOptions) -> Worker {
        let cancel = CancellationToken::new();
        let (commands, pool) = (self.commands.clone(), self.fixture.pool.clone());
        let task = tokio::spawn(run(commands, pool, options, leading(), cancel.clone()));
        Worker { cancel, task }
    }

    /// The beginning of a licence of the project.
    pub fn issued(&self, number: u128) -> Fact {
        self.issued_of(self.project, number)
    }

    pub fn issued_of(&self, project: ProjectId, number: u128) -> Fact {
        let issue = Issue {
            plan_version: 1,
            expires_at: None,
            batch_id: Uuid::from_u128(1).into(),
            project_id: project,
            plan_id: Uuid::from_u128(3).into(),
            agent_id: Uuid::from_u128(4).into(),
            terms: LicenseTerms::usual(Some(30), 2, vec![]),
            key_hash: format!("hash-of-key-{number}"),
            key: Sealed("v1.k.sealed-key".to_owned()),
        };
        self.of(number, &LicenseEvent::LicenseIssued(issue))
    }

    /// An event of a licence of the vendor.
    pub fn of(&self, number: u128, event: &LicenseEvent) -> Fact {
        fact::<License>(license(number), event).of(self.boss.tenant_id)
    }

    pub fn activated(&self, number: u128) -> Fact {
        let at = self.now() - TimeDelta::days(1);
        let machine = Machine::of("keyed-hash-1");
        let expires_at = Some(at + TimeDelta::days(30));
        self.of(number, &LicenseEvent::LicenseActivated { activated_at: at, expires_at, machine })
    }

    pub async fn append(&self, facts: Vec<Fact>) {
        self.fixture.append(facts).await;
    }

    pub async fn delivery(&self, id: &str) -> (DeliveryRecord, Vec<AttemptRecord>) {
        let id: DeliveryId = id.parse().unwrap();
        callbacks::get(&self.fixture.pool, self.boss.tenant_id, self.project, id).await.unwrap().unwrap()
    }

    /// The deliveries of a project, the oldest first.
    pub async fn deliveries(&self, project: ProjectId) -> Vec<DeliveryRecord> {
        let page = PageRequest::new(Some(200), None);
        let filter = DeliveryFilter::default();
        let mut found =
            callbacks::list(&self.fixture.pool, self.boss.tenant_id, project, filter, &page).await.unwrap().items;
        found.reverse();
        found
    }

    /// Waits until the deliveries of the project stand so, the oldest first.
    pub async fn until_standing(&self, expected: &[&str]) -> Vec<DeliveryRecord> {
        eventually(&format!("deliveries {expected:?}"), || async {
            let found = self.deliveries(self.project).await;
            let standing: Vec<&str> = found.iter().map(|delivery| delivery.status.as_str()).collect();
            (standing == expected).then(|| found.clone())
        })
        .await
    }

    pub async fn end(self) {
        self.fixture.finish().await;
    }
}

pub fn license(number: u128) -> LicenseId {
    LicenseId(Uuid::from_u128(1_000 + number))
}
