//! The witness: a process of its own, on a host of its own, that cosigns checkpoints of logs (`c2sp.org/tlog-witness`).
//!
//! What always holds: it cosigns nothing that does not continue what it has cosigned before, and what it has cosigned is on
//! disk before it answers. Requests are taken one after the other.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use quotary_audit::entry::hex;
use quotary_audit::note::{Checkpoint, Note, SignerKey, VerifierKey};
use quotary_audit::witness::{Refusal, Request, consider};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

/// A request is a checkpoint and at most 63 hashes.
const MAX_BODY: usize = 64 * 1024;

/// A witness.
#[derive(Debug)]
pub struct Witness {
    key: SignerKey,
    logs: Vec<VerifierKey>,
    folder: PathBuf,
    turn: Mutex<()>,
}

impl Witness {
    /// A witness for the logs of these keys, with its memory in `folder`.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn new(key: SignerKey, logs: Vec<VerifierKey>, folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { key, logs, folder: folder.to_owned(), turn: Mutex::new(()) })
    }

    /// Answers a request at `now`, in seconds since 1970: the cosignature's line, or why there is none.
    ///
    /// # Errors
    /// If its memory can't be read or written: nothing is signed then.
    pub fn add_checkpoint(&self, body: &str, now: u64) -> io::Result<Result<String, Refusal>> {
        let request = match Request::read(body) {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let _turn = self.turn.lock();
        let file = self.folder.join(hex(&Sha256::digest(&request.checkpoint.origin)));
        let seen = read(&file)?;
        if let Err(refusal) = consider(&request, &self.logs, seen.as_ref()) {
            if matches!(refusal, Refusal::Forked | Refusal::Inconsistent) {
                // Evidence: the log's own key has signed it.
                tracing::error!(note = %request.note, seen = ?seen, "a log has forked, or its sender is confused");
            }
            return Ok(Err(refusal));
        }
        write(&file, &request.note)?;
        Ok(Ok(format!("{}\n", self.key.cosign(request.note.text(), now))))
    }
}

fn read(file: &Path) -> io::Result<Option<Checkpoint>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let note: Note = text.parse().map_err(io::Error::other)?;
    note.text().parse().map(Some).map_err(io::Error::other)
}

fn write(file: &Path, note: &Note) -> io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    let mut out = File::create(&unfinished)?;
    out.write_all(note.to_string().as_bytes())?;
    out.sync_all()?;
    fs::rename(&unfinished, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Serves a witness until `stop`.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    witness: Witness,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/healthz", get(|| async {}))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(witness));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: String) -> Response {
    let now = quotary_commands::clock::now().timestamp().unsigned_abs();
    let answered = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, now)).await;
    match answered.map_err(io::Error::other).flatten() {
        Ok(Ok(line)) => line.into_response(),
        Ok(Err(Refusal::OtherSize { seen })) => {
            (StatusCode::CONFLICT, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{seen}\n")).into_response()
        }
        Ok(Err(refusal)) => (status(refusal), format!("{refusal}\n")).into_response(),
        Err(error) => {
            tracing::error!(%error, "the witness can't keep what it sees");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog => StatusCode::NOT_FOUND,
        Refusal::Unsigned => StatusCode::FORBIDDEN,
        Refusal::OtherSize { .. } | Refusal::Forked => StatusCode::CONFLICT,
        Refusal::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
