//! A project's HMAC secret in the form in which it is used on every call.
//!
//! The key schedule is computed once; the secret itself is not kept. The state is as good as the secret, so it lives
//! behind a box (moves leave no copy), is overwritten on drop and is never printed.

use std::fmt;
use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest secret that is accepted, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// The keyed HMAC-SHA-256 state of one API key; cheap to use, cloneable, overwritten on drop.
#[derive(Clone)]
pub struct HmacKey(Box<Hmac<Sha256>>);

/// The secret is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an hmac secret of {length} bytes is too short")]
pub struct SecretTooShort {
    /// Bytes of the secret that was given.
    pub length: usize,
}

impl HmacKey {
    /// Prepares `secret`, the exact bytes that both sides share. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`SecretTooShort`] below 16 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort { length: secret.len() });
        }
        // HMAC takes keys of any length, so this error does not occur.
        let mac = Hmac::new_from_slice(secret).map_err(|_| SecretTooShort { length: secret.len() })?;
        Ok(Self(Box::new(mac)))
    }

    /// The MAC of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::clone(&self.0);
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the whole MAC of `message`, in constant time.
    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let mut mac = Hmac::clone(&self.0);
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        // Independent of the `zeroize` features of hmac and sha2, which also wipe the clones made for each message.
        if let Ok(blank) = Hmac::new_from_slice(&[0; 64]) {
            *self.0 = blank;
            // Keeps the compiler from leaving out a store that nobody reads.
            black_box(&mut self.0);
        }
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HmacKey(…)")
    }
}
