//! The first thing that is wrong with a log, named by its position.
//!
//! What always holds: a check that could not be completed is a [`Kind::Incomplete`] finding, never a pass.

use std::fmt;

use serde::Serialize;

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What is needed for the check is not there.
    Incomplete,
    /// The bytes are not those of an entry, or an event's payload is not of a known shape.
    Unreadable,
    /// The bytes are not those that were sealed.
    Altered,
    /// A tile is not made of the hashes below it.
    Tile,
    /// A checkpoint's size or root is not that of the log.
    Checkpoint,
    /// No known key has signed.
    Signature,
    /// A position is missing, doubled or at another place.
    Position,
    /// Its time is not after that of the one before.
    Time,
    /// An id stands twice.
    Identity,
    /// Its place in its stream is not the next one, or the stream is another tenant's.
    Stream,
    /// The ledger does not add up.
    Balance,
    /// A change of state that is not allowed.
    State,
}

/// The first thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("position {position}: {what}")]
pub struct Finding {
    /// The first wrong position; 0 if the whole has no place, as a manifest or a key.
    pub position: u64,
    /// Which rule.
    pub kind: Kind,
    /// What is wrong, as a lower-case fragment.
    pub what: String,
}

impl Finding {
    /// A finding at `position`.
    pub fn new(position: u64, kind: Kind, what: impl fmt::Display) -> Self {
        Self { position, kind, what: what.to_string() }
    }
}
