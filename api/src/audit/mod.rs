//! The log, for auditors (row C6), and the proofs that it is the one that was sealed (row Q10).

pub mod checkpoint;
pub mod consistency;
pub mod entry;
pub mod events;
pub mod inclusion;
pub mod keys;
mod seal;
pub mod tile;

use crate::access::AUDITORS;
use crate::route::{Route, route};

/// `/v1/audit/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(AUDITORS, events, []),
        route!(AUDITORS, checkpoint, [NotSealed]),
        route!(AUDITORS, keys, [NotSealed]),
        route!(AUDITORS, entry, [NotSealed]),
        route!(AUDITORS, inclusion, [NotSealed]),
        route!(AUDITORS, consistency, [NotSealed]),
        route!(AUDITORS, tile, [NotSealed]),
    ]
}
