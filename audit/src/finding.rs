//! The first thing that is wrong with a log, named by its position.
//!
//! What always holds: a check that could not be completed is a [`Kind::Incomplete`] finding, never a pass.

use std::fmt;

use serde::Serialize;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What is needed for the check is not there.
    Incomplete,
    /// The bytes are not those of an entry.
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
    /// A rule of what events mean, by its code; see [`crate::replay::Kind`].
    Rule(&'static str),
}

impl Kind {
    /// The kind's name in reports.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Unreadable => "unreadable",
            Self::Altered => "altered",
            Self::Tile => "tile",
            Self::Checkpoint => "checkpoint",
            Self::Signature => "signature",
            Self::Position => "position",
            Self::Rule(code) => code,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
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
