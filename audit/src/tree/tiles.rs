//! Tiles: their names, and how they grow.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Hash, empty_root, node_hash, root_of};

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 256;

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 has the hashes of entries.
    pub level: u32,
    /// From the left.
    pub index: u64,
}

impl TileId {
    /// How many hashes it has in the tree of `size` leaves.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let hashes = size.checked_shr(8 * self.level).unwrap_or(0);
        let width = hashes.saturating_sub(self.index.saturating_mul(TILE_WIDTH as u64));
        usize::try_from(width).map_or(TILE_WIDTH, |width| width.min(TILE_WIDTH))
    }

    /// Its path below the log's prefix, as `tile/0/x001/234` or `tile/0/x001/234.p/17`.
    #[must_use]
    pub fn path(self, width: usize) -> String {
        format!("tile/{}/{}{}", self.level, encode_index(self.index), partial(width))
    }
}

/// The path of the entries of a tile of level 0.
#[must_use]
pub fn entries_path(index: u64, width: usize) -> String {
    format!("tile/entries/{}{}", encode_index(index), partial(width))
}

fn partial(width: usize) -> String {
    if width == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// The place of hash `number` of a level in its tile: the remainder by 256.
pub(super) fn place_in_tile(number: u64) -> usize {
    number.to_le_bytes()[0].into()
}

/// Three digits a folder, all but the last with an `x`.
fn encode_index(index: u64) -> String {
    let mut text = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        text.insert_str(0, &format!("x{:03}/", rest % 1_000));
        rest /= 1_000;
    }
    text
}

/// Reads what [`TileId::path`] writes behind `tile/<level>/`: the index, and the width of a partial tile.
#[must_use]
pub fn decode_index(path: &str) -> Option<(u64, usize)> {
    let (index, width) = match path.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?),
        None => (path, TILE_WIDTH),
    };
    let mut number = 0_u64;
    for part in index.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 {
            return None;
        }
        number = number.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    // One tile has one path.
    let mut canonical = encode_index(number);
    write!(canonical, "{}", partial(width)).ok()?;
    (canonical == path).then_some((number, width))
}

/// A tile that was asked for and is not there, or has too few hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tile {}/{} has not the {width} hashes that are needed", id.level, id.index)]
pub struct MissingTile {
    /// Which.
    pub id: TileId,
    /// How many hashes were needed.
    pub width: usize,
}

/// Tiles in memory.
#[derive(Clone, Debug, Default)]
pub struct TileSet {
    tiles: HashMap<TileId, Vec<Hash>>,
}

impl TileSet {
    /// Keeps a tile.
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) {
        self.tiles.insert(id, hashes);
    }

    /// A tile, or its part that is known.
    #[must_use]
    pub fn get(&self, id: TileId) -> Option<&[Hash]> {
        self.tiles.get(&id).map(Vec::as_slice)
    }
}

/// New hashes of one tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which tile.
    pub id: TileId,
    /// The place of the first one in the tile.
    pub first: usize,
    /// The hashes.
    pub hashes: Vec<Hash>,
}

/// Grows a tree: keeps the unfinished tile of every level, which is all that is needed to go on.
#[derive(Clone, Debug, Default)]
pub struct Appender {
    size: u64,
    levels: Vec<Edge>,
}

/// The unfinished tile of a level.
#[derive(Clone, Debug, Default)]
struct Edge {
    index: u64,
    hashes: Vec<Hash>,
    /// How many of them are in a [`Run`] already.
    told: usize,
}

impl Edge {
    fn tell(&mut self, level: u32, runs: &mut Vec<Run>) {
        if self.told < self.hashes.len() {
            let hashes = self.hashes[self.told..].to_vec();
            runs.push(Run { id: TileId { level, index: self.index }, first: self.told, hashes });
            self.told = self.hashes.len();
        }
    }
}

impl Appender {
    /// Goes on behind `size` leaves, whose unfinished tiles are in `tiles`.
    ///
    /// # Errors
    /// [`MissingTile`] if one is not.
    pub fn resume(size: u64, tiles: &TileSet) -> Result<Self, MissingTile> {
        let levels = Self::edge(size).into_iter().map(|(id, width)| {
            let known = tiles.get(id).unwrap_or_default();
            let hashes = known.get(..width).ok_or(MissingTile { id, width })?.to_vec();
            Ok(Edge { index: id.index, hashes, told: width })
        });
        Ok(Self { size, levels: levels.collect::<Result<_, _>>()? })
    }

    /// The unfinished tile of every level behind `size` leaves, and how many hashes it has.
    #[must_use]
    pub fn edge(size: u64) -> Vec<(TileId, usize)> {
        let width = TILE_WIDTH as u64;
        let counts = std::iter::successors(Some(size), |hashes| Some(hashes / width)).take_while(|hashes| *hashes > 0);
        let tile = |(level, hashes)| (TileId { level, index: hashes / width }, place_in_tile(hashes));
        (0..).zip(counts).map(tile).collect()
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root as it is now.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_with(None)
    }

    /// The root with one more subtree at the right, which is smaller than all that are there.
    #[must_use]
    pub fn root_with(&self, mut right: Option<Hash>) -> Hash {
        for level in &self.levels {
            // From the smallest subtree at the right edge to the largest; the bits of the number say which there are.
            let mut parts = level.hashes.as_slice();
            while !parts.is_empty() {
                let (rest, subtree) = parts.split_at(parts.len() - (1 << parts.len().trailing_zeros()));
                let subtree = root_of(subtree);
                right = Some(right.map_or(subtree, |right| node_hash(&subtree, &right)));
                parts = rest;
            }
        }
        right.unwrap_or_else(empty_root)
    }

    /// Appends leaves and answers the new hashes of all levels, tile by tile.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = Hash>) -> Vec<Run> {
        let mut runs = vec![];
        for leaf in leaves {
            self.size += 1;
            let mut carried = Some(leaf);
            for level in 0.. {
                let Some(hash) = carried.take() else { break };
                if self.levels.len() == level as usize {
                    self.levels.push(Edge::default());
                }
                let edge = &mut self.levels[level as usize];
                edge.hashes.push(hash);
                if edge.hashes.len() == TILE_WIDTH {
                    edge.tell(level, &mut runs);
                    carried = Some(root_of(&edge.hashes));
                    *edge = Edge { index: edge.index + 1, ..Edge::default() };
                }
            }
        }
        for (level, edge) in (0..).zip(&mut self.levels) {
            edge.tell(level, &mut runs);
        }
        runs
    }
}
