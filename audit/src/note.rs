//! Signed notes (`c2sp.org/signed-note`): a text, an empty line, and signatures, one a line.
//!
//! What always holds: a note counts as signed by a key only if that key is known to the reader and its signature is right. A wrong signature
//! of a known key spoils the whole note; signatures of unknown keys are passed over.

mod checkpoint;
mod key;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{Algorithm, KeyError, SignerKey, VerifierKey};

/// The most signatures that are read.
pub const MAX_SIGNATURES: usize = 64;
/// The most bytes of a note that are read.
pub const MAX_NOTE: usize = 1_000_000;

const SIGNATURE_START: &str = "— ";

/// Why a text is no note, or is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note.
    #[error("this is no signed note")]
    Format,
    /// A signature line is not as it must be.
    #[error("signature line {0} is not as it must be")]
    SignatureLine(usize),
    /// The signature of a key that is known is wrong.
    #[error("the signature of {0} is wrong")]
    Wrong(String),
    /// No known key has signed.
    #[error("no known key has signed")]
    Unsigned,
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key_id: [u8; 4],
    /// What follows the id, as the key's algorithm has it.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Reads a line, without its line feed.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (key_id, bytes) = decoded.split_first_chunk::<4>()?;
        let is_fine = key::is_name(name) && !bytes.is_empty();
        is_fine.then(|| Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.bytes].concat();
        write!(f, "{SIGNATURE_START}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// Who has signed, and when if the signature says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// Seconds since 1970, of a cosignature.
    pub time: Option<u64>,
}

impl Note {
    /// A note of `text`, which must end with a line feed, signed by all `keys`.
    ///
    /// # Errors
    /// [`NoteError::Format`] if the text can't be a note's.
    pub fn sign<'k>(text: String, keys: impl IntoIterator<Item = &'k SignerKey>) -> Result<Self, NoteError> {
        if !is_text(&text) {
            return Err(NoteError::Format);
        }
        let signatures = keys.into_iter().map(|key| key.sign(&text)).collect();
        Ok(Self { text, signatures })
    }

    /// What is signed, with its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature that somebody else made.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// Those of `keys` that have signed.
    ///
    /// # Errors
    /// [`NoteError::Wrong`] if the signature of one of them is wrong, [`NoteError::Unsigned`] if none has signed.
    pub fn signed_by<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut signed: Vec<Signed<'k>> = vec![];
        for key in keys {
            for signature in self.signatures.iter().filter(|signature| key.may_have_made(signature)) {
                let time = key.check(&self.text, signature).map_err(|_| NoteError::Wrong(signature.name.clone()))?;
                if signed.iter().all(|known| known.key != key) {
                    signed.push(Signed { key, time });
                }
            }
        }
        if signed.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed) }
    }
}

fn is_text(text: &str) -> bool {
    text.ends_with('\n') && text.len() <= MAX_NOTE && !text.chars().any(|char| char.is_control() && char != '\n')
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        // The last empty line: the text may have some of its own.
        let split = note.rfind("\n\n").filter(|_| note.len() <= MAX_NOTE).ok_or(NoteError::Format)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        if !is_text(text) || !lines.ends_with('\n') {
            return Err(NoteError::Format);
        }
        let mut signatures = vec![];
        for (number, line) in (1..).zip(lines.lines()) {
            if number > MAX_SIGNATURES || line.ends_with('\r') {
                return Err(NoteError::SignatureLine(number));
            }
            signatures.push(Signature::from_line(line).ok_or(NoteError::SignatureLine(number))?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

#[cfg(test)]
mod tests;
