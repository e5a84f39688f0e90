//! The Merkle tree of RFC 6962 over the log's entries, kept in tiles (`c2sp.org/tlog-tiles`).
//!
//! What always holds: leaf `i` is the event at position `i + 1`. A tile of level `L` has up to 256 hashes, each the root of
//! a full tile of the level below (of level 0: the hash of an entry), so a full tile never changes. Proofs are made from tiles
//! alone ([`Proof`]) and checked from hashes alone ([`check_inclusion`], [`check_consistency`]).

mod check;
mod ranges;
mod tiles;

use sha2::{Digest as _, Sha256};

pub use check::{ProofError, check_consistency, check_inclusion};
pub use ranges::{Proof, consistency_proof, inclusion_proof, root_proof};
pub use tiles::{Appender, MissingTile, Run, TILE_WIDTH, TileId, TileSet, decode_index, entries_path};

/// SHA-256.
pub type Hash = [u8; 32];

/// The root of the empty tree.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0]);
    sha.update(entry);
    sha.finalize().into()
}

/// The hash over two subtrees.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // One buffer, one call: this is done once per entry.
    let mut node = [1; 65];
    node[1..33].copy_from_slice(left);
    node[33..].copy_from_slice(right);
    Sha256::digest(node).into()
}

/// The root over `hashes`, which are leaves or roots of equal subtrees. RFC 6962 §2.1.
#[must_use]
pub fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty_root(),
        [one] => *one,
        more => {
            // The largest power of two that is smaller than their number.
            let half = more.len().next_power_of_two() / 2;
            let (left, right) = more.split_at(half);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

#[cfg(test)]
mod tests;
