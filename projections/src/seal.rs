//! Reads the seal of the log: tiles of hashes, signed checkpoints, and the keys that sign, as they are stored.
//!
//! What always holds: a tile is read by putting its rows one behind the other; a row that does not begin where the one
//! before ended makes the tile unreadable. What is signed is for the reader to check.

use sqlx::{PgExecutor, Row as _};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// Why the seal can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// PostgreSQL refused or is out of reach.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
    /// A tile's rows do not fit together.
    #[error("tile {level}/{index} is not made of rows that fit together")]
    Tile {
        /// Its level.
        level: u32,
        /// Its place there.
        index: u64,
    },
}

/// The hashes of a tile that are stored so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTile {
    /// Its level; 0 has the hashes of events.
    pub level: u32,
    /// From the left.
    pub index: u64,
    /// One hash behind the other.
    pub hashes: Vec<u8>,
}

/// A published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Events under it.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// Those of the tiles `wanted` (level and index) of which there is anything.
///
/// # Errors
/// [`SealError`].
pub async fn tiles(
    db: impl PgExecutor<'_>,
    wanted: impl IntoIterator<Item = (u32, u64)>,
) -> Result<Vec<StoredTile>, SealError> {
    let (levels, indexes): (Vec<i16>, Vec<i64>) = wanted
        .into_iter()
        .map(|(level, index)| (i16::try_from(level).unwrap_or(i16::MAX), i64::try_from(index).unwrap_or(i64::MAX)))
        .unzip();
    let rows = sqlx::query(
        "select t.level, t.tile, t.first, t.hashes
         from unnest($1::smallint[], $2::bigint[]) as w (level, tile)
         join public.seal_tiles t on t.level = w.level and t.tile = w.tile
         order by t.level, t.tile, t.first",
    )
    .bind(levels)
    .bind(indexes)
    .fetch_all(db)
    .await?;
    let mut tiles: Vec<StoredTile> = vec![];
    for row in rows {
        let (level, index): (i16, i64) = (row.try_get("level")?, row.try_get("tile")?);
        let (level, index) = (u32::from(level.unsigned_abs()), index.unsigned_abs());
        let (first, bytes): (i16, &[u8]) = (row.try_get("first")?, row.try_get("hashes")?);
        if tiles.last().is_none_or(|tile| (tile.level, tile.index) != (level, index)) {
            tiles.push(StoredTile { level, index, hashes: vec![] });
        }
        if let Some(tile) = tiles.last_mut() {
            if tile.hashes.len() != usize::from(first.unsigned_abs()) * HASH_BYTES || bytes.len() % HASH_BYTES != 0 {
                return Err(SealError::Tile { level, index });
            }
            tile.hashes.extend_from_slice(bytes);
        }
    }
    Ok(tiles)
}

/// How many hashes of events are stored; they may be ahead of the last checkpoint.
///
/// # Errors
/// [`SealError`].
pub async fn leaves(db: impl PgExecutor<'_>) -> Result<u64, SealError> {
    let last: Option<(i64, i16, i32)> = sqlx::query_as(
        "select tile, first, octet_length(hashes) from public.seal_tiles
         where level = 0 order by tile desc, first desc limit 1",
    )
    .fetch_optional(db)
    .await?;
    let hash = HASH_BYTES as u64;
    Ok(last.map_or(0, |(tile, first, bytes)| {
        tile.unsigned_abs() * 256 + u64::from(first.unsigned_abs()) + u64::from(bytes.unsigned_abs()) / hash
    }))
}

/// The newest checkpoint.
///
/// # Errors
/// [`SealError`].
pub async fn last_checkpoint(db: impl PgExecutor<'_>) -> Result<Option<StoredCheckpoint>, SealError> {
    let row: Option<(i64, String)> =
        sqlx::query_as("select size, note from public.seal_checkpoints order by size desc limit 1")
            .fetch_optional(db)
            .await?;
    Ok(row.map(|(size, note)| StoredCheckpoint { size: size.unsigned_abs(), note }))
}

/// Up to `limit` checkpoints of more than `after` and at most `until` events, the smallest first.
///
/// # Errors
/// [`SealError`].
pub async fn checkpoints(
    db: impl PgExecutor<'_>,
    after: u64,
    until: u64,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, SealError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "select size, note from public.seal_checkpoints where size > $1 and size <= $2 order by size limit $3",
    )
    .bind(after.cast_signed())
    .bind(until.cast_signed())
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(size, note)| StoredCheckpoint { size: size.unsigned_abs(), note }).collect())
}

/// All issues of the list of keys, as signed notes.
///
/// # Errors
/// [`SealError`].
pub async fn keys(db: impl PgExecutor<'_>) -> Result<Vec<String>, SealError> {
    Ok(sqlx::query_scalar("select note from public.seal_keys order by serial").fetch_all(db).await?)
}
