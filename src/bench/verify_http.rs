//! Verify calls per second over HTTP, with signature, nonce and look-up, beside a bare axum handler that reads and parses
//! the same body. Both get the same requests from the same client over the same number of connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::routing::post;
use quotary_api::client::VerifyRequest;
use quotary_commands::{Context, clock};
use quotary_domain::license::{LicenseTerms, Machine, UsedBy};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::http::Connection;
use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, fresh_database};
use super::shop::{Shop, VERIFY, config};
use crate::embedded::Servers;
use crate::service::{Halves, Service};

const CONNECTIONS: usize = 32;
const LICENSES: u32 = 1_000;
const WARM_UP: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(6);

/// Measures both.
///
/// # Errors
/// If the service fails or an answer is not that of a valid licence.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let database_url = fresh_database(servers, "bench_verify").await?;
    let config = config(database_url)?;
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

/// A shop whose licences are all in use, each on a machine of its own.
async fn prepare(service: &Service) -> Result<Shop, Failure> {
    let shop = Shop::open(service, LicenseTerms::usual(Some(365), 1, vec!["export".into()]), LICENSES).await?;
    let vault = service.commands.log().vault();
    for (number, (id, _)) in shop.licenses.iter().enumerate() {
        let machine = Machine::of(vault.hash(shop.admin.tenant_id, "fingerprint", &fingerprint(number)));
        let activation = Context::system(shop.admin.tenant_id, "license.use", clock::now());
        service.commands.use_license(&activation, shop.project_id, *id, machine, UsedBy::Verification).await?;
    }
    Ok(shop)
}

fn fingerprint(number: usize) -> String {
    format!("machine-{:08}-abcdef0123456789", number % LICENSES as usize)
}

async fn run(address: SocketAddr, callers: Arc<Shop>, expected: &'static [u8]) -> Result<Measured, Failure> {
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
            let request = callers.verify(address, place, &fingerprint(place), number)?;
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

/// The rival: reads and parses the same body and answers a constant of the same kind.
async fn bare(stop: CancellationToken) -> Result<SocketAddr, Failure> {
    async fn handler(body: Bytes) -> Result<([(header::HeaderName, &'static str); 1], String), StatusCode> {
        let request: VerifyRequest = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let answer = format!("{{\"valid\":true,\"length\":{}}}", request.key.len());
        Ok(([(header::CONTENT_TYPE, "application/json")], answer))
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().route(VERIFY, post(handler));
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await;
        if let Err(error) = served {
            tracing::error!(%error, "the bare server failed");
        }
    });
    Ok(address)
}
