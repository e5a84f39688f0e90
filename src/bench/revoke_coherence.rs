//! How soon a licence revoked on one API process is refused on two others: three processes of the binary on one database
//! and one bus. Measured from the answer to the revocation until the last of the others refuses.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quotary_commands::{Context, clock};
use quotary_domain::license::LicenseTerms;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::{Connection, find};
use super::report::{Line, Report};
use super::scene::{Failure, fresh_database};
use super::shop::{Shop, config};
use crate::config::Secret;
use crate::embedded::Servers;
use crate::service::{Halves, Service};

const REVOCATIONS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures them one after the other.
///
/// # Errors
/// If a process does not start, or goes on accepting a revoked licence.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let database_url = fresh_database(servers, "bench_coherence").await?;
    let mut config = config(database_url)?;
    config.nats_url = Some(Secret::from(servers.nats_url.clone()));
    config.stream_prefix = Some("bench_coherence".to_owned());
    let service = Service::start(&config, Halves::Both).await?;
    let shop = Shop::open(&service, LicenseTerms::usual(None, 4, vec![]), REVOCATIONS).await?;
    let settings = [
        ("DATABASE_URL", config.database_url()?.to_string()),
        ("NATS_URL", servers.nats_url.clone()),
        ("QUOTARY_STREAM_PREFIX", "bench_coherence".to_owned()),
        ("QUOTARY_LISTEN", "127.0.0.1:0".to_owned()),
        ("QUOTARY_MASTER_KEY", config.master_key()?.to_string()),
        ("QUOTARY_JWT_KEYS", config.token_keys()?.to_string()),
    ];
    let mut others = vec![Node::start(&settings).await?, Node::start(&settings).await?];
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for number in 0..REVOCATIONS as usize {
        for node in &mut others {
            node.until(&shop, number, b"\"code\":\"VALID\"").await?;
        }
        let context = Context::of(shop.admin, "license.revoke", clock::now());
        service.commands.revoke_license(&context, shop.licenses[number].0, None).await?;
        let revoked = Instant::now();
        for node in &mut others {
            node.until(&shop, number, b"\"code\":\"BANNED\"").await?;
        }
        latencies.record(u64::try_from(revoked.elapsed().as_micros())?)?;
    }
    let p99 = latencies.value_at_quantile(0.99);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
    let milliseconds = p99 as f64 / 1_000.0;
    let note = format!(
        "{REVOCATIONS} revocations, three processes; p50 {} µs, p99 {p99} µs, max {} µs",
        latencies.value_at_quantile(0.5),
        latencies.max()
    );
    let line = Line::plain("revoke_coherence", "ms", milliseconds, note);
    report.add(Line { p50_us: Some(latencies.value_at_quantile(0.5)), p99_us: Some(p99), ..line })?;
    for node in others {
        node.end().await?;
    }
    Ok(service.run_until(std::future::ready(())).await?)
}

/// An API process.
struct Node {
    child: Child,
    address: SocketAddr,
    connection: Connection,
    asked: u64,
}

impl Node {
    async fn start(settings: &[(&str, String)]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("api").envs(settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on http://") {
                    return Ok::<_, Failure>(url.parse::<SocketAddr>()?);
                }
            }
            Err("an API process ended".into())
        };
        let address = tokio::time::timeout(PATIENCE, listening).await??;
        let connection = Connection::open(address).await?;
        Ok(Self { child, address, connection, asked: 0 })
    }

    /// Verifies a licence until it is answered as expected.
    async fn until(&mut self, shop: &Shop, number: usize, expected: &[u8]) -> Result<(), Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            self.asked += 1;
            let request = shop.verify(self.address, number, "m", self.asked)?;
            let body = self.connection.ask(&request).await?;
            if find(body, expected).is_some() {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(format!("still another answer: {}", String::from_utf8_lossy(body)).into());
            }
        }
    }

    async fn end(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }
}
