//! The tree over a bundle's entries, made anew tile by tile, with its root at every checkpoint on the way.

use crate::tree::{Appender, Hash, root_of};

/// Grows by tiles of entries.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Over the roots of full tiles.
    full: Appender,
    /// The roots of full tiles: what the stored tiles of higher levels must be made of.
    pub tiles: Vec<Hash>,
}

impl Roots {
    /// The root over all full tiles and the first `width` of `hashes`.
    pub fn root_at(&self, hashes: &[Hash], width: usize) -> Hash {
        let right = hashes.get(..width).filter(|part| !part.is_empty()).map(root_of);
        self.full.root_with(right)
    }

    /// The root over all full tiles and one more at their right.
    pub fn root_over(&self, tile: Hash) -> Hash {
        self.full.root_with(Some(tile))
    }

    pub fn push(&mut self, root: Hash) {
        self.full.extend([root]);
        self.tiles.push(root);
    }
}
