//! A second signer (`c2sp.org/tlog-witness`): it has seen one history of a log and cosigns only what continues it.
//!
//! What always holds: [`consider`] is pure. Whoever runs it must keep what was accepted, durably and before answering, and
//! take requests for one log one after the other.

use std::fmt::Write as _;

use crate::note::{Checkpoint, Note, VerifierKey};
use crate::proof::{hash_of, text_of};
use crate::tree::{Hash, check_consistency};

/// The most hashes of a request.
const MAX_HASHES: usize = 63;

/// Why a witness does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is not as it must be: 400.
    #[error("the request is not as it must be")]
    Malformed,
    /// No key is known for this log: 404.
    #[error("the log is not known here")]
    UnknownLog,
    /// The log's key has not signed: 403.
    #[error("the log's key has not signed")]
    Unsigned,
    /// The request starts from another size than the witness has seen: 409, with that size.
    #[error("the last size seen is {seen}")]
    OtherSize {
        /// What was seen.
        seen: u64,
    },
    /// Another root was seen at this size: 409. The log has forked.
    #[error("another root was seen at this size")]
    Forked,
    /// The proof does not hold: 422. The log has forked, or its sender is confused.
    #[error("what was seen is no prefix of this")]
    Inconsistent,
}

/// The body of `add-checkpoint`: from the size last seen to a new checkpoint.
#[must_use]
pub fn request(old: u64, proof: &[Hash], note: &Note) -> String {
    let mut body = format!("old {old}\n");
    for hash in proof {
        body.push_str(&text_of(hash));
        body.push('\n');
    }
    // Writing to a string can't fail.
    write!(body, "\n{note}").unwrap_or_default();
    body
}

/// A request, read.
#[derive(Clone, Debug)]
pub struct Request {
    old: u64,
    proof: Vec<Hash>,
    /// The note that is to be cosigned.
    pub note: Note,
    /// What it says.
    pub checkpoint: Checkpoint,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn read(body: &str) -> Result<Self, Refusal> {
        let (head, note) = body.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(Refusal::Malformed)?;
        let size: u64 = old.parse().map_err(|_| Refusal::Malformed)?;
        let proof: Vec<Hash> = lines.map(hash_of).collect::<Option<_>>().ok_or(Refusal::Malformed)?;
        let note: Note = note.parse().map_err(|_| Refusal::Malformed)?;
        let checkpoint: Checkpoint = note.text().parse().map_err(|_| Refusal::Malformed)?;
        if proof.len() > MAX_HASHES || size.to_string() != old {
            return Err(Refusal::Malformed);
        }
        Ok(Self { old: size, proof, note, checkpoint })
    }
}

/// Whether to cosign: `keys` are the log's that are known here, `seen` the checkpoint of it that was cosigned last.
///
/// # Errors
/// The [`Refusal`].
pub fn consider(request: &Request, keys: &[VerifierKey], seen: Option<&Checkpoint>) -> Result<(), Refusal> {
    let Request { old, proof, note, checkpoint } = request;
    let own: Vec<&VerifierKey> = keys.iter().filter(|key| key.name() == checkpoint.origin).collect();
    if own.is_empty() {
        return Err(Refusal::UnknownLog);
    }
    note.signed_by(own).map_err(|_| Refusal::Unsigned)?;
    if *old > checkpoint.size {
        return Err(Refusal::Malformed);
    }
    let last = seen.map_or(0, |seen| seen.size);
    if *old != last {
        return Err(Refusal::OtherSize { seen: last });
    }
    let Some(seen) = seen.filter(|seen| seen.size > 0) else {
        return if proof.is_empty() { Ok(()) } else { Err(Refusal::Inconsistent) };
    };
    if seen.size == checkpoint.size && seen.root != checkpoint.root {
        return Err(Refusal::Forked);
    }
    check_consistency(seen.size, &seen.root, checkpoint.size, &checkpoint.root, proof)
        .map_err(|_| Refusal::Inconsistent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Algorithm, SignerKey};
    use crate::tree::{leaf_hash, node_hash, root_of};

    fn log() -> SignerKey {
        SignerKey::from_seed("log.example/q", Algorithm::Ed25519, &[1; 32]).unwrap()
    }

    fn checkpoint(leaves: &[Hash]) -> Checkpoint {
        Checkpoint { origin: "log.example/q".to_owned(), size: leaves.len() as u64, root: root_of(leaves) }
    }

    fn ask(old: u64, proof: &[Hash], checkpoint: &Checkpoint, seen: Option<&Checkpoint>) -> Result<(), Refusal> {
        let note = Note::sign(checkpoint.to_string(), [&log()]).unwrap();
        let request = Request::read(&request(old, proof, &note))?;
        consider(&request, &[log().verifier()], seen)
    }

    #[test]
    fn only_what_continues_the_history_that_was_seen_is_cosigned() {
        let leaves: Vec<Hash> = (0_u8..3).map(|entry| leaf_hash(&[entry])).collect();
        let (two, three) = (checkpoint(&leaves[..2]), checkpoint(&leaves));
        assert_eq!(ask(0, &[], &two, None), Ok(()));
        assert_eq!(ask(2, &leaves[2..], &three, Some(&two)), Ok(()));
        assert_eq!(ask(2, &[], &two, Some(&two)), Ok(()));
        assert_eq!(ask(0, &[], &three, Some(&two)), Err(Refusal::OtherSize { seen: 2 }));
        assert_eq!(ask(3, &[], &two, Some(&three)), Err(Refusal::Malformed));
        let forked = checkpoint(&[leaves[0], leaves[0]]);
        assert_eq!(ask(2, &[], &forked, Some(&two)), Err(Refusal::Forked));
        let rewritten = [leaves[0], leaves[0], leaves[2]];
        let proof = [node_hash(&leaves[0], &leaves[0]), leaves[2]];
        for proof in [&leaves[2..], &proof] {
            assert_eq!(ask(2, proof, &checkpoint(&rewritten), Some(&two)), Err(Refusal::Inconsistent));
        }
    }

    #[test]
    fn an_unknown_log_and_an_unsigned_checkpoint_are_refused() {
        let other = SignerKey::from_seed("log.example/q", Algorithm::Ed25519, &[2; 32]).unwrap();
        let note = Note::sign(checkpoint(&[]).to_string(), [&other]).unwrap();
        let request = Request::read(&request(0, &[], &note)).unwrap();
        assert_eq!(consider(&request, &[log().verifier()], None), Err(Refusal::Unsigned));
        assert_eq!(consider(&request, &[], None), Err(Refusal::UnknownLog));
        for wrong in ["", "old 1\n", "old 01\n\nx", "new 1\n\n", &request.note.to_string()] {
            assert_eq!(Request::read(wrong).unwrap_err(), Refusal::Malformed);
        }
    }
}
