//! One licence in memory, in under a hundred bytes.
//!
//! Folds like `License::evolve`, without what verification does not ask for.

use chrono::{DateTime, Utc};
use quotary_domain::license::{License, LicenseEvent, LicenseStatus};
use quotary_domain::{BatchId, LicenseId};

use super::prefix::HashPrefix;

/// No time.
const NEVER: i64 = i64::MIN;

const IN_USE: u8 = 1;
const DISABLED: u8 = 1 << 1;
const REVOKED: u8 = 1 << 2;
/// An event was missed, or the key's prefix is not unique.
const DOUBTFUL: u8 = 1 << 3;
/// Doubtful for good: no state that is observed can heal it.
const SHARED_KEY: u8 = 1 << 4;

/// A licence.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: HashPrefix,
    pub license_id: LicenseId,
    /// Which offer it was issued under.
    pub offer: u32,
    /// Of its batch.
    pub batch: BatchMark,
    sequence: u32,
    flags: u8,
    /// Unix microseconds, as PostgreSQL keeps them.
    activated_at: i64,
    expires_at: i64,
    machines: Machines,
}

/// A mark of a batch: four bytes of its id's hash, which fit where an entry has room to spare. Two batches may share one,
/// so it tells for certain only that a licence is **not** of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BatchMark(u32);

impl BatchMark {
    pub(super) fn of(batch_id: BatchId) -> Self {
        let (high, low) = batch_id.0.as_u64_pair();
        let mixed = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(u32::try_from(mixed >> 32).unwrap_or_default())
    }
}

/// Where a licence comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The number of its offer.
    pub offer: u32,
    /// Its batch.
    pub batch: BatchMark,
}

/// The machines of a licence; nearly always none or one.
#[derive(Clone, Debug)]
enum Machines {
    None,
    One(HashPrefix),
    /// Sorted.
    Many(Box<[HashPrefix]>),
}

/// What a licence is loaded with from the read model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub sequence: u64,
    pub activated_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub in_use: bool,
    pub disabled: bool,
    pub revoked: bool,
}

impl Entry {
    /// A licence just issued.
    pub(super) fn issued(key: HashPrefix, license_id: LicenseId, of: Origin, sequence: u64) -> Self {
        Self {
            key,
            license_id,
            offer: of.offer,
            batch: of.batch,
            sequence: short(sequence),
            flags: 0,
            activated_at: NEVER,
            expires_at: NEVER,
            machines: Machines::None,
        }
    }

    /// A licence as its aggregate stands.
    pub(super) fn of_state(key: HashPrefix, license_id: LicenseId, of: Origin, state: &License, sequence: u64) -> Self {
        let columns = Columns {
            sequence,
            activated_at: state.activated_at,
            expires_at: state.expires_at,
            in_use: state.in_use,
            disabled: state.disabled,
            revoked: state.revoked,
        };
        let mut entry = Self::of_columns(key, license_id, of, &columns);
        let machines = state.machines.iter().map(|machine| HashPrefix::of_text(&machine.fingerprint_hash));
        entry.machines = Machines::from_list(machines.collect());
        entry
    }

    /// A licence as the read model has it, still without its machines.
    pub(super) fn of_columns(key: HashPrefix, license_id: LicenseId, of: Origin, columns: &Columns) -> Self {
        let mut entry = Self::issued(key, license_id, of, columns.sequence);
        entry.activated_at = columns.activated_at.map_or(NEVER, |at| at.timestamp_micros());
        entry.expires_at = columns.expires_at.map_or(NEVER, |at| at.timestamp_micros());
        entry.set(IN_USE, columns.in_use);
        entry.set(DISABLED, columns.disabled);
        entry.set(REVOKED, columns.revoked);
        entry
    }

