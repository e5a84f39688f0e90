//! A sealer and a witness of a test's own, and what they have published.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quotary_audit::entry;
use quotary_audit::note::{Algorithm, Checkpoint, Note, SignerKey, VerifierKey};
use quotary_audit::tree::{Hash, TileId, TileSet, consistency_proof};
use quotary_audit::witness::{Refusal, Request, consider};
use quotary_projections::{raw_log, seal as stored};
use quotary_workers::seal::heads::Heads;
use quotary_workers::seal::{self, SealError, SealOptions, SealStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, until};

pub const ORIGIN: &str = "ledger.example/test";

pub fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[seed; 32]).unwrap()
}

/// A running sealer.
pub struct Sealer {
    pub status: Arc<SealStatus>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), SealError>>,
    fixture: sqlx::PgPool,
}

impl Sealer {
    pub fn start(fixture: &Fixture, keys: &[u8], folder: &Path) -> Self {
        Self::start_with(fixture, keys, folder, None)
    }

    pub fn start_with(fixture: &Fixture, keys: &[u8], folder: &Path, witness: Option<&Witness>) -> Self {
        Self::start_on(fixture, keys, Heads::new().in_folder(folder), witness)
    }

    pub fn start_on(fixture: &Fixture, keys: &[u8], heads: Heads, witness: Option<&Witness>) -> Self {
        let mut options = SealOptions::new(keys.iter().map(|seed| key(*seed)).collect(), heads);
        options.interval = Duration::from_millis(100);
        options.witness = witness.map(|witness| seal::Witness {
            url: witness.url.clone(),
            key: witness.key.verifier(),
            within: Duration::from_millis(500),
        });
        let (status, cancel) = (options.status.clone(), CancellationToken::new());
        let task = tokio::spawn(seal::run(fixture.pool.clone(), options, cancel.clone()));
        Self { status, cancel, task, fixture: fixture.pool.clone() }
    }

    /// Waits until this sealer has sealed up to `size`.
    pub async fn sealed(&self, size: u64) {
        until("the log to be sealed", async || {
            assert!(!self.task.is_finished(), "the sealer ended");
            let published = stored::last_checkpoint(&self.fixture).await.unwrap();
            (self.status.report().size >= size && published.is_some_and(|last| last.size >= size)).then_some(())
        })
        .await;
    }

    /// Waits until it refuses; what it says.
    pub async fn refused(&self) -> String {
        until("the sealer to refuse", async || {
            let report = self.status.report();
            report.last_error.filter(|_| report.is_refused)
        })
        .await
    }

    /// Whether it has come some way, further with each round.
    pub fn has_begun(&self, round: u64) -> bool {
        let report = self.status.report();
        report.is_leader && report.size + report.lag >= round
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it wherever it is.
    pub async fn abort(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// Waits until anybody has sealed up to `size`.
pub async fn sealed(fixture: &Fixture, size: u64) {
    until("the log to be sealed", async || {
        stored::last_checkpoint(&fixture.pool).await.unwrap().filter(|last| last.size >= size)
    })
    .await;
}

/// Every published checkpoint.
pub async fn published(fixture: &Fixture) -> Vec<(Checkpoint, Note)> {
    let stored = stored::checkpoints(&fixture.pool, 0, i64::MAX.unsigned_abs(), 100_000).await.unwrap();
    let read = |note: &str| {
        let note: Note = note.parse().unwrap();
        (note.text().parse().unwrap(), note)
    };
    stored.iter().map(|checkpoint| read(&checkpoint.note)).collect()
}

/// Every issue of the list of keys.
pub async fn key_issues(fixture: &Fixture) -> Vec<Note> {
    stored::keys(&fixture.pool).await.unwrap().iter().map(|note| note.parse().unwrap()).collect()
}

/// The entries of the log.
pub async fn events(fixture: &Fixture) -> Vec<Vec<u8>> {
    let mut entries = vec![];
    let mut connection = fixture.pool.acquire().await.unwrap();
    raw_log::read(&mut connection, 0, raw_log::MAX_SPAN, |event| {
        let mut bytes = vec![];
        entry::encode(&event, &mut bytes).unwrap();
        entries.push(bytes);
    })
    .await
    .unwrap();
    entries
}

/// A consistency proof from the stored tiles.
pub async fn consistency(fixture: &Fixture, old: u64, new: u64) -> Vec<Hash> {
    let proof = consistency_proof(old, new).unwrap();
    let mut tiles = TileSet::default();
    for tile in stored::tiles(&fixture.pool, proof.tiles().keys().map(|id| (id.level, id.index))).await.unwrap() {
        tiles.insert(TileId { level: tile.level, index: tile.index }, tile.hashes.as_chunks().0.to_vec());
    }
    proof.hashes(&tiles).unwrap()
}

/// A witness that remembers in memory and speaks just enough HTTP.
pub struct Witness {
    pub url: String,
    pub key: SignerKey,
    is_silent: Arc<AtomicBool>,
}

impl Witness {
    pub async fn start(logs: &[VerifierKey]) -> Self {
        let key = || SignerKey::from_seed("witness.example", Algorithm::Cosignature, &[5; 32]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_silent = Arc::new(AtomicBool::new(false));
        let (logs, silent, signer) = (logs.to_vec(), is_silent.clone(), key());
        tokio::spawn(async move {
            let seen: Mutex<Option<Checkpoint>> = Mutex::new(None);
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(body) = body(&mut stream).await else { continue };
                if silent.load(Ordering::Acquire) {
                    // Holds the connection, and says nothing.
                    tokio::spawn(async move { stream.read_u8().await });
                    continue;
                }
                let answer = answer(&body, &logs, &mut seen.lock(), &signer);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, key: key(), is_silent }
    }

    pub fn silence(&self) {
        self.is_silent.store(true, Ordering::Release);
    }
}

/// The body of a request.
async fn body(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut bytes = vec![];
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| body.len() >= length) {
            return Some(body.to_owned());
        }
    }
}

fn answer(body: &str, logs: &[VerifierKey], seen: &mut Option<Checkpoint>, key: &SignerKey) -> String {
    let request = Request::read(body).unwrap();
    let (status, text) = match consider(&request, logs, seen.as_ref()) {
        Ok(()) => {
            *seen = Some(request.checkpoint.clone());
            ("200 OK", format!("{}\n", key.cosign(request.note.text(), 1_763_722_652)))
        }
        Err(Refusal::OtherSize { seen }) => ("409 Conflict", format!("{seen}\n")),
        Err(Refusal::Forked) => ("409 Conflict", "forked\n".to_owned()),
        Err(Refusal::Inconsistent) => ("422 Unprocessable Entity", String::new()),
        Err(_) => ("400 Bad Request", String::new()),
    };
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
}
