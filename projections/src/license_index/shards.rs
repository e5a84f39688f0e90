//! The maps of the index: licences by the prefix of their key, and where each licence stands.
//!
//! Locks are taken in this order only: a shard of `places`, then a shard of `keys`. A reader of one licence holds one
//! lock for a few nanoseconds and never waits for the database.

use hashbrown::HashTable;
use parking_lot::RwLock;
use quotary_domain::LicenseId;

use super::entry::Entry;
use super::prefix::HashPrefix;

const SHARDS: usize = 64;

/// Licences of one shard; entries are never removed, so their places hold.
#[derive(Default)]
struct Shard {
    entries: Vec<Entry>,
    /// Numbers of entries by the hash of their key.
    by_key: HashTable<u32>,
}

/// Where a licence stands: 20 bytes, because events name only the licence.
#[derive(Clone, Copy)]
struct Place {
    license_id: LicenseId,
    /// Its shard in the upper 6 bits, its number there in the lower 26: up to 67 million a shard.
    slot: u32,
}

/// All licences.
pub(super) struct Shards {
    keys: Box<[RwLock<Shard>]>,
    places: Box<[RwLock<HashTable<Place>>]>,
}

impl Default for Shards {
    fn default() -> Self {
        Self {
            keys: (0..SHARDS).map(|_| RwLock::default()).collect(),
            places: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

/// What became of an entry that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It is new.
    New,
    /// The licence was known; the newer of the two stands.
    Replaced,
    /// The licence was known and at least as new.
    Known,
}

impl Shards {
    /// Reads the entry of a key.
    pub(super) fn read<T>(&self, key: HashPrefix, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        let shard = self.keys[shard_of_key(key)].read();
        let number = shard.by_key.find(key.hash(), |number| shard.entries[*number as usize].key == key)?;
        Some(look(&shard.entries[*number as usize]))
    }

    /// Changes the entry of a licence.
    pub(super) fn change<T>(&self, license_id: LicenseId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let hash = id_hash(license_id);
        let place = *self.places[shard_of_id(hash)].read().find(hash, |place| place.license_id == license_id)?;
        let (shard, number) = place.parts();
        self.keys[shard].write().entries.get_mut(number).map(change)
    }

    /// Adds an entry, or lets it take the place of an older one of the same licence.
    ///
    /// If another licence has the same prefix of its key, both are doubted for good, and every look-up goes to the log.
    pub(super) fn insert(&self, mut entry: Entry) -> Inserted {
        let license_id = entry.license_id;
        let hash = id_hash(license_id);
        let mut places = self.places[shard_of_id(hash)].write();
        if let Some(place) = places.find(hash, |place| place.license_id == license_id) {
            let (shard, number) = place.parts();
            let replaced = self.keys[shard].write().entries.get_mut(number).is_some_and(|known| known.replace(entry));
            return if replaced { Inserted::Replaced } else { Inserted::Known };
        }
        let shard_number = shard_of_key(entry.key);
        let mut shard = self.keys[shard_number].write();
        let Shard { entries, by_key } = &mut *shard;
        let key = entry.key;
        let rival = by_key.find(key.hash(), |number| entries[*number as usize].key == key).copied();
        if let Some(rival) = rival {
            entries[rival as usize].share_key();
            entry.share_key();
        }
        let number = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if entries.len() == entries.capacity() {
            // An eighth at a time: doubling would leave up to half of the largest part of the index empty.
            entries.reserve_exact((entries.len() / 8).max(16));
        }
        entries.push(entry);
        if rival.is_none() {
            by_key.insert_unique(key.hash(), number, |number| entries[*number as usize].key.hash());
        }
        let place = Place::new(license_id, shard_number, number);
        places.insert_unique(hash, place, |place| id_hash(place.license_id));
        Inserted::New
    }

    /// How many licences there are.
    pub(super) fn len(&self) -> usize {
        self.keys.iter().map(|shard| shard.read().entries.len()).sum()
    }
}

impl Place {
    fn new(license_id: LicenseId, shard: usize, number: u32) -> Self {
        // 64 shards of up to 2^26 entries.
        Self { license_id, slot: (u32::try_from(shard).unwrap_or_default() << 26) | (number & ((1 << 26) - 1)) }
    }

    fn parts(self) -> (usize, usize) {
        ((self.slot >> 26) as usize, (self.slot & ((1 << 26) - 1)) as usize)
    }
}

fn shard_of_key(key: HashPrefix) -> usize {
    usize::from(key.shard_byte()) % SHARDS
}

fn shard_of_id(hash: u64) -> usize {
    // Bits that neither the place in a table nor its tags use.
    (hash >> 40) as usize % SHARDS
}

/// A hash of an id. Ids are made by this system, so nobody can choose them to collide.
fn id_hash(license_id: LicenseId) -> u64 {
    let (high, low) = license_id.0.as_u64_pair();
    let product = u128::from(high ^ 0x9e37_79b9_7f4a_7c15) * u128::from(low ^ 0xd6e8_feb8_6659_fd93);
    let mixed = u64::try_from(product >> 64).unwrap_or_default()
        ^ u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
    mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use quotary_domain::BatchId;
    use uuid::Uuid;

    use super::super::entry::{BatchMark, Origin};

    use super::*;

    fn entry(license: u128, key: &str) -> Entry {
        let of = Origin { offer: 0, batch: BatchMark::of(BatchId::default()) };
        Entry::issued(HashPrefix::of_text(key), LicenseId(Uuid::from_u128(license)), of, 1)
    }

    #[test]
    fn licences_with_one_prefix_are_both_doubted() {
        let shards = Shards::default();
        assert_eq!(shards.insert(entry(1, "same")), Inserted::New);
        assert_eq!(shards.insert(entry(2, "same")), Inserted::New);
        assert_eq!(shards.read(HashPrefix::of_text("same"), Entry::is_doubtful), Some(true));
        let second = LicenseId(Uuid::from_u128(2));
        assert_eq!(shards.change(second, |entry| entry.is_doubtful()), Some(true));
        assert_eq!(shards.len(), 2);
    }

    #[test]
    fn every_licence_is_found_by_key_and_by_id() {
        let shards = Shards::default();
        for n in 0..5_000_u128 {
            shards.insert(entry(n, &format!("key {n}")));
        }
        for n in 0..5_000_u128 {
            let id = LicenseId(Uuid::from_u128(n));
            assert_eq!(shards.read(HashPrefix::of_text(&format!("key {n}")), |entry| entry.license_id), Some(id));
            assert_eq!(shards.change(id, |entry| entry.license_id), Some(id));
        }
    }
}
