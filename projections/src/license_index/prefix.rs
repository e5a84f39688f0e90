//! The first 16 bytes of a keyed hash: enough to know a key or a machine by.
//!
//! The hashes are HMAC-SHA256 under a key that nobody outside has, so their first 128 bits are evenly spread and can't be
//! steered: among a billion licences two share them with a probability below 2^-68. If two licences ever did, neither is
//! answered from memory (see `Shards::insert`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The first 16 bytes of an HMAC-SHA256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashPrefix(pub(super) [u8; 16]);

impl std::fmt::Debug for HashPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashPrefix(…)")
    }
}

impl HashPrefix {
    /// The prefix of a hash.
    #[must_use]
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Self(first)
    }

    /// The prefix of a hash as it stands in events, in base64url. A text of another form is taken as a name, so that
    /// every licence of the log has a place.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut hash = [0; 33];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut hash) {
            Ok(32) => {
                let mut first = [0; 16];
                first.copy_from_slice(&hash[..16]);
                Self(first)
            }
            _ => Self(*Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).as_bytes()),
        }
    }

    /// Eight of its bytes, as even as the hash itself.
    pub(super) fn hash(self) -> u64 {
        let mut half = [0; 8];
        half.copy_from_slice(&self.0[8..]);
        u64::from_le_bytes(half)
    }

    /// A byte that [`HashPrefix::hash`] does not use, to choose a shard by.
    pub(super) fn shard_byte(self) -> u8 {
        self.0[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_of_a_hash_have_one_prefix() {
        let hash = std::array::from_fn(|n| u8::try_from(n * 7).unwrap());
        assert_eq!(HashPrefix::of_hash(&hash), HashPrefix::of_text(&URL_SAFE_NO_PAD.encode(hash)));
        assert_ne!(HashPrefix::of_text("m1"), HashPrefix::of_text("m2"));
    }
}
