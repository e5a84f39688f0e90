//! The keys of a log and from when to when they sign: a list that grows with every rotation, each issue signed by the keys
//! in use.
//!
//! ```text
//! quotary-keys/v1
//! ledger.example.com/prod
//! 2
//! ledger.example.com/prod+1b2c3d4e+AZ… 0 1200
//! ledger.example.com/prod+5f60718a+AX… 900 -
//!
//! — ledger.example.com/prod …
//! ```
//!
//! Behind each key stand the size of the log when it began to sign and the last size that it signed, or `-`. While two keys overlap, both sign the
//! list, so whoever trusts one of them learns of the other from a signature that they can check.
//!
//! What always holds: a key that has ended vouches for nothing issued later.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::note::{Algorithm, Checkpoint, Note, NoteError, VerifierKey};

const FORMAT: &str = "quotary-keys/v1";

/// A key and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerm {
    /// The key.
    pub key: VerifierKey,
    /// The size of the log when it began to sign.
    pub from: u64,
    /// The last size that it signed; `None` while it signs.
    pub until: Option<u64>,
}

impl KeyTerm {
    /// Whether its signature counts on a checkpoint of `size`.
    #[must_use]
    pub fn covers(&self, size: u64) -> bool {
        self.from <= size && self.until.is_none_or(|until| size <= until)
    }
}

/// One issue of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyList {
    /// Which log.
    pub origin: String,
    /// 1 for the first issue, then one more each time.
    pub serial: u64,
    /// All keys that ever signed.
    pub terms: Vec<KeyTerm>,
}

/// Why keys can't be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A text is no list of keys.
    #[error("this is no {FORMAT} list")]
    Format,
    /// A list is not signed by a key of its own.
    #[error("issue {0} of the list of keys is not signed by a key in use")]
    Unsigned(u64),
    /// A serial number is missing or doubled.
    #[error("issue {0} of the list of keys is missing")]
    Missing(u64),
    /// The lists are of other logs.
    #[error("the list of keys is of another log")]
    Origin,
    /// None of the keys that the reader trusts leads to the list.
    #[error("no trusted key vouches for the log's keys")]
    Untrusted,
}

impl KeyList {
    /// The keys that sign now.
    pub fn in_use(&self) -> impl Iterator<Item = &VerifierKey> {
        self.terms.iter().filter(|term| term.until.is_none()).map(|term| &term.key)
    }

    /// The next issue, in which exactly `keys` sign from `size` on; `None` if they do already.
    #[must_use]
    pub fn rotated(&self, keys: &[VerifierKey], size: u64) -> Option<Self> {
        let mut terms = self.terms.clone();
        for term in &mut terms {
            if term.until.is_none() && !keys.contains(&term.key) {
                term.until = Some(size);
            }
        }
        for key in keys {
            if !terms.iter().any(|term| term.until.is_none() && term.key == *key) {
                terms.push(KeyTerm { key: key.clone(), from: size, until: None });
            }
        }
        (terms != self.terms).then(|| Self { origin: self.origin.clone(), serial: self.serial + 1, terms })
    }

    /// Checks a checkpoint's note against the keys of its time, and answers the checkpoint.
    ///
    /// # Errors
    /// [`NoteError`] if no such key has signed, or one wrongly, or the note is no checkpoint of this log.
    pub fn check(&self, note: &Note) -> Result<Checkpoint, NoteError> {
        let checkpoint: Checkpoint = note.text().parse().map_err(|_| NoteError::Format)?;
        if checkpoint.origin != self.origin {
            return Err(NoteError::Unsigned);
        }
        let keys = self.terms.iter().filter(|term| term.covers(checkpoint.size)).map(|term| &term.key);
        note.signed_by(keys)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}\n{}\n{}", self.origin, self.serial)?;
        self.terms.iter().try_for_each(|term| {
            let until = term.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
            writeln!(f, "{} {} {until}", term.key, term.from)
        })
    }
}

impl FromStr for KeyList {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let mut lines = text.strip_suffix('\n').ok_or(KeysError::Format)?.split('\n');
        let (Some(FORMAT), Some(origin), Some(serial)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(KeysError::Format);
        };
        let terms = lines.map(term).collect::<Option<Vec<_>>>().ok_or(KeysError::Format)?;
        let serial = serial.parse().map_err(|_| KeysError::Format)?;
        let list = Self { origin: origin.to_owned(), serial, terms };
        let is_right = !list.terms.is_empty()
            && list.terms.iter().all(|term| term.key.name() == origin && term.key.algorithm() == Algorithm::Ed25519);
        let mut canonical = String::with_capacity(text.len());
        write!(canonical, "{list}").map_err(|_| KeysError::Format)?;
        if is_right && canonical == text { Ok(list) } else { Err(KeysError::Format) }
    }
}

fn term(line: &str) -> Option<KeyTerm> {
    let mut parts = line.split(' ');
    let (key, from, until) = (parts.next()?, parts.next()?, parts.next()?);
    let until = if until == "-" { None } else { Some(until.parse().ok()?) };
    parts.next().is_none().then_some(KeyTerm { key: key.parse().ok()?, from: from.parse().ok()?, until })
}

