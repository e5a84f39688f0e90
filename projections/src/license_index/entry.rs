//! One licence in memory, in under a hundred bytes.
//!
//! Folds like `License::evolve`, without what verification does not ask for.

use chrono::{DateTime, Utc};
use quotary_domain::license::verification::Binding;
use quotary_domain::license::{License, LicenseEvent, LicenseStatus, Machine};
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

/// The machines of a licence; nearly always none or one, without a lease.
#[derive(Clone, Debug)]
enum Machines {
    None,
    One(HashPrefix),
    /// Sorted.
    Many(Box<[HashPrefix]>),
    /// Sorted; machines that have to be heard of.
    Leased(Box<[Leased]>),
}

/// A machine and the end of its lease, in Unix microseconds.
type Leased = (HashPrefix, i64);

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
    /// A licence just issued, with a validity that begins later.
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
        entry.machines = Machines::from_list(state.machines.iter().map(leased).collect());
        entry
    }

    /// A licence as the read model has it, still without its machines.
    pub(super) fn of_columns(key: HashPrefix, license_id: LicenseId, of: Origin, columns: &Columns) -> Self {
        let mut entry = Self::issued(key, license_id, of, columns.sequence);
        entry.activated_at = micros(columns.activated_at);
        entry.expires_at = micros(columns.expires_at);
        entry.set(IN_USE, columns.in_use);
        entry.set(DISABLED, columns.disabled);
        entry.set(REVOKED, columns.revoked);
        entry
    }

    pub(super) fn apply(&mut self, event: &LicenseEvent, sequence: u64) {
        self.sequence = short(sequence);
        match event {
            LicenseEvent::LicenseIssued(issue) => self.expires_at = micros(issue.expires_at),
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                self.activated_at = activated_at.timestamp_micros();
                self.expires_at = micros(*expires_at);
                self.bind(leased(machine));
            }
            LicenseEvent::MachineBound { machine, .. } => self.bind(leased(machine)),
            LicenseEvent::MachineChanged { fingerprint_hash, machine } => {
                self.take_off(fingerprint_hash);
                self.bind(leased(machine));
            }
            LicenseEvent::LeaseExtended { fingerprint_hash, held_until } => {
                let machine = HashPrefix::of_text(fingerprint_hash);
                if self.binding(machine) != Binding::Unbound {
                    self.take_off(fingerprint_hash);
                    self.bind((machine, held_until.timestamp_micros()));
                }
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash }
            | LicenseEvent::MachineLapsed { fingerprint_hash } => {
                self.take_off(fingerprint_hash);
            }
            LicenseEvent::LicenseUnbound { .. } | LicenseEvent::LicenseTransferred { .. } => {
                self.machines = Machines::None;
                self.set(IN_USE, false);
            }
            LicenseEvent::ValidityBegan { expires_at } => self.expires_at = expires_at.timestamp_micros(),
            // The offer, which is the index's to know, changes with it.
            LicenseEvent::LicenseMoved { expires_at, .. } => self.expires_at = micros(*expires_at),
            // That it is over follows from its end.
            LicenseEvent::UsageReported { .. } | LicenseEvent::LicenseExpired { .. } => {}
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
    fn bind(&mut self, machine: Leased) {
        let mut machines = self.machines.to_list();
        machines.push(machine);
        self.machines = Machines::from_list(machines);
        self.set(IN_USE, true);
    }

    fn take_off(&mut self, fingerprint_hash: &str) {
        let gone = HashPrefix::of_text(fingerprint_hash);
        let mut machines = self.machines.to_list();
        machines.retain(|(machine, _)| *machine != gone);
        self.machines = Machines::from_list(machines);
    }

    /// Adds a machine that the read model knows; whether the licence is in use is known already.
    pub(super) fn load_machine(&mut self, machine: HashPrefix, held_until: Option<DateTime<Utc>>) {
        let in_use = self.has(IN_USE);
        self.bind((machine, micros(held_until)));
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

    /// Whether it is bound to the machine.
    pub(super) fn binding(&self, machine: HashPrefix) -> Binding {
        let bound = |is_bound| if is_bound { Binding::Bound } else { Binding::Unbound };
        match &self.machines {
            Machines::None => Binding::Unbound,
            Machines::One(only) => bound(*only == machine),
            Machines::Many(sorted) => bound(sorted.binary_search(&machine).is_ok()),
            Machines::Leased(sorted) => match sorted.binary_search_by_key(&machine, |(known, _)| *known) {
                Ok(place) => time(sorted[place].1).map_or(Binding::Bound, Binding::HeldUntil),
                Err(_) => Binding::Unbound,
            },
        }
    }

    /// How many machines it is bound to.
    pub(super) fn machine_count(&self) -> u32 {
        let count = match &self.machines {
            Machines::None => 0,
            Machines::One(_) => 1,
            Machines::Many(sorted) => sorted.len(),
            Machines::Leased(sorted) => sorted.len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// How many of its machines were heard of within their lease, or need not be.
    pub(super) fn live_count(&self, at: DateTime<Utc>) -> u32 {
        let Machines::Leased(sorted) = &self.machines else { return self.machine_count() };
        let now = at.timestamp_micros();
        let live = sorted.iter().filter(|(_, until)| *until == NEVER || *until > now).count();
        u32::try_from(live).unwrap_or(u32::MAX)
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }
}

impl Machines {
    fn to_list(&self) -> Vec<Leased> {
        match self {
            Self::None => vec![],
            Self::One(only) => vec![(*only, NEVER)],
            Self::Many(sorted) => sorted.iter().map(|machine| (*machine, NEVER)).collect(),
            Self::Leased(sorted) => sorted.to_vec(),
        }
    }

    fn from_list(mut list: Vec<Leased>) -> Self {
        list.sort_unstable();
        match list.as_slice() {
            [] => Self::None,
            [(only, NEVER)] => Self::One(*only),
            many if many.iter().all(|(_, until)| *until == NEVER) => {
                Self::Many(list.into_iter().map(|(machine, _)| machine).collect())
            }
            _ => Self::Leased(list.into_boxed_slice()),
        }
    }
}

fn leased(machine: &Machine) -> Leased {
    (HashPrefix::of_text(&machine.fingerprint_hash), micros(machine.held_until))
}

fn micros(at: Option<DateTime<Utc>>) -> i64 {
    at.map_or(NEVER, |at| at.timestamp_micros())
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
