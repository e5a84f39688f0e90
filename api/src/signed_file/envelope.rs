//! The envelope: content, plain or encrypted, its signature, and the armour around both.
//!
//! `enc` is base64 of the content, or `ciphertext.iv.tag` in base64 each (AES-256-GCM without associated data); the signature
//! is over `<kind>/<enc>`; the armour is base64 of `{"enc","sig","alg"}` in lines of 60 characters.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quotary_commands::VaultError;
use quotary_commands::vault::random;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::signer::FileSigner;

/// Characters of a line of the armour.
const LINE: usize = 60;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A licence, on any machine.
    License,
    /// A licence on one machine.
    Machine,
    /// Licences that are not to be believed any more.
    Revocations,
}

impl FileKind {
    /// As it stands in the armour.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::License => "LICENSE FILE",
            Self::Machine => "MACHINE FILE",
            Self::Revocations => "REVOCATION LIST",
        }
    }

    /// As it stands before the content in what is signed.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::License => "license/",
            Self::Machine => "machine/",
            Self::Revocations => "revocations/",
        }
    }
}

/// Why a file can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The signing key can't be used.
    #[error("a project's key can't sign a file")]
    Key,
    /// The content can't be encrypted.
    #[error("a file can't be encrypted")]
    Encryption,
    /// The content or envelope can't be written.
    #[error("a file can't be written")]
    Json(#[from] serde_json::Error),
    /// There is no randomness.
    #[error("a file needs random bytes")]
    Random(#[from] VaultError),
}

/// What encrypts a file: known to whoever has the licence key, and the fingerprint for a machine file.
pub struct FileKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(…)")
    }
}

impl FileKey {
    /// SHA-256 of the licence key, followed by the fingerprint for a machine file.
    #[must_use]
    pub fn of(license_key: &str, fingerprint: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        hash.update(license_key.as_bytes());
        hash.update(fingerprint.unwrap_or_default().as_bytes());
        Self(Zeroizing::new(hash.finalize().into()))
    }

    fn encrypt(&self, content: &[u8]) -> Result<String, FileError> {
        let iv = random::<IV_BYTES>()?;
        let cipher = Aes256Gcm::new((&*self.0).into());
        let sealed = cipher.encrypt(&Nonce::from(*iv), content).map_err(|_| FileError::Encryption)?;
        let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(FileError::Encryption)?;
        Ok(format!("{}.{}.{}", STANDARD.encode(text), STANDARD.encode(iv.as_ref()), STANDARD.encode(tag)))
    }
}

#[derive(Serialize)]
struct Envelope {
    enc: String,
    sig: String,
    alg: String,
}

/// A file of this content, signed, and encrypted if there is a key.
///
/// # Errors
/// [`FileError`] if a key can't be used or there is no randomness.
pub fn seal(
    kind: FileKind,
    content: &[u8],
    encryption: Option<&FileKey>,
    signer: &FileSigner,
) -> Result<String, FileError> {
    let (enc, encoding) = match encryption {
        Some(key) => (key.encrypt(content)?, "aes-256-gcm"),
        None => (STANDARD.encode(content), "base64"),
    };
    let signature = signer.sign([kind.prefix(), &enc].concat().as_bytes())?;
    let envelope = Envelope { enc, sig: STANDARD.encode(signature), alg: format!("{encoding}+{}", signer.algorithm()) };
    Ok(armour(kind, &STANDARD.encode(serde_json::to_vec(&envelope)?)))
}

fn armour(kind: FileKind, text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    let label = kind.label();
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}
