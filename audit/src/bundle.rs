//! A bundle: the whole log as plain files, in the layout of `c2sp.org/tlog-tiles`, with all that is needed to check it
//! somewhere else.
//!
//! | file | what it is |
//! |---|---|
//! | `tile/entries/<N>` | 256 entries, each behind its length in two bytes, big-endian |
//! | `tile/<L>/<N>` | 256 hashes of level `L`, as they are stored beside the log |
//! | `checkpoint` | the last checkpoint |
//! | `checkpoints` | checkpoints from the first to the last, an empty line between them |
//! | `keys` | all issues of the list of keys, likewise |
//! | `texts/<sha256>` | payloads that are too large for an entry |
//! | `manifest.json` | how much there is; written last, so a bundle without it is unfinished |
//!
//! What always holds: entries are written in the order of the log's rows, whatever positions those say they have, and
//! nothing is repaired on the way: what is wrong with the log is wrong with the bundle.

mod read;
mod roots;
mod verify;
mod write;

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::finding::{Finding, Kind};
use crate::replay::{self, Replay, Summary};

pub use verify::{Held, Options, Report, verify};
pub use write::Writer;

/// The format's name in a manifest.
pub const FORMAT: &str = "quotary-bundle/v1";

/// How much there is in a bundle. It is no evidence: everything it says is found out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The log's name.
    pub origin: String,
    /// Entries in the bundle.
    pub entries: u64,
    /// Events under the last checkpoint.
    pub size: u64,
    /// Checkpoints in the bundle.
    pub checkpoints: u64,
}

/// Rules that events must keep, from the first on.
pub trait Rules {
    /// What is known in the end.
    type Summary;

    /// Checks the next event.
    ///
    /// # Errors
    /// The first [`Finding`]; no more events follow then.
    fn check(&mut self, entry: &Entry<'_>) -> Result<(), Finding>;

    /// Checks what can only be known in the end.
    ///
    /// # Errors
    /// The first [`Finding`].
    fn finish(self) -> Result<Self::Summary, Finding>;
}

impl Rules for Replay {
    type Summary = Summary;

    fn check(&mut self, entry: &Entry<'_>) -> Result<(), Finding> {
        Self::check(self, entry).map_err(Finding::from)
    }

    fn finish(self) -> Result<Summary, Finding> {
        Self::finish(self).map_err(Finding::from)
    }
}

impl From<replay::Finding> for Finding {
    fn from(finding: replay::Finding) -> Self {
        let kind = match finding.kind {
            replay::Kind::Position => Kind::Position,
            other => Kind::Rule(other.code()),
        };
        Self { position: finding.position, kind, what: format!("{} (in {})", finding.text, finding.stream) }
    }
}

/// No rule but those of every log: each position has its event, and its bytes are those that were sealed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyEvents {
    count: u64,
}

impl Rules for AnyEvents {
    type Summary = u64;

    fn check(&mut self, _entry: &Entry<'_>) -> Result<(), Finding> {
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<u64, Finding> {
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests;
