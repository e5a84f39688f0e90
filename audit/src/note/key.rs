//! Keys of notes: names, ids, and the text forms that tools exchange.
//!
//! `<name>+<hex key id>+<base64(algorithm || public key)>` is a verifier key (`c2sp.org/signed-note`);
//! `PRIVATE+KEY+<name>+<hex key id>+<base64(algorithm || seed)>` a signer key, as Go's `sumdb/note` writes it. The secret
//! is never shown by `Debug` and wiped when dropped.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::Signature;
use crate::entry::hex;

const SECRET_START: &str = "PRIVATE+KEY+";

/// What a key's signatures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the text: a log's own signature.
    Ed25519,
    /// Ed25519 over a time and the text (`c2sp.org/tlog-cosignature`, `cosignature/v1`): a witness's.
    Cosignature,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::Cosignature].into_iter().find(|algorithm| algorithm.byte() == byte)
    }
}

/// Why a text is no key, or a signature not the key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has not the form of a key.
    #[error("this is no key of a signed note")]
    Format,
    /// Its id is not the one that its name and public key have.
    #[error("the key's id does not fit its name and public key")]
    Id,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
}

/// Checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public: VerifyingKey,
}

/// Makes signatures.
#[derive(Clone)]
pub struct SignerKey {
    name: String,
    algorithm: Algorithm,
    secret: SigningKey,
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+']) && !name.chars().any(|char| char.is_whitespace() || char.is_control())
}

fn key_id(name: &str, algorithm: Algorithm, public: &VerifyingKey) -> [u8; 4] {
    let mut sha = Sha256::new();
    sha.update(name);
    sha.update([b'\n', algorithm.byte()]);
    sha.update(public.as_bytes());
    let digest: [u8; 32] = sha.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// `<name>+<hex key id>+<base64(algorithm || 32 bytes)>`.
fn parts(text: &str) -> Result<(&str, &str, Algorithm, [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Format);
    };
    let decoded = STANDARD.decode(key).map_err(|_| KeyError::Format)?;
    let (algorithm, bytes) = decoded.split_first().ok_or(KeyError::Format)?;
    let algorithm = Algorithm::of(*algorithm).ok_or(KeyError::Format)?;
    let bytes = bytes.try_into().map_err(|_| KeyError::Format)?;
    if is_name(name) { Ok((name, id, algorithm, bytes)) } else { Err(KeyError::Format) }
}

impl VerifierKey {
    /// Its name: the origin of a log, or a witness's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, which with the name finds its signatures.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        key_id(&self.name, self.algorithm, &self.public)
    }

    /// What its signatures are.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` says that it is this key's.
    #[must_use]
    pub fn may_have_made(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.key_id == self.key_id()
    }

    /// Checks `signature` over `text`; answers the time that a cosignature has.
    ///
    /// # Errors
    /// [`KeyError::Signature`] if it is not this key's signature.
    pub fn check(&self, text: &str, signature: &Signature) -> Result<Option<u64>, KeyError> {
        if !self.may_have_made(signature) {
            return Err(KeyError::Signature);
        }
        let wrong = |_| KeyError::Signature;
        match self.algorithm {
            Algorithm::Ed25519 => {
                let signed = ed25519_dalek::Signature::from_slice(&signature.bytes).map_err(wrong)?;
                self.public.verify_strict(text.as_bytes(), &signed).map_err(wrong)?;
                Ok(None)
            }
            Algorithm::Cosignature => {
                let (time, signed) = signature.bytes.split_first_chunk().ok_or(KeyError::Signature)?;
                let time = u64::from_be_bytes(*time);
                let signed = ed25519_dalek::Signature::from_slice(signed).map_err(wrong)?;
                self.public.verify_strict(cosigned(text, time).as_bytes(), &signed).map_err(wrong)?;
                Ok(Some(time))
            }
        }
    }
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, algorithm, bytes) = parts(text)?;
        let public = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Format)?;
        if public.is_weak() {
            return Err(KeyError::Format);
        }
        if hex(&key_id(name, algorithm, &public)) == id {
            Ok(Self { name: name.to_owned(), algorithm, public })
        } else {
            Err(KeyError::Id)
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()], self.public.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.key_id()), STANDARD.encode(key))
    }
}

impl SignerKey {
    /// A key named `name` from 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::Format`] if the name is empty or has a space or a plus sign.
    pub fn from_seed(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Format);
        }
        Ok(Self { name: name.to_owned(), algorithm, secret: SigningKey::from_bytes(seed) })
    }

    /// What others need to check its signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), algorithm: self.algorithm, public: self.secret.verifying_key() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs `text`. A cosignature made without a time has the time 0; see [`SignerKey::cosign`].
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        match self.algorithm {
            Algorithm::Ed25519 => self.signature(&[], text),
            Algorithm::Cosignature => self.cosign(text, 0),
        }
    }

    /// Signs `text` as seen at `time`, in seconds since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        self.signature(&time.to_be_bytes(), &cosigned(text, time))
    }

    fn signature(&self, before: &[u8], message: &str) -> Signature {
        let signed = self.secret.sign(message.as_bytes()).to_bytes();
        let bytes = [before, &signed].concat();
        Signature { name: self.name.clone(), key_id: self.verifier().key_id(), bytes }
    }

    /// The text form, secret included.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let key = [&[self.algorithm.byte()], self.secret.as_bytes().as_slice()].concat();
        format!("{SECRET_START}{}+{}+{}", self.name, hex(&self.verifier().key_id()), STANDARD.encode(key))
    }
}

impl FromStr for SignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, algorithm, seed) = parts(text.strip_prefix(SECRET_START).ok_or(KeyError::Format)?)?;
        let key = Self::from_seed(name, algorithm, &seed)?;
        if hex(&key.verifier().key_id()) == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier())
    }
}
