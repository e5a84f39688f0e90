//! Verify calls per second over HTTP, with signature, nonce and look-up, beside a bare axum handler that reads and parses
//! the same body. Both get the same requests from the same client over the same number of connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::routing::post;
use base64::Engine as _;
use quotary_api::client::VerifyRequest;
use quotary_api::client_signature::{HmacKey, RequestToSign, sign_request};
use quotary_api::tokens::TokenKeys;
use quotary_commands::license_batch::issue_chunk::key_purpose;
use quotary_commands::{Context, clock};
use quotary_domain::license::{LicenseTerms, Machine, UsedBy};
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{Actor, LicenseId, Quota, Role, Sealed};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::http::Connection;
use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, fresh_database};
use crate::config::{Config, Secret};
use crate::embedded::Servers;
use crate::service::{Halves, Service};

const CONNECTIONS: usize = 32;
const LICENSES: u32 = 1_000;
const WARM_UP: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(6);
const PATH: &str = "/v1/client/licenses/verify";
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures both.
///
/// # Errors
/// If the service fails or an answer is not that of a valid licence.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let database_url = fresh_database(servers, "bench_verify").await?;
    let config = Config {
        database_url: Some(Secret::from(database_url)),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        master_key: Some(Secret::from(base64::engine::general_purpose::STANDARD.encode([7; 32]))),
        token_keys: Some(Secret::from(TokenKeys::generate_json()?.to_string())),
        ..Config::default()
    };
    let service = Service::start(&config, Halves::Both).await?;
    let callers = Arc::new(prepare(&service).await?);
    let stop = CancellationToken::new();
    let bare_address = bare(stop.clone()).await?;
    let bare = run(bare_address, callers.clone(), b"\"valid\":true").await?;
    let ours = run(service.address, callers, b"\"code\":\"VALID\"").await?;
    stop.cancel();
    let note = format!("{CONNECTIONS} connections, unsigned answers; client on the same cores");
    report.add(Line::of_loop("verify_http", "calls/s", &ours, Some(&bare)).noting(&note))?;
    Ok(service.run_until(std::future::ready(())).await?)
}

/// What every call needs.
struct Callers {
    key_id: String,
    key: HmacKey,
    bodies: Vec<String>,
}

/// A project with activated licences.
async fn prepare(service: &Service) -> Result<Callers, Failure> {
    let commands = &service.commands;
    let tenant = quotary_commands::tenant::create::CreateTenant {
        name: "bench".into(),
        username: quotary_domain::account::Username::parse("admin")?,
        email: "admin@example.com".into(),
        password: zeroize::Zeroizing::new("bench-password".into()),
        must_change_password: false,
    };
    let created = commands.create_tenant(tenant).await?.value;
    let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
    let context = |command| Context::of(admin, command, clock::now());
    let details = ProjectDetails { name: "Bench".into(), description: None, version: None, callback_url: None };
    let project = commands.create_project(&context("project.create"), details).await?.value;
    let project_id = project.after.project_id;
    let terms = LicenseTerms::usual(Some(365), 1, vec!["export".into()]);
    let plan = Plan::new("Bench".into(), Quota::ZERO, terms);
    let plan_id = commands.add_plan(&context("project.add_plan"), project_id, plan).await?.value.plan_id;
    let batch = commands.request_batch(&context("license_batch.request"), project_id, plan_id, LICENSES).await?.value;
    let sealed = issued(&service.pool, batch.batch_id.0).await?;
    let vault = commands.log().vault();
    let mut bodies = Vec::new();
    for (number, (id, key)) in sealed.into_iter().enumerate() {
        let fingerprint = format!("machine-{number:08}-abcdef0123456789");
        let machine = Machine::of(vault.hash(admin.tenant_id, "fingerprint", &fingerprint));
        let activation = Context::system(admin.tenant_id, "license.use", clock::now());
        commands.use_license(&activation, project_id, LicenseId(id), machine, UsedBy::Verification).await?;
        let key = vault.open(admin.tenant_id, &key_purpose(LicenseId(id)), &Sealed(key))?;
        let key = std::str::from_utf8(&key)?;
        bodies.push(serde_json::json!({"key": key, "machine": {"fingerprint": fingerprint}}).to_string());
    }
    let key = HmacKey::new(project.credentials.api_secret.as_bytes())?;
    Ok(Callers { key_id: project.credentials.api_key_id.0, key, bodies })
}