    pub(super) fn apply(&mut self, event: &LicenseEvent, sequence: u64) {
        self.sequence = short(sequence);
        match event {
            // That it is over follows from its end.
            LicenseEvent::LicenseIssued(_) | LicenseEvent::LicenseExpired { .. } => {}
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                self.activated_at = activated_at.timestamp_micros();
                self.expires_at = expires_at.map_or(NEVER, |end| end.timestamp_micros());
                self.bind(HashPrefix::of_text(&machine.fingerprint_hash));
            }
            LicenseEvent::MachineBound { machine } => self.bind(HashPrefix::of_text(&machine.fingerprint_hash)),
            LicenseEvent::MachineDeactivated { fingerprint_hash } => {
                let gone = HashPrefix::of_text(fingerprint_hash);
                let rest = self.machines.list().iter().copied().filter(|machine| *machine != gone).collect();
                self.machines = Machines::from_list(rest);
            }
            LicenseEvent::LicenseUnbound {} => {
                self.machines = Machines::None;
                self.set(IN_USE, false);
            }
            LicenseEvent::LicenseDisabled {} => self.set(DISABLED, true),
            LicenseEvent::LicenseEnabled {} => self.set(DISABLED, false),
            LicenseEvent::LicenseRevoked { .. } => self.set(REVOKED, true),
            LicenseEvent::LicenseRenewed { expires_at, .. } => {
                if let Some(end) = expires_at {
                    self.expires_at = end.timestamp_micros();
                }
            }
        }
    }

    /// Adds a machine; for the fold and for loading.
    pub(super) fn bind(&mut self, machine: HashPrefix) {
        let mut machines = self.machines.list().to_vec();
        machines.push(machine);
        self.machines = Machines::from_list(machines);
        self.set(IN_USE, true);
    }

    /// Adds a machine that the read model knows; whether the licence is in use is known already.
    pub(super) fn load_machine(&mut self, machine: HashPrefix) {
        let in_use = self.has(IN_USE);
        self.bind(machine);
        self.set(IN_USE, in_use);
    }

    /// Takes over a newer state; a state as new as what was missed heals the entry.
    pub(super) fn replace(&mut self, mut newer: Self) -> bool {
        let fresh = if self.is_doubtful() { newer.sequence >= self.sequence } else { newer.sequence > self.sequence };
        if fresh {
            newer.flags |= self.flags & SHARED_KEY;
            *self = newer;
        }
        fresh
    }

    /// Notes that events before `sequence` were missed.
    pub(super) fn doubt(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(short(sequence));
        self.set(DOUBTFUL, true);
    }

    /// Notes that another licence has the same prefix.
    pub(super) fn share_key(&mut self) {
        self.set(SHARED_KEY, true);
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.flags & (DOUBTFUL | SHARED_KEY) != 0
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence.into()
    }

    /// How it stands at `at`; the same rule as `License::status`.
    pub(super) fn status(&self, at: DateTime<Utc>) -> LicenseStatus {
        if self.has(REVOKED) {
            LicenseStatus::Revoked
        } else if self.has(DISABLED) {
            LicenseStatus::Disabled
        } else if self.expires_at != NEVER && self.expires_at <= at.timestamp_micros() {
            LicenseStatus::Expired
        } else if self.has(IN_USE) {
            LicenseStatus::Active
        } else {
            LicenseStatus::Unused
        }
    }

    pub(super) fn activated_at(&self) -> Option<DateTime<Utc>> {
        time(self.activated_at)
    }

    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        time(self.expires_at)
    }

    pub(super) fn is_bound_to(&self, machine: HashPrefix) -> bool {
        match &self.machines {
            Machines::None => false,
            Machines::One(only) => *only == machine,
            Machines::Many(sorted) => sorted.binary_search(&machine).is_ok(),
        }
    }

    pub(super) fn machine_count(&self) -> u32 {
        u32::try_from(self.machines.list().len()).unwrap_or(u32::MAX)
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }
}

impl Machines {
    fn list(&self) -> &[HashPrefix] {
        match self {
            Self::None => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(sorted) => sorted,
        }
    }

    fn from_list(mut list: Vec<HashPrefix>) -> Self {
        match list.as_slice() {
            [] => Self::None,
            [only] => Self::One(*only),
            _ => {
                list.sort_unstable();
                Self::Many(list.into_boxed_slice())
            }
        }
    }
}

fn time(micros: i64) -> Option<DateTime<Utc>> {
    if micros == NEVER { None } else { DateTime::from_timestamp_micros(micros) }
}

/// A stream never has so many events that this cuts; if it did, the entry would stay behind and be read from the log.
fn short(sequence: u64) -> u32 {
    u32::try_from(sequence).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 88, "{}", size_of::<Entry>());
    }
}
