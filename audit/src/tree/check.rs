//! Checks of proofs, by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2.

use super::{Hash, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such leaf or no such tree.
    #[error("the proof is about a place outside of the tree")]
    Outside,
    /// It has more or fewer hashes than such a proof has.
    #[error("the proof has not as many hashes as it must have")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` is leaf `index` of the tree of `size` leaves with `root`.
///
/// # Errors
/// [`ProofError`] if the proof does not prove it.
pub fn check_inclusion(leaf: &Hash, index: u64, proof: &[Hash], size: u64, root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old_size` leaves with `old_root` is a prefix of the tree of `new_size` leaves with `new_root`.
/// Of an empty old tree nothing has to be proved.
///
/// # Errors
/// [`ProofError`] if the proof does not prove it.
pub fn check_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::Outside);
    }
    if old_size == new_size || old_size == 0 {
        let is_same = old_size == 0 && *old_root == super::empty_root() || old_root == new_root;
        return match (proof.is_empty(), is_same) {
            (false, _) => Err(ProofError::Length),
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
        };
    }
    // The old tree is a subtree of the new one if its size is a power of two; its root is then not in the proof.
    let (first, rest) =
        if old_size.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::Length)? };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old == *old_root && new == *new_root { Ok(()) } else { Err(ProofError::Root) }
}
