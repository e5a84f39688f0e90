//! What the endpoints of the seal share: the checkpoint that an answer rests on, and proofs from stored tiles.
//!
//! What must always hold: an answer shows nothing beyond the last published checkpoint, and nothing of the log but hashes;
//! an event itself is shown to its tenant only.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use quotary_audit::note::{Checkpoint, Note};
use quotary_audit::tree::{Hash, MissingTile, Proof, TileId, TileSet};
use quotary_projections::seal::{self, SealError, StoredCheckpoint};
use tokio::time::Instant;

use crate::extract::MinPosition;
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// How long a request waits for the seal to reach a position.
const BOUND: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// The stored seal contradicts itself. Whoever runs this has to look at it; the log's checks tell what is wrong.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the last checkpoint can't be read")]
    Checkpoint,
    #[error(transparent)]
    Tile(#[from] MissingTile),
}

impl From<SealError> for Problem {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Database(error) => error.into(),
            broken @ SealError::Tile { .. } => Self::internal(&broken),
        }
    }
}

/// The last checkpoint as it is published, once it covers the position asked for.
pub(super) async fn published(state: &AppState, MinPosition(asked): MinPosition) -> Result<StoredCheckpoint, Problem> {
    // Nobody waits for a log that is not sealed at all, unless for a position.
    let deadline = Instant::now() + asked.map_or(Duration::ZERO, |_| BOUND);
    let asked = asked.unwrap_or(1).max(1);
    loop {
        match seal::last_checkpoint(&state.pool).await? {
            Some(checkpoint) if checkpoint.size >= asked => return Ok(checkpoint),
            found if Instant::now() >= deadline => {
                let size = found.map_or(0, |checkpoint| checkpoint.size);
                return Err(Problem::new(Code::NotSealed, format!("the log is sealed up to position {size}")));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The last checkpoint, read.
pub(super) async fn checkpoint(state: &AppState, asked: MinPosition) -> Result<(Checkpoint, Note), Problem> {
    let stored = published(state, asked).await?;
    let note: Option<Note> = stored.note.parse().ok();
    let checkpoint = note.as_ref().and_then(|note| note.text().parse().ok());
    checkpoint.zip(note).ok_or_else(|| Problem::internal(&Broken::Checkpoint))
}

/// The hashes of a proof.
pub(super) async fn hashes(state: &AppState, proof: &Proof) -> Result<Vec<Hash>, Problem> {
    let tiles = tiles(state, &proof.tiles()).await?;
    proof.hashes(&tiles).map_err(|missing| Problem::internal(&Broken::Tile(missing)))
}

/// Stored tiles, each cut to the hashes asked for.
pub(super) async fn tiles(state: &AppState, wanted: &BTreeMap<TileId, usize>) -> Result<TileSet, Problem> {
    let mut tiles = TileSet::default();
    for tile in seal::tiles(&state.pool, wanted.keys().map(|id| (id.level, id.index))).await? {
        let id = TileId { level: tile.level, index: tile.index };
        let mut hashes = tile.hashes.as_chunks().0.to_vec();
        hashes.truncate(wanted.get(&id).copied().unwrap_or_default());
        tiles.insert(id, hashes);
    }
    Ok(tiles)
}

/// A text in one of the formats of C2SP.
pub(super) fn text(text: String) -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, plain), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], text)
        .into_response()
}

/// Bytes that never change.
pub(super) fn bytes(bytes: Vec<u8>) -> Response {
    let binary = HeaderValue::from_static("application/octet-stream");
    ([(header::CONTENT_TYPE, binary), (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))], bytes)
        .into_response()
}
