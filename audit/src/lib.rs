//! What an outsider needs to prove the ledger: the log's Merkle tree and its signed checkpoints, bundles, an independent
//! replay, and reconciliation with a payment provider's bill.
//!
//! What always holds: nothing here reads a database, a network or a clock, and nothing is shared with the write side or
//! the read side: event shapes and rules are written down here a second time, so that a mistake there is found here.

pub mod bill;
pub mod bundle;
pub mod entry;
pub mod external;
pub mod finding;
pub mod item;
pub mod keys;
pub mod matching;
pub mod note;
pub mod proof;
pub mod replay;
pub mod tree;
pub mod witness;
