//! A callback never reaches what the installation does not allow, whatever a name resolves to; and TLS is what it should be.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use quotary_commands::callback::target::Reach;
use quotary_domain::DeliveryId;
use quotary_workers::deliver_callbacks::outcome::Outcome;
use quotary_workers::deliver_callbacks::send::{Answer, Message, Resolve, Sender, SystemResolver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

/// Every name has these addresses, one list after the other at each question.
struct Answers(Vec<Vec<SocketAddr>>, AtomicUsize);

impl Answers {
    fn always(addresses: &[SocketAddr]) -> Arc<Self> {
        Arc::new(Self(vec![addresses.to_vec()], AtomicUsize::new(0)))
    }

    fn asked(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }
}

impl Resolve for Answers {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let asked = self.1.fetch_add(1, Ordering::Relaxed);
        let addresses = self.0[asked.min(self.0.len() - 1)].clone();
        Box::pin(async move { Ok(addresses) })
    }
}

fn sender(reach: Reach, resolver: Arc<dyn Resolve>, roots: RootCertStore) -> Sender {
    Sender::new(reach, resolver, roots, Duration::from_secs(10))
}

async fn send(sender: &Sender, url: &str) -> Answer {
    let body = "{}".to_owned();
    let signature = "v1,x".to_owned();
    sender.send(Message { url: url.to_owned(), id: DeliveryId::default(), timestamp: 1, signature, body }).await
}

/// A server on this host that counts who connects, and answers 200 to all.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                assert!(read > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_name_that_resolves_to_no_public_address_is_refused_for_every_class_of_address() {
    let (server, connections) = counting().await;
    let public: SocketAddr = "93.184.215.14:443".parse().unwrap();
    for inside in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "ff02::1",
    ] {
        let inside = SocketAddr::new(inside.parse::<IpAddr>().unwrap(), server.port());
        // Also beside a public one, in either order.
        for addresses in [vec![inside], vec![public, inside], vec![inside, public]] {
            let sender = sender(Reach::Public, Answers::always(&addresses), RootCertStore::empty());
            let answer = send(&sender, "https://hooks.example/").await;
            assert_eq!(answer.outcome, Outcome::Forbidden, "{addresses:?}");
            assert!(answer.text.unwrap().starts_with("must be a public host and not "));
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_connected_to_is_what_was_checked_so_a_name_that_changes_between_gains_nothing() {
    let (server, connections) = counting().await;
    // Public when asked first, this host when asked again. It is asked once.
    let public: SocketAddr = "192.0.2.1:443".parse().unwrap();
    let changing = Arc::new(Answers(vec![vec![public], vec![server]], AtomicUsize::new(0)));
    let impatient = Sender::new(Reach::Anything, changing.clone(), RootCertStore::empty(), Duration::from_millis(300));
    let answer = send(&impatient, &format!("http://hooks.example:{}/", server.port())).await;
    assert!(matches!(answer.outcome, Outcome::TimedOut | Outcome::Unreachable), "{answer:?}");
    assert_eq!((changing.asked(), connections.load(Ordering::Relaxed)), (1, 0));
    // The rule is asked at each sending.
    let changing = Arc::new(Answers(vec![vec![server]], AtomicUsize::new(0)));
    let answer = send(&sender(Reach::Public, changing, RootCertStore::empty()), "https://hooks.example/").await;
    assert_eq!((answer.outcome, connections.load(Ordering::Relaxed)), (Outcome::Forbidden, 0));
}

#[tokio::test]
async fn an_address_that_was_set_under_another_rule_is_refused_when_it_is_sent_to() {
    let (server, connections) = counting().await;
    let system: Arc<dyn Resolve> = Arc::new(SystemResolver);
    let public = sender(Reach::Public, system.clone(), RootCertStore::empty());
    for url in [
        format!("http://{server}/"),
        format!("https://{server}/"),
        format!("https://[::ffff:127.0.0.1]:{}/", server.port()),
        format!("https://2130706433:{}/", server.port()),
        format!("https://localhost:{}/", server.port()),
        format!("https://user@{server}/"),
        "https://".to_owned(),
    ] {
        assert_eq!(send(&public, &url).await.outcome, Outcome::Forbidden, "{url}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    let anything = sender(Reach::Anything, system, RootCertStore::empty());
    let answer = send(&anything, &format!("http://localhost:{}/", server.port())).await;
    assert_eq!((answer.outcome, answer.text.as_deref()), (Outcome::Delivered, Some("ok")));
}

#[tokio::test]
async fn what_is_no_server_has_an_outcome_of_its_own() {
    let anything = |resolver: Arc<dyn Resolve>| sender(Reach::Anything, resolver, RootCertStore::empty());
    let nothing = anything(Answers::always(&[]));
    assert_eq!(send(&nothing, "http://hooks.example/").await.outcome, Outcome::Unresolved);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let speaks_nonsense = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 smtp.example ESMTP\r\n").await.unwrap();
    });
    let here = anything(Answers::always(&[address]));
    assert_eq!(send(&here, &format!("http://{address}/")).await.outcome, Outcome::Broken);
    speaks_nonsense.await.unwrap();
    assert_eq!(send(&here, &format!("http://{address}/")).await.outcome, Outcome::Unreachable);
    // A head without end is no answer either.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while written.is_ok() {
            written = stream.write_all(&[b'x'; 8_192]).await;
        }
    });
    assert_eq!(send(&here, &format!("http://{address}/")).await.outcome, Outcome::Broken);
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let authority = include_bytes!("callbacks/tls/authority.pem");
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    roots
}

/// A server with the certificate of `hooks.example` that answers 200 to whoever gets so far.
async fn tls_server(versions: &[&'static SupportedProtocolVersion]) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("callbacks/tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("callbacks/tls/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test]
async fn tls_is_spoken_with_the_named_host_alone() {
    for version in [&version::TLS12, &version::TLS13] {
        let server = tls_server(&[version]).await;
        let resolver: Arc<dyn Resolve> = Answers::always(&[server]);
        let trusting = sender(Reach::Anything, resolver.clone(), roots());
        let answer = send(&trusting, &format!("https://hooks.example:{}/a/b?c=d", server.port())).await;
        assert_eq!(answer.outcome, Outcome::Delivered, "{answer:?}");
        let request = answer.text.unwrap().to_lowercase();
        assert!(request.starts_with("post /a/b?c=d http/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nhost: hooks.example:{}\r\n", server.port())), "{request}");
        assert!(request.ends_with("\r\n\r\n{}"), "{request}");
        // Another name, and an authority that is not trusted.
        let other = send(&trusting, &format!("https://other.example:{}/", server.port())).await;
        assert_eq!(other.outcome, Outcome::Tls);
        let strange = sender(Reach::Anything, resolver, RootCertStore::empty());
        let answer = send(&strange, &format!("https://hooks.example:{}/", server.port())).await;
        assert_eq!(answer.outcome, Outcome::Tls);
    }
    // A server that speaks no TLS.
    let (plain, _) = counting().await;
    let trusting = sender(Reach::Anything, Answers::always(&[plain]), roots());
    assert_eq!(send(&trusting, &format!("https://hooks.example:{}/", plain.port())).await.outcome, Outcome::Tls);
}