/// The newest list of `issues` (all there are, in order) for which `pinned` keys vouch. Without pinned keys the newest
/// list vouches for itself, which proves no more than that all comes from one source.
///
/// # Errors
/// [`KeysError`] if there is none, or an issue is not as it must be.
pub fn trusted(issues: &[Note], pinned: &[VerifierKey]) -> Result<KeyList, KeysError> {
    let mut lists: Vec<(KeyList, &Note)> = vec![];
    for (serial, note) in (1..).zip(issues) {
        let list: KeyList = note.text().parse()?;
        if list.serial != serial {
            return Err(KeysError::Missing(serial));
        }
        if lists.last().is_some_and(|(before, _)| before.origin != list.origin) {
            return Err(KeysError::Origin);
        }
        note.signed_by(list.in_use()).map_err(|_| KeysError::Unsigned(serial))?;
        lists.push((list, note));
    }
    let (newest, _) = lists.last().ok_or(KeysError::Missing(1))?;
    if pinned.is_empty() {
        return Ok(newest.clone());
    }
    // From the newest issue that a pinned key has signed, keys are handed on from issue to issue.
    let start = lists.iter().rposition(|(list, note)| {
        let own: Vec<&VerifierKey> = list.in_use().filter(|key| pinned.contains(key)).collect();
        note.signed_by(own).is_ok()
    });
    let start = start.ok_or(KeysError::Untrusted)?;
    let unbroken = lists[start..].windows(2).all(|pair| {
        let handing = pair[1].0.in_use().filter(|key| pair[0].0.in_use().any(|before| before == *key));
        pair[1].1.signed_by(handing).is_ok()
    });
    if unbroken { Ok(newest.clone()) } else { Err(KeysError::Untrusted) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SignerKey;

    const ORIGIN: &str = "ledger.example/prod";

    fn key(seed: u8) -> SignerKey {
        SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[seed; 32]).unwrap()
    }

    fn first(by: &SignerKey) -> KeyList {
        let term = KeyTerm { key: by.verifier(), from: 0, until: None };
        KeyList { origin: ORIGIN.to_owned(), serial: 1, terms: vec![term] }
    }

    fn issue(list: &KeyList, by: &[&SignerKey]) -> Note {
        Note::sign(list.to_string(), by.iter().copied()).unwrap()
    }

    #[test]
    fn a_rotation_with_overlap_is_followed_from_either_key() {
        let (old, new) = (key(1), key(2));
        let one = first(&old);
        let two = one.rotated(&[old.verifier(), new.verifier()], 900).unwrap();
        let three = two.rotated(&[new.verifier()], 1_200).unwrap();
        assert_eq!(three.rotated(&[new.verifier()], 1_300), None);
        let issues = [issue(&one, &[&old]), issue(&two, &[&old, &new]), issue(&three, &[&new])];
        for pinned in [&old, &new] {
            let list = trusted(&issues, &[pinned.verifier()]).unwrap();
            assert_eq!(list, three);
        }
        let at = |size, by: &SignerKey| {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: [0; 32] };
            three.check(&Note::sign(checkpoint.to_string(), [by]).unwrap()).is_ok()
        };
        assert!(at(1_200, &old) && at(900, &new) && at(5_000, &new));
        assert!(!at(1_201, &old) && !at(899, &new));
        assert_eq!(trusted(&issues, &[key(3).verifier()]), Err(KeysError::Untrusted));
        assert_eq!(trusted(&issues[1..], &[new.verifier()]), Err(KeysError::Missing(1)));
    }

    #[test]
    fn a_key_that_nobody_handed_on_is_not_trusted() {
        let (old, forger) = (key(1), key(9));
        let one = first(&old);
        // A list that only the new key has signed, and one that names the old key as still in use without its signature.
        let alone = one.rotated(&[forger.verifier()], 10).unwrap();
        let beside = one.rotated(&[old.verifier(), forger.verifier()], 10).unwrap();
        for list in [alone, beside] {
            let issues = [issue(&one, &[&old]), issue(&list, &[&forger])];
            assert_eq!(trusted(&issues, &[old.verifier()]), Err(KeysError::Untrusted));
        }
    }

    #[test]
    fn a_key_that_has_ended_vouches_for_nothing_later() {
        let (old, new, forger) = (key(1), key(2), key(9));
        let one = first(&old);
        let two = one.rotated(&[old.verifier(), new.verifier()], 900).unwrap();
        let three = two.rotated(&[new.verifier()], 1_200).unwrap();
        let stolen = three.rotated(&[forger.verifier()], 1_300).unwrap();
        let issues = [
            issue(&one, &[&old]),
            issue(&two, &[&old, &new]),
            issue(&three, &[&new]),
            issue(&stolen, &[&old, &forger]),
        ];
        for pinned in [&old, &new] {
            assert_eq!(trusted(&issues, &[pinned.verifier()]), Err(KeysError::Untrusted));
        }
    }

    #[test]
    fn a_list_has_one_text() {
        let list = first(&key(1));
        assert_eq!(list.to_string().parse(), Ok(list.clone()));
        let text = list.to_string();
        for wrong in [
            text.replace(" 0 -", " 00 -"),
            text.replace(" -", ""),
            text.replace("v1", "v2"),
            text.replace("/prod\n", "/other\n"),
        ] {
            assert_eq!(wrong.parse::<KeyList>(), Err(KeysError::Format), "{wrong}");
        }
    }
}
