//! The receipt for one entry (`c2sp.org/tlog-proof`): everything that is needed to check, without a network, that it is in
//! a log.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index 74
//! <hash in base64>
//! …
//!
//! <checkpoint>
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::note::{Checkpoint, CheckpointError, Note, NoteError, VerifierKey};
use crate::tree::{Hash, ProofError, check_inclusion, leaf_hash};

const FORMAT: &str = "c2sp.org/tlog-proof@v1";
/// A tree has no more levels.
const MAX_HASHES: usize = 63;

/// Why a receipt can't be read or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is no `tlog-proof`.
    #[error("this is no {FORMAT}")]
    Format,
    /// Its checkpoint is no note, or not signed.
    #[error("the checkpoint is not signed as it must be")]
    Note(#[from] NoteError),
    /// Its note is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is of another log.
    #[error("the checkpoint is of the log {0}")]
    Origin(String),
    /// The entry is not the one at this place.
    #[error("the entry is not in the log")]
    Proof(#[from] ProofError),
}

/// The receipt of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's place, from 0.
    pub index: u64,
    /// The path to the root.
    pub hashes: Vec<Hash>,
    /// The checkpoint that it leads to.
    pub note: Note,
}

impl Receipt {
    /// Checks that `entry` is in the log of `key`, and answers the checkpoint.
    ///
    /// # Errors
    /// [`ReceiptError`] if it is not, or not proved.
    pub fn check(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, ReceiptError> {
        self.note.signed_by([key])?;
        let checkpoint: Checkpoint = self.note.text().parse()?;
        if checkpoint.origin != key.name() {
            return Err(ReceiptError::Origin(checkpoint.origin));
        }
        check_inclusion(&leaf_hash(entry), self.index, &self.hashes, checkpoint.size, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let (head, note) = text.split_once("\n\n").ok_or(ReceiptError::Format)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(ReceiptError::Format);
        }
        // Extra data is for applications, and nothing that we rely on.
        let line = lines.next().filter(|line| !line.starts_with("extra ")).or_else(|| lines.next());
        let index = line.and_then(|line| line.strip_prefix("index ")).ok_or(ReceiptError::Format)?;
        let index: u64 =
            index.parse().ok().filter(|number: &u64| number.to_string() == index).ok_or(ReceiptError::Format)?;
        let hashes: Vec<Hash> = lines.map(hash_of).collect::<Option<_>>().ok_or(ReceiptError::Format)?;
        if hashes.len() > MAX_HASHES {
            return Err(ReceiptError::Format);
        }
        Ok(Self { index, hashes, note: note.parse()? })
    }
}

/// A hash from its base64.
#[must_use]
pub fn hash_of(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A hash as base64.
#[must_use]
pub fn text_of(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Algorithm, SignerKey};
    use crate::tree::{node_hash, root_of};

    #[test]
    fn a_receipt_proves_its_entry_and_no_other() {
        let leaves: Vec<Hash> = ["a", "b", "c"].map(|entry| leaf_hash(entry.as_bytes())).to_vec();
        let key = SignerKey::from_seed("log.example/q", Algorithm::Ed25519, &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "log.example/q".to_owned(), size: 3, root: root_of(&leaves) };
        let note = Note::sign(checkpoint.to_string(), [&key]).unwrap();
        let receipt = Receipt { index: 2, hashes: vec![node_hash(&leaves[0], &leaves[1])], note };
        let read: Receipt = receipt.to_string().parse().unwrap();
        assert_eq!(read, receipt);
        assert_eq!(read.check(b"c", &key.verifier()), Ok(checkpoint));
        assert_eq!(read.check(b"b", &key.verifier()), Err(ReceiptError::Proof(ProofError::Root)));
        let other = SignerKey::from_seed("log.example/q", Algorithm::Ed25519, &[2; 32]).unwrap();
        assert_eq!(read.check(b"c", &other.verifier()), Err(ReceiptError::Note(NoteError::Unsigned)));
        assert!(receipt.to_string().replace("index 2", "index 02").parse::<Receipt>().is_err());
    }
}
