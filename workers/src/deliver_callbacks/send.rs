//! Sends one callback: looks the name up, checks every address, connects to exactly a checked one, and reads the beginning of
//! the answer.
//!
//! What must always hold: what the installation may not reach is never connected to, whatever a name resolves to, now or a
//! moment later; no proxy is asked and no redirect followed; nothing takes longer than said, and of an answer no more than
//! its beginning is read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use quotary_commands::callback::target::{Reach, TargetError};
use quotary_domain::DeliveryId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Position, Url};

use super::outcome::Outcome;

/// How much of an answer is kept, in bytes.
const KEPT: usize = 1_000;
/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;
/// How long one of them may take to accept.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the beginning of an answer's body may take.
const BODY_WITHIN: Duration = Duration::from_secs(2);
/// The most that the head of an answer may have, in bytes.
const HEAD: usize = 32 * 1_024;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, with `port`.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// As the host resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// What is sent.
#[derive(Debug)]
pub struct Message {
    /// Where to.
    pub url: String,
    /// `webhook-id`.
    pub id: DeliveryId,
    /// `webhook-timestamp`.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The JSON.
    pub body: String,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub outcome: Outcome,
    /// The status, if there was one.
    pub http_status: Option<u16>,
    /// The beginning of the body, or of what is wrong.
    pub text: Option<String>,
    /// How many seconds the address asked to be left alone (429 and 503).
    pub retry_after: Option<u64>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("the name can't be resolved: {0}")]
    Resolve(#[source] io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("{0}")]
    Connect(#[source] io::Error),
    #[error("{0}")]
    Tls(#[source] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the request can't be written down")]
    Request(#[from] hyper::http::Error),
}

impl SendError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Target(_) => Outcome::Forbidden,
            Self::Resolve(_) | Self::NoAddress => Outcome::Unresolved,
            Self::Connect(_) => Outcome::Unreachable,
            Self::Tls(_) => Outcome::Tls,
            Self::Http(_) | Self::Request(_) => Outcome::Broken,
        }
    }
}

/// Sends callbacks; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    reach: Reach,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    within: Duration,
}

impl Sender {
    /// A sender that reaches `reach`, trusts `roots`, and waits for an answer no longer than `within`.
    ///
    /// # Panics
    /// Never: the provider has the protocol versions that it says it has.
    #[must_use]
    pub fn new(reach: Reach, resolver: Arc<dyn Resolve>, roots: RootCertStore, within: Duration) -> Self {
        let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions");
        let config = versions.with_root_certificates(roots).with_no_client_auth();
        Self { reach, resolver, tls: TlsConnector::from(Arc::new(config)), within }
    }

    /// Sends a callback; whatever goes wrong is an answer too.
    pub async fn send(&self, message: Message) -> Answer {
        let failed = |outcome, text| Answer { outcome, http_status: None, text, retry_after: None };
        match timeout(self.within, self.exchange(message)).await {
            Ok(Ok(exchange)) => exchange.answer().await,
            Ok(Err(error)) => failed(error.outcome(), Some(error.to_string())),
            Err(_) => failed(Outcome::TimedOut, None),
        }
    }

    async fn exchange(&self, message: Message) -> Result<Exchange, SendError> {
        // Checked when it was set too; since then the rule may have changed.
        let url = self.reach.parse(&message.url)?;
        let request = request(&url, message)?;
        let stream = self.connect(&url).await?;
        if url.scheme() == "https" {
            let name = server_name(&url)?;
            let stream = self.tls.connect(name, stream).await.map_err(SendError::Tls)?;
            ask(stream, request).await
        } else {
            ask(stream, request).await
        }
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, SendError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Domain(name)) => self.resolver.resolve(name, port).await.map_err(SendError::Resolve)?,
            None => vec![],
        };
        // All of them: a name that has a public address beside a private one is up to no good.
        for address in &addresses {
            self.reach.check(address.ip())?;
        }
        let mut failure = SendError::NoAddress;
        for address in addresses.into_iter().take(ADDRESSES) {
            match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = SendError::Connect(error),
                Err(_) => failure = SendError::Connect(io::Error::from(io::ErrorKind::TimedOut)),
            }
        }
        Err(failure)
    }
}

/// The certificates that the host trusts; trouble is told by tracing.
#[must_use]
pub fn trusted_by_the_host() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a trusted certificate of the host can't be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("the host trusts no certificate: callbacks to https addresses will fail");
    }
    roots
}

fn server_name(url: &Url) -> Result<ServerName<'static>, SendError> {
    let invalid =
        || SendError::Tls(io::Error::new(io::ErrorKind::InvalidInput, "the host is no name of a certificate"));
    match url.host() {
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|_| invalid()),
        Some(Host::Ipv4(address)) => Ok(ServerName::IpAddress(std::net::IpAddr::V4(address).into())),
        Some(Host::Ipv6(address)) => Ok(ServerName::IpAddress(std::net::IpAddr::V6(address).into())),
        None => Err(invalid()),
    }
}

fn request(url: &Url, message: Message) -> Result<Request<Full<Bytes>>, SendError> {
    let Message { id, timestamp, signature, body, .. } = message;
    Ok(Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(header::USER_AGENT, concat!("Quotary/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header("webhook-id", id.to_string())
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(body)))?)
}

/// An answer whose body is not read yet.
struct Exchange {
    response: Response<Incoming>,
    /// Moves the connection; ends with this, however that ends.
    _driver: AbortOnDropHandle<Result<(), hyper::Error>>,
}

async fn ask<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Exchange, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let driver = AbortOnDropHandle::new(tokio::spawn(connection));
    Ok(Exchange { response: sender.send_request(request).await?, _driver: driver })
}

impl Exchange {
    /// The status has decided already: a body that breaks off, or never ends, changes nothing.
    async fn answer(mut self) -> Answer {
        let status = self.response.status().as_u16();
        let retry_after = if matches!(status, 429 | 503) { retry_after(&self.response) } else { None };
        let text = beginning(self.response.body_mut()).await;
        Answer { outcome: Outcome::of_status(status), http_status: Some(status), text, retry_after }
    }
}

/// Seconds alone; a date would be judged by a clock that is not ours.
fn retry_after(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

async fn beginning(body: &mut Incoming) -> Option<String> {
    let mut kept = Vec::new();
    let reading = async {
        while kept.len() < KEPT {
            let Some(Ok(frame)) = body.frame().await else { break };
            if let Some(data) = frame.data_ref() {
                kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
            }
        }
    };
    if timeout(BODY_WITHIN, reading).await.is_err() {
        tracing::debug!("the body of an answer to a callback did not come in time");
    }
    let text = String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}
