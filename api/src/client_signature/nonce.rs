//! The nonces that were used lately, so that a signed request is accepted once.
//!
//! A nonce goes in only after its signature was found valid. It is remembered for as long as its signature could still
//! be accepted; when the memory is full, new requests are refused and nothing is forgotten early. The memory belongs
//! to one process and starts empty: several processes behind one address each accept a request once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::request::CLOCK_WINDOW_SECONDS;

/// Longest time for which a nonce is remembered, in seconds: a signature from the very end of the future window stays
/// acceptable for twice the window; a minute is for a clock that is set back.
pub const NONCE_RETENTION_SECONDS: i64 = 2 * CLOCK_WINDOW_SECONDS + SLACK_SECONDS;

/// How far the server's clock may jump back without a nonce being forgotten too early.
const SLACK_SECONDS: i64 = 60;
/// Locks, and so the number of requests that can be in here at once.
const SHARDS: usize = 64;
/// Shortest time between two sweeps of a shard that is not full.
const SWEEP_SECONDS: i64 = 30;

/// Why a nonce was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// It was used before by the same key.
    #[error("the nonce was used before")]
    Replayed,
    /// No more can be remembered before some expire.
    #[error("no more nonces can be remembered at the moment")]
    Full,
}

/// The bounded memory of used nonces, shared by all handlers of a process.
#[derive(Debug)]
pub struct NonceStore {
    shards: Box<[Mutex<Shard>]>,
    shard_capacity: usize,
}

/// The first 16 bytes of the hash of key id and nonce.
type Fingerprint = [u8; 16];

#[derive(Debug)]
struct Shard {
    /// The last second in which each nonce must be known.
    last_seconds: HashMap<Fingerprint, i64>,
    /// No entry can be dropped before this second, so sweeping earlier is in vain.
    earliest_last_second: i64,
    swept_at: i64,
}

impl NonceStore {
    /// A store for about `capacity` nonces (rounded up to a multiple of 64); each takes some 50 bytes. It needs room
    /// for the calls of [`NONCE_RETENTION_SECONDS`] at most, of half of it with clients whose clocks are right.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect();
        Self { shards, shard_capacity: capacity.div_ceil(SHARDS).max(1) }
    }

    /// Takes the nonce of a request whose signature was found valid at `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`NonceError::Replayed`] if the key used this nonce within the window, whatever `created` it had then;
    /// [`NonceError::Full`] if it cannot be remembered.
    pub fn insert(&self, key_id: &str, nonce: &str, created: i64, now: i64) -> Result<(), NonceError> {
        let fingerprint = fingerprint(key_id, nonce);
        // Never less than a window from now, so that a caller with a wrong `created` cannot shorten the memory, and
        // never more than the retention, so that it cannot fill it for good.
        let base = created.clamp(now, now.saturating_add(CLOCK_WINDOW_SECONDS));
        let last_second = base.saturating_add(CLOCK_WINDOW_SECONDS + SLACK_SECONDS);
        let index = usize::from(fingerprint[0]) % SHARDS;
        self.shards[index].lock().insert(fingerprint, last_second, now, self.shard_capacity)
    }

    /// How many nonces are held at the moment, expired ones that were not swept yet included; for a metric.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().last_seconds.len()).sum()
    }

    /// Whether no nonce is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest number of nonces that can be held.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.shard_capacity * SHARDS
    }
}

impl Shard {
    fn new() -> Self {
        Self { last_seconds: HashMap::new(), earliest_last_second: i64::MAX, swept_at: i64::MIN }
    }

    fn insert(
        &mut self,
        fingerprint: Fingerprint,
        last_second: i64,
        now: i64,
        capacity: usize,
    ) -> Result<(), NonceError> {
        let full = self.last_seconds.len() >= capacity;
        if now > self.earliest_last_second && (full || now.saturating_sub(self.swept_at) >= SWEEP_SECONDS) {
            self.sweep(now);
        }
        let full = self.last_seconds.len() >= capacity;
        match self.last_seconds.entry(fingerprint) {
            Entry::Occupied(known) if now <= *known.get() => return Err(NonceError::Replayed),
            Entry::Occupied(mut expired) => {
                expired.insert(last_second);
            }
            Entry::Vacant(_) if full => return Err(NonceError::Full),
            Entry::Vacant(vacant) => {
                vacant.insert(last_second);
            }
        }
        self.earliest_last_second = self.earliest_last_second.min(last_second);
        Ok(())
    }

    fn sweep(&mut self, now: i64) {
        let mut earliest = i64::MAX;
        self.last_seconds.retain(|_, last_second| {
            let keep = now <= *last_second;
            if keep {
                earliest = earliest.min(*last_second);
            }
            keep
        });
        self.earliest_last_second = earliest;
        self.swept_at = now;
        // Gives the memory of a rush back without growing and shrinking at every sweep.
        if self.last_seconds.capacity() > 4 * self.last_seconds.len().max(64) {
            self.last_seconds.shrink_to(2 * self.last_seconds.len());
        }
    }
}

fn fingerprint(key_id: &str, nonce: &str) -> Fingerprint {
    let mut hash = Sha256::new();
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    hash.update((key_id.len() as u64).to_be_bytes());
    hash.update(key_id.as_bytes());
    hash.update(nonce.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest[..16]);
    fingerprint
}
