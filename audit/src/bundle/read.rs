//! Reads the files of a bundle.

use std::fs;
use std::io;
use std::path::Path;

use super::{FORMAT, Manifest};
use crate::finding::{Finding, Kind};
use crate::note::{Note, NoteError};
use crate::tree::{Hash, TILE_WIDTH, TileId, entries_path, leaf_hash, root_of};

/// A tile of entries with what was found out about it by itself.
pub(super) struct EntryTile {
    pub index: u64,
    bytes: Vec<u8>,
    /// Where each entry begins and ends.
    places: Vec<(usize, usize)>,
    pub hashes: Vec<Hash>,
    /// The root of a full tile.
    pub root: Option<Hash>,
    /// The first entry whose hash is not the stored one.
    pub differs: Option<Finding>,
}

impl EntryTile {
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|(start, end)| &self.bytes[*start..*end])
    }
}

fn incomplete(position: u64, path: &str, error: &io::Error) -> Finding {
    Finding::new(position, Kind::Incomplete, format!("{path} can't be read: {error}"))
}

pub(super) fn manifest(folder: &Path) -> Result<Manifest, Finding> {
    let bytes = fs::read(folder.join("manifest.json")).map_err(|error| incomplete(0, "manifest.json", &error))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| Finding::new(0, Kind::Unreadable, format!("manifest.json can't be read: {error}")))?;
    if manifest.format == FORMAT {
        Ok(manifest)
    } else {
        Err(Finding::new(0, Kind::Unreadable, format!("the bundle's format is {} and not {FORMAT}", manifest.format)))
    }
}

/// The notes of a file, an empty line between them, unread.
pub(super) fn note_texts(folder: &Path, name: &str) -> Result<Vec<String>, Finding> {
    let text = fs::read_to_string(folder.join(name)).map_err(|error| incomplete(0, name, &error))?;
    let mut notes = vec![];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Behind a note's signatures comes an empty line or the end.
        let signatures = rest.find("\n\n").map_or(rest.len(), |end| end + 2);
        let end = rest[signatures..].find("\n\n").map_or(rest.len(), |end| signatures + end + 1);
        notes.push(rest[..end].to_owned());
        rest = rest[end..].strip_prefix('\n').unwrap_or(&rest[end..]);
    }
    Ok(notes)
}

/// The notes of a file, all of which must be readable.
pub(super) fn notes(folder: &Path, name: &str) -> Result<Vec<Note>, Finding> {
    let unreadable = |number: usize, error: NoteError| {
        Finding::new(0, Kind::Unreadable, format!("note {number} of {name}: {error}"))
    };
    let texts = note_texts(folder, name)?;
    (1..).zip(texts).map(|(number, text)| text.parse().map_err(|error| unreadable(number, error))).collect()
}

/// Reads tile `index` of entries, of which there are `count` in all, and compares it with the stored hashes.
pub(super) fn entry_tile(folder: &Path, index: u64, count: u64) -> Result<EntryTile, Finding> {
    let first = index * TILE_WIDTH as u64;
    let width = (TileId { level: 0, index }).width(count);
    let path = entries_path(index, width);
    let bytes = fs::read(folder.join(&path)).map_err(|error| incomplete(first + 1, &path, &error))?;
    let mut places = Vec::with_capacity(width);
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first_chunk() {
        let start = bytes.len() - after.len();
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(after) = after.get(length..) else { break };
        places.push((start, start + length));
        rest = after;
    }
    if places.len() != width || !rest.is_empty() {
        let position = first + places.len().min(width) as u64 + 1;
        return Err(Finding::new(position, Kind::Unreadable, format!("{path} has not {width} entries")));
    }
    let hashes: Vec<Hash> = places.iter().map(|(start, end)| leaf_hash(&bytes[*start..*end])).collect();
    let root = (width == TILE_WIDTH).then(|| root_of(&hashes));
    Ok(EntryTile { index, bytes, places, hashes, root, differs: None })
}

/// Notes the first entry of `tile` whose hash is not the one in the stored tile of the tree of `size`.
pub(super) fn compare(folder: &Path, tile: &mut EntryTile, size: u64) {
    let id = TileId { level: 0, index: tile.index };
    let first = tile.index * TILE_WIDTH as u64;
    let width = id.width(size).min(tile.hashes.len());
    tile.differs = match hash_tile(folder, id, size) {
        Ok(stored) => {
            (first + 1..).zip(tile.hashes[..width].iter().zip(&stored)).find_map(|(position, (hash, stored))| {
                let what = "the event is not the one that was sealed";
                (hash != stored).then(|| Finding::new(position, Kind::Altered, what))
            })
        }
        Err(finding) => Some(finding),
    };
}

/// A stored tile of hashes of the tree of `size` leaves.
pub(super) fn hash_tile(folder: &Path, id: TileId, size: u64) -> Result<Vec<Hash>, Finding> {
    let width = id.width(size);
    if width == 0 {
        return Ok(vec![]);
    }
    let position = first_position(id, 0);
    let path = id.path(width);
    let bytes = fs::read(folder.join(&path)).map_err(|error| incomplete(position, &path, &error))?;
    match bytes.as_chunks() {
        (hashes, []) if hashes.len() == width => Ok(hashes.to_vec()),
        _ => Err(Finding::new(position, Kind::Tile, format!("{path} has not {width} hashes"))),
    }
}

/// The first position below hash `place` of a tile.
pub(super) fn first_position(id: TileId, place: usize) -> u64 {
    let hash = id.index.saturating_mul(TILE_WIDTH as u64).saturating_add(place as u64);
    hash.checked_shl(8 * id.level).unwrap_or(u64::MAX).saturating_add(1)
}
