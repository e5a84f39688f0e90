//! Tiles, checkpoints and keys in PostgreSQL, as the sealer reads and grows them.
//!
//! What always holds: rows are only ever added.

use std::collections::BTreeMap;

use quotary_audit::note::Note;
use quotary_audit::tree::{Run, TileId, TileSet};
use quotary_projections::seal;
use sqlx::PgConnection;

/// Why the stored seal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be read.
    #[error("the seal can't be read")]
    Read(#[from] seal::SealError),
    /// It can't be written.
    #[error("the seal can't be written")]
    Write(#[source] sqlx::Error),
    /// A stored text is no note.
    #[error("a stored {0} is no signed note")]
    Note(&'static str),
}

/// The tiles, each cut to the hashes asked for; what is not there is left out.
pub(super) async fn tiles(
    connection: &mut PgConnection,
    wanted: &BTreeMap<TileId, usize>,
) -> Result<TileSet, StoreError> {
    let stored = seal::tiles(connection, wanted.keys().map(|id| (id.level, id.index))).await?;
    let mut tiles = TileSet::default();
    for tile in stored {
        let id = TileId { level: tile.level, index: tile.index };
        let mut hashes = tile.hashes.as_chunks().0.to_vec();
        hashes.truncate(wanted.get(&id).copied().unwrap_or_default());
        tiles.insert(id, hashes);
    }
    Ok(tiles)
}

/// Adds hashes, all or none; fails if somebody else has grown a tile.
pub(super) async fn add_hashes(connection: &mut PgConnection, runs: &[Run]) -> Result<(), StoreError> {
    let levels: Vec<i16> = runs.iter().map(|run| i16::try_from(run.id.level).unwrap_or(i16::MAX)).collect();
    let tiles: Vec<i64> = runs.iter().map(|run| run.id.index.cast_signed()).collect();
    let firsts: Vec<i16> = runs.iter().map(|run| i16::try_from(run.first).unwrap_or(i16::MAX)).collect();
    let hashes: Vec<&[u8]> = runs.iter().map(|run| run.hashes.as_flattened()).collect();
    let added = sqlx::query(
        "insert into public.seal_tiles (level, tile, first, hashes)
         select * from unnest($1::smallint[], $2::bigint[], $3::smallint[], $4::bytea[])",
    )
    .bind(levels)
    .bind(tiles)
    .bind(firsts)
    .bind(hashes)
    .execute(connection)
    .await;
    added.map(|_| ()).map_err(StoreError::Write)
}

/// The newest checkpoint.
pub(super) async fn last_checkpoint(connection: &mut PgConnection) -> Result<Option<Note>, StoreError> {
    let stored = seal::last_checkpoint(connection).await?;
    stored.map(|stored| stored.note.parse().map_err(|_| StoreError::Note("checkpoint"))).transpose()
}

/// Publishes a checkpoint. One of its size that is there already stays.
pub(super) async fn add_checkpoint(connection: &mut PgConnection, size: u64, note: &Note) -> Result<(), StoreError> {
    let added = sqlx::query("insert into public.seal_checkpoints (size, note) values ($1, $2) on conflict do nothing")
        .bind(size.cast_signed())
        .bind(note.to_string())
        .execute(connection)
        .await;
    added.map(|_| ()).map_err(StoreError::Write)
}

/// All issues of the list of keys.
pub(super) async fn keys(connection: &mut PgConnection) -> Result<Vec<Note>, StoreError> {
    let stored = seal::keys(connection).await?;
    stored.into_iter().map(|note| note.parse().map_err(|_| StoreError::Note("list of keys"))).collect()
}

/// Adds an issue of the list of keys; fails if somebody else has issued one.
pub(super) async fn add_keys(connection: &mut PgConnection, serial: u64, note: &Note) -> Result<(), StoreError> {
    let added = sqlx::query("insert into public.seal_keys (serial, note) values ($1, $2)")
        .bind(serial.cast_signed())
        .bind(note.to_string())
        .execute(connection)
        .await;
    added.map(|_| ()).map_err(StoreError::Write)
}
