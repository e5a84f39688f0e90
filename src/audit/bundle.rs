//! Writes the sealed log as a bundle, for whoever wants to check it without access to the system.
//!
//! What always holds: memory does not grow with the log. Rows are written as they stand there, in their order, whatever is
//! wrong with them; finding that out is the reader's business.

use std::io;
use std::path::Path;

use quotary_audit::bundle::{Manifest, Writer};
use quotary_audit::note::{Checkpoint, Note};
use quotary_audit::tree::TileId;
use quotary_projections::raw_log::{self, RawLogError};
use quotary_projections::seal::{self, SealError, StoredTile};
use sqlx::{PgConnection, PgPool};

/// Positions read at a time.
const SPAN: u64 = 20_000;
/// Tiles read at a time.
const TILES: u64 = 64;
/// Checkpoints read at a time.
const CHECKPOINTS: u32 = 1_000;
/// Checkpoints in a bundle, unless all are asked for: enough to say when something went wrong.
const SPACED: u64 = 4_096;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] RawLogError),
    /// The seal can't be read.
    #[error("the seal can't be read")]
    Seal(#[from] SealError),
    /// A file can't be written.
    #[error("the bundle can't be written")]
    File(#[from] io::Error),
    /// Nothing is sealed.
    #[error("the log is not sealed yet")]
    NotSealed,
}

/// Writes all that is sealed into an empty folder; all checkpoints, or as many as are enough.
///
/// # Errors
/// [`BundleError`]; the folder has no manifest then.
pub async fn export(pool: &PgPool, folder: &Path, all_checkpoints: bool) -> Result<Manifest, BundleError> {
    let mut connection = pool.acquire().await?;
    let last = seal::last_checkpoint(&mut *connection).await?.ok_or(BundleError::NotSealed)?;
    let checkpoint = last.note.parse::<Note>().ok().and_then(|note| note.text().parse::<Checkpoint>().ok());
    let origin = checkpoint.map_or_else(String::new, |checkpoint| checkpoint.origin);
    let mut writer = Writer::create(folder, &origin)?;
    writer.keys(&seal::keys(&mut *connection).await?)?;
    checkpoints(&mut connection, &mut writer, last.size, all_checkpoints).await?;
    entries(&mut connection, &mut writer, last.size).await?;
    tiles(&mut connection, &mut writer, last.size).await?;
    Ok(writer.finish()?)
}

async fn entries(connection: &mut PgConnection, writer: &mut Writer, size: u64) -> Result<(), BundleError> {
    for after in (0..size).step_by(usize::try_from(SPAN).unwrap_or(usize::MAX)) {
        let mut written = Ok(());
        raw_log::read(connection, after, size.min(after + SPAN), |event| {
            if written.is_ok() {
                written = writer.entry(&event);
            }
        })
        .await?;
        written?;
    }
    Ok(())
}

async fn tiles(connection: &mut PgConnection, writer: &mut Writer, size: u64) -> Result<(), BundleError> {
    for level in 0.. {
        let count = size.checked_shr(8 * level).unwrap_or_default().div_ceil(256);
        if count == 0 {
            return Ok(());
        }
        for first in (0..count).step_by(usize::try_from(TILES).unwrap_or(usize::MAX)) {
            for tile in some_tiles(connection, level, first, count.min(first + TILES)).await? {
                let id = TileId { level: tile.level, index: tile.index };
                let hashes = tile.hashes.as_chunks().0;
                writer.hashes(id, &hashes[..id.width(size).min(hashes.len())])?;
            }
        }
    }
    Ok(())
}

/// Tiles `first..end` of a level. One whose rows do not fit together is left out: the reader will miss it.
async fn some_tiles(
    connection: &mut PgConnection,
    level: u32,
    first: u64,
    end: u64,
) -> Result<Vec<StoredTile>, BundleError> {
    match seal::tiles(&mut *connection, (first..end).map(|index| (level, index))).await {
        Err(SealError::Tile { .. }) => {}
        found => return Ok(found?),
    }
    let mut tiles = vec![];
    for index in first..end {
        match seal::tiles(&mut *connection, [(level, index)]).await {
            Err(SealError::Tile { .. }) => tracing::error!(level, index, "a tile can't be read and is left out"),
            found => tiles.extend(found?),
        }
    }
    Ok(tiles)
}

async fn checkpoints(
    connection: &mut PgConnection,
    writer: &mut Writer,
    size: u64,
    all: bool,
) -> Result<(), BundleError> {
    let count: i64 = sqlx::query_scalar("select count(*) from public.seal_checkpoints where size <= $1")
        .bind(size.cast_signed())
        .fetch_one(&mut *connection)
        .await?;
    let every = if all { 1 } else { count.unsigned_abs().div_ceil(SPACED).max(1) };
    let (mut after, mut number) = (0, 0_u64);
    loop {
        let page = seal::checkpoints(&mut *connection, after, size, CHECKPOINTS).await?;
        let Some(end) = page.last() else { return Ok(()) };
        after = end.size;
        for checkpoint in page {
            if number.is_multiple_of(every) || checkpoint.size == size {
                writer.checkpoint(checkpoint.size, &checkpoint.note)?;
            }
            number += 1;
        }
    }
}
