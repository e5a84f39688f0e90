//! What a proof is made of: roots of ranges of leaves, each made from subtrees that stand in tiles.
//!
//! Planned first and computed later, so that whoever keeps tiles in a database or in files can fetch exactly those that a
//! proof needs.

use std::collections::BTreeMap;

use super::tiles::place_in_tile;
use super::{Hash, MissingTile, TILE_WIDTH, TileId, TileSet, node_hash, root_of};

/// The hashes of a proof, as ranges of leaves; their roots come from [`Proof::hashes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    ranges: Vec<(u64, u64)>,
}

/// The root of the tree of `size` leaves, as the only hash.
#[must_use]
pub fn root_proof(size: u64) -> Proof {
    Proof { ranges: vec![(0, size)] }
}

/// That leaf `index` is in the tree of `size` leaves; RFC 6962 §2.1.1. `None` if it is not.
#[must_use]
pub fn inclusion_proof(index: u64, size: u64) -> Option<Proof> {
    if index >= size {
        return None;
    }
    let mut ranges = vec![];
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    ranges.reverse();
    Some(Proof { ranges })
}

/// That the tree of `old` leaves is a prefix of that of `new`; RFC 6962 §2.1.2. `None` if it is longer.
#[must_use]
pub fn consistency_proof(old: u64, new: u64) -> Option<Proof> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Proof { ranges: vec![] });
    }
    let mut ranges = vec![];
    let (mut low, mut high, mut is_known) = (0, new, true);
    // SUBPROOF(m, D[n], b), from the outside in.
    while high != old {
        let middle = low + split(high - low);
        if old <= middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
            is_known = false;
        }
    }
    if !is_known {
        ranges.push((low, high));
    }
    ranges.reverse();
    Some(Proof { ranges })
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

impl Proof {
    /// The tiles that the proof needs, each with the number of its hashes.
    #[must_use]
    pub fn tiles(&self) -> BTreeMap<TileId, usize> {
        let mut tiles = BTreeMap::new();
        for &(low, high) in &self.ranges {
            for subtree in subtrees(low, high) {
                let (id, first, count) = subtree.place();
                let width = tiles.entry(id).or_default();
                *width = (first + count).max(*width);
            }
        }
        tiles
    }

    /// The proof's hashes, in its order.
    ///
    /// # Errors
    /// [`MissingTile`] if `tiles` does not have what [`Proof::tiles`] asks for.
    pub fn hashes(&self, tiles: &TileSet) -> Result<Vec<Hash>, MissingTile> {
        self.ranges.iter().map(|(low, high)| range_root(*low, *high, tiles)).collect()
    }
}

/// The root of leaves `low..high`, where `low` is a multiple of the range's rounded-up size.
fn range_root(low: u64, high: u64, tiles: &TileSet) -> Result<Hash, MissingTile> {
    let mut roots = subtrees(low, high).into_iter().map(|subtree| subtree.root(tiles)).rev();
    let Some(last) = roots.next() else { return Ok(super::empty_root()) };
    roots.try_fold(last?, |right, left| Ok(node_hash(&left?, &right)))
}

/// A full subtree: leaves `index << level ..`.
#[derive(Clone, Copy, Debug)]
struct Subtree {
    level: u32,
    index: u64,
}

/// The full subtrees that a range is made of, from the left.
fn subtrees(low: u64, high: u64) -> Vec<Subtree> {
    let mut parts = vec![];
    let mut start = low;
    while start < high {
        let level = u64::BITS - 1 - (high - start).leading_zeros();
        parts.push(Subtree { level, index: start >> level });
        start += 1 << level;
    }
    parts
}

impl Subtree {
    /// Its tile, its first hash there, and how many.
    fn place(self) -> (TileId, usize, usize) {
        let (level, height) = (self.level / 8, self.level % 8);
        let first = self.index << height;
        let id = TileId { level, index: first / TILE_WIDTH as u64 };
        (id, place_in_tile(first), 1 << height)
    }

    fn root(self, tiles: &TileSet) -> Result<Hash, MissingTile> {
        let (id, first, count) = self.place();
        let tile = tiles.get(id).unwrap_or_default();
        tile.get(first..first + count).map(root_of).ok_or(MissingTile { id, width: first + count })
    }
}
