//! Checkpoints (`c2sp.org/tlog-checkpoint`): origin, size and root of a log's tree, one a line. No extension lines: what
//! they say could not be audited.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::tree::Hash;

/// What a log's key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Entries so far.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no checkpoint")]
pub struct CheckpointError;

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads the text of a note.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError);
        };
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(CheckpointError)?;
        let checkpoint = Self { origin: origin.to_owned(), size: size.parse().map_err(|_| CheckpointError)?, root };
        // A checkpoint has one text.
        let is_canonical = super::key::is_name(origin) && checkpoint.to_string() == text;
        is_canonical.then_some(checkpoint).ok_or(CheckpointError)
    }
}

impl fmt::Display for Checkpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))
    }
}
