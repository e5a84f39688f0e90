//! A ciphertext as it stands in events: opaque here, opened only by the vault of the write side.

use serde::{Deserialize, Serialize};

/// Encrypted bytes in text form, `v1.<key id>.<base64url(nonce ‖ ciphertext ‖ tag)>` (AES-256-GCM).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}