/// The batch's licences, once they are all in the log.
async fn issued(pool: &PgPool, batch: Uuid) -> Result<Vec<(Uuid, String)>, Failure> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select aggregate_id, payload->'LicenseIssued'->>'key' from events \
             where aggregate_type = 'License' and event_type = 'LicenseIssued' \
             and payload->'LicenseIssued'->>'batch_id' = $1",
        )
        .bind(batch.to_string())
        .fetch_all(pool)
        .await?;
        if rows.len() == LICENSES as usize {
            return rows.into_iter().map(|(id, key)| Ok((Uuid::parse_str(&id)?, key))).collect();
        }
        if tokio::time::Instant::now() > give_up {
            return Err("the batch was not issued in time".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn run(address: SocketAddr, callers: Arc<Callers>, expected: &'static [u8]) -> Result<Measured, Failure> {
    // First calls may come before the index has heard of the licences; they are answered by a command.
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Arc::new(Mutex::new(Connection::open(address).await?)));
    }
    let connections = Arc::new(connections);
    closed_loop(CONNECTIONS, WARM_UP, PERIOD, move |number| {
        let (callers, connections) = (callers.clone(), connections.clone());
        async move {
            let place = usize::try_from(number)?;
            let request = signed(&callers, place, address)?;
            // As many callers as connections: whoever comes finds one that is free.
            let start = place % CONNECTIONS;
            let free =
                (0..CONNECTIONS).find_map(|n| connections[(start + n) % CONNECTIONS].clone().try_lock_owned().ok());
            let mut connection = match free {
                Some(connection) => connection,
                None => connections[start].clone().lock_owned().await,
            };
            connection.call(&request, expected).await
        }
    })
    .await
}

fn signed(callers: &Callers, number: usize, address: SocketAddr) -> Result<Vec<u8>, Failure> {
    use std::io::Write as _;
    let body = &callers.bodies[number % callers.bodies.len()];
    let nonce = Uuid::from_u128(u128::from(clock::now().timestamp_micros().cast_unsigned()) << 64 | number as u128);
    let request = RequestToSign {
        method: &Method::POST,
        uri: &Uri::from_static(PATH),
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        extra_components: &[],
    };
    let signature =
        sign_request(&request, &callers.key_id, &callers.key, clock::now().timestamp(), &nonce.simple().to_string())?;
    let mut headers = HeaderMap::new();
    signature.apply(&mut headers);
    let mut bytes = Vec::with_capacity(1_024);
    write!(bytes, "POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n")?;
    for (name, value) in &headers {
        write!(bytes, "{name}: ")?;
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    write!(bytes, "content-length: {}\r\n\r\n{body}", body.len())?;
    Ok(bytes)
}

/// The rival: reads and parses the same body and answers a constant of the same kind.
async fn bare(stop: CancellationToken) -> Result<SocketAddr, Failure> {
    async fn handler(body: Bytes) -> Result<([(header::HeaderName, &'static str); 1], String), StatusCode> {
        let request: VerifyRequest = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let answer = format!("{{\"valid\":true,\"length\":{}}}", request.key.len());
        Ok(([(header::CONTENT_TYPE, "application/json")], answer))
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().route(PATH, post(handler));
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await;
        if let Err(error) = served {
            tracing::error!(%error, "the bare server failed");
        }
    });
    Ok(address)
}
