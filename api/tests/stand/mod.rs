//! The whole API over a database of its own: two tenants, an account of every role, read models and memory kept current.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that can't go on says where it stopped")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use quotary_api::route::Route;
use quotary_api::tokens::{Scope, TokenKeys};
use quotary_api::{AppState, Parts, feed};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::password::Password;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Vault, clock};
use quotary_domain::account::Username;
use quotary_domain::{AccountId, Actor, Quota, Role};
use quotary_projections::bus::subjects::Names;
use quotary_projections::feed::EventSource;
use quotary_projections::runner::Runners;
use quotary_projections::wait::Checkpoints;
use quotary_projections::{
    accounts, audit, cases, holds, journals, ledger, license_ends, license_stats, licenses, movements, notices, orders,
    projects, proposals, reconciliations, withdrawals,
};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

pub const PASSWORD: &str = "correct horse battery";

pub struct Stand {
    pub state: AppState,
    pub router: Router,
    pub admin: Actor,
    pub other_admin: Actor,
    pub agent_admin: Actor,
    pub agent: Actor,
    pub analyst: Actor,
    pub auditor: Actor,
    cancel: CancellationToken,
    admin_options: PgConnectOptions,
    database: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        self
    }
}

async fn database() -> (PgConnectOptions, String, PgPool) {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a scratch cluster");
    let options: PgConnectOptions = url.parse().unwrap();
    let name = format!("api_{}", clock::new_id().simple());
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    connection.execute(format!("create database {name}").as_str()).await.unwrap();
    let pool = PgPoolOptions::new().max_connections(12).connect_with(options.clone().database(&name)).await.unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
    Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
    (options, name, pool)
}

pub async fn tenant(commands: &Commands, name: &str) -> Actor {
    let input = CreateTenant {
        name: name.to_owned(),
        username: Username::parse("root").unwrap(),
        email: format!("root@{name}.example"),
        password: Password::new(PASSWORD.to_owned()),
        must_change_password: false,
    };
    let created = commands.create_tenant(input).await.unwrap().value;
    Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin }
}

impl Stand {
    pub async fn new() -> Self {
        let (admin_options, database, pool) = database().await;
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let (log, _task) = EventLog::start(pool.clone(), vault, Limits::default(), 10_000);
        let commands = Commands::new(log);
        let (cancel, checkpoints) = (CancellationToken::new(), Checkpoints::default());
        let events = Arc::new(EventSource::new(pool.clone(), None, Names::default(), cancel.clone()));
        let runners = Runners::new(pool.clone(), events.clone(), checkpoints.clone(), cancel.clone())
            .spawn(accounts::Accounts)
            .spawn(ledger::Ledger)
            .spawn(movements::Movements)
            .spawn(journals::Journals)
            .spawn(withdrawals::Withdrawals)
            .spawn(holds::Holds)
            .spawn(notices::Notices)
            .spawn(orders::Orders)
            .spawn(audit::Audit)
            .spawn(projects::Projects)
            .spawn(licenses::Licenses)
            .spawn(license_stats::LicenseStatistics)
            .spawn(license_ends::LicenseEnds)
            .spawn(reconciliations::Reconciliations)
            .spawn(cases::Cases)
            .spawn(proposals::Proposals);
        tokio::spawn(async move { runners.join().await.unwrap() });
        let models = feed::load(&pool).await.unwrap();
        tokio::spawn(feed::run(events.feed(models.position), models.clone(), pool.clone()));
        let state = AppState::new(Parts {
            commands: commands.clone(),
            pool,
            license_index: models.license_index,
            directory: models.directory,
            checkpoints,
            token_keys: TokenKeys::from_json(&TokenKeys::generate_json().unwrap()).unwrap(),
            nonces: 10_000,
            migration: Some(1),
            request_timeout: Duration::from_secs(30),
        });
        let admin = tenant(&commands, "acme").await;
        let other_admin = tenant(&commands, "other").await;
        let router = quotary_api::router(state.clone());
        let mut stand = Self {
            state,
            router,
            admin,
            other_admin,
            agent_admin: admin,
            agent: admin,
            analyst: admin,
            auditor: admin,
            cancel,
            admin_options,
            database,
        };
        stand.agent_admin = stand.account(admin, "manager", Role::AgentAdmin).await;
        stand.agent = stand.account(stand.agent_admin, "seller", Role::Agent).await;
        stand.analyst = stand.account(admin, "analyst", Role::Analyst).await;
        stand.auditor = stand.account(admin, "auditor", Role::Auditor).await;
        stand
    }

    /// An account below `by`, with [`PASSWORD`].
    pub async fn account(&self, by: Actor, name: &str, role: Role) -> Actor {
        let input = CreateAccount {
            username: Username::parse(name).unwrap(),
            email: format!("{name}@acme.example"),
            password: Some(Password::new(PASSWORD.to_owned())),
            must_change_password: false,
            role,
            opening_quota: Quota::ZERO,
        };
        let context = Context::of(by, "account.create", clock::now());
        let created = self.state.commands.create_account(&context, input).await.unwrap().value;
        Actor { tenant_id: by.tenant_id, account_id: created.account_id, role }
    }

    pub fn token(&self, actor: Actor) -> String {
        self.state.tokens.load().issue(actor, None, clock::now()).unwrap()
    }

    pub fn password_change_token(&self, actor: Actor) -> String {
        self.state.tokens.load().issue(actor, Some(Scope::PasswordChange), clock::now()).unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        assert_ne!(parts.status, StatusCode::INTERNAL_SERVER_ERROR, "{body}");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<&str>) -> Answer {
        self.call_with(method, path, token, body, &[]).await
    }

    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap()).await
    }

    pub async fn post(&self, actor: Actor, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(&self.token(actor)), Some(&body.to_string())).await
    }

    /// A query that sees everything that was answered so far.
    pub async fn get(&self, actor: Actor, path: &str) -> Answer {
        let position = self.head().await.to_string();
        let headers = [("quotary-min-position", position.as_str())];
        self.call_with(Method::GET, path, Some(&self.token(actor)), None, &headers).await
    }

    pub async fn head(&self) -> i64 {
        sqlx::query_scalar("select position from log_head").fetch_one(&self.state.pool).await.unwrap()
    }

    /// Stops everything and drops the database.
    pub async fn end(self) {
        self.cancel.cancel();
        self.state.pool.close().await;
        let mut connection = PgConnection::connect_with(&self.admin_options).await.unwrap();
        connection.execute(format!("drop database {} with (force)", self.database).as_str()).await.unwrap();
    }
}

/// The path of a route with this id for every parameter.
pub fn path(route: &Route, id: &str) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The account's id as text.
pub fn id(actor: Actor) -> AccountId {
    actor.account_id
}
