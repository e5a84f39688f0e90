//! `GET /v1/audit/tile/{level}/{*path}`.

use axum::extract::State;
use axum::response::Response;
use quotary_audit::tree::{TileId, decode_index};

use super::seal;
use crate::extract::{ApiPath, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// The levels that a tree of less than 2^64 leaves has.
const LEVELS: u32 = 8;

/// A tile of hashes under the path that `c2sp.org/tlog-tiles` gives it, as `tile/0/x001/234` or `tile/0/x001/234.p/17`.
/// Tiles of entries are not served: they have the events of all tenants.
///
/// # Errors
/// `invalid-parameter`, `not-found`, `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/tile/{level}/{*path}", tag = "audit",
    params(("level" = u32, Path), ("*path" = String, Path, description = "The tile's index, and its width if it is not full")),
    responses((status = 200, description = "Hashes of 32 bytes", body = Vec<u8>, content_type = "application/octet-stream")))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath((level, path)): ApiPath<(u32, String)>,
    asked: MinPosition,
) -> Result<Response, Problem> {
    let (index, width) = decode_index(&path)
        .filter(|_| level < LEVELS)
        .ok_or_else(|| Problem::parameter("path", "must be the path of a tile"))?;
    let (checkpoint, _) = seal::checkpoint(&state, asked).await?;
    let id = TileId { level, index };
    if id.width(checkpoint.size) < width {
        return Err(Problem::not_found("tile"));
    }
    let tiles = seal::tiles(&state, &[(id, width)].into()).await?;
    let hashes = tiles.get(id).filter(|hashes| hashes.len() == width).ok_or_else(|| Problem::not_found("tile"))?;
    Ok(seal::bytes(hashes.as_flattened().to_vec()))
}
