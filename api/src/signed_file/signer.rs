//! What signs a file: a project's opened key of the algorithm that the reader asked for.

use ed25519_dalek::Signer as _;
use quotary_domain::project::SigningAlgorithm;
use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::pss::BlindedSigningKey;
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use rsa::traits::PublicKeyParts as _;

use super::envelope::FileError;

/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// An opened key. Both kinds overwrite themselves on drop.
pub enum FileSigner {
    /// Ed25519.
    Ed25519(Box<ed25519_dalek::SigningKey>),
    /// RSA-PSS with SHA-256 and the longest salt.
    RsaPss(Box<BlindedSigningKey<Sha256>>),
}

impl std::fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileSigner({})", self.algorithm())
    }
}

impl FileSigner {
    /// The signer of an opened secret: the 32 bytes of an Ed25519 key, the PKCS #8 of an RSA key.
    ///
    /// # Errors
    /// [`FileError::Key`] if it is none.
    pub fn new(algorithm: SigningAlgorithm, secret: &[u8]) -> Result<Self, FileError> {
        Ok(match algorithm {
            SigningAlgorithm::Ed25519 => {
                let seed = <&[u8; 32]>::try_from(secret).map_err(|_| FileError::Key)?;
                Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))
            }
            SigningAlgorithm::RsaPssSha256 => {
                let key = RsaPrivateKey::from_pkcs8_der(secret).map_err(|_| FileError::Key)?;
                // The longest salt that fits: encoded message, less digest and two bytes (RFC 8017, 9.1.1).
                let salt = key.size().checked_sub(DIGEST_BYTES + 2).ok_or(FileError::Key)?;
                Self::RsaPss(Box::new(BlindedSigningKey::new_with_salt_len(key, salt)))
            }
        })
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::Ed25519(_) => SigningAlgorithm::Ed25519,
            Self::RsaPss(_) => SigningAlgorithm::RsaPssSha256,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Self::RsaPss(key) => {
                let signature = key.try_sign_with_rng(&mut rsa::rand_core::OsRng, message);
                Ok(signature.map_err(|_| FileError::Key)?.to_vec())
            }
        }
    }
}
