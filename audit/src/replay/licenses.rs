//! Licences: they are what their batch was asked with, and their states change legally.
//!
//! What always holds: a licence takes some fifty bytes here, so that logs of tens of millions fit into memory; terms stand
//! once, and only what few licences have is kept beside them.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::ledger::spot;
use super::licensing::Licensing;
use super::policy::{Rules, ValidFrom};
use super::shapes::{Issue, LicenseEvent, Machine, Terms};
use super::step::{BatchStep, Spot, SpotKind, Step};
use super::values::{Fingerprint, Id, Time};
use super::{Found, Kind, Place, Seen};

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// No end.
const ENDLESS: i64 = i64::MAX;

/// A licence's state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct License {
    batch: Id,
    expires_at: i64,
    tenant: u32,
    sequence: u32,
    extra_days: u32,
    terms: u32,
    machines: u16,
    unbinds: u8,
    transfers: u8,
    flags: u8,
}

const ISSUED: u8 = 1;
const ACTIVATED: u8 = 2;
const IN_USE: u8 = 4;
const DISABLED: u8 = 8;
const REVOKED: u8 = 16;
const END_NOTED: u8 = 32;

impl License {
    fn new(tenant: u32) -> Self {
        Self {
            batch: Id::default(),
            expires_at: ENDLESS,
            tenant,
            sequence: 0,
            extra_days: 0,
            terms: 0,
            machines: 0,
            unbinds: 0,
            transfers: 0,
            flags: 0,
        }
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// How often all its machines went.
    fn clearings(&self) -> u8 {
        self.unbinds.wrapping_add(self.transfers)
    }

    /// Disables, enables or revokes; false if its state does not allow it.
    fn switch(&mut self, event: &LicenseEvent, refunded: bool) -> bool {
        let (disabled, revoked) = (self.is(DISABLED), self.is(REVOKED));
        match event {
            LicenseEvent::LicenseDisabled {} => {
                self.set(DISABLED, true);
                !disabled && !revoked
            }
            LicenseEvent::LicenseEnabled {} => {
                self.set(DISABLED, false);
                disabled && !revoked && !refunded
            }
            _ => {
                self.set(REVOKED, true);
                !revoked
            }
        }
    }

    fn clear(&mut self) {
        self.set(IN_USE, false);
        self.machines = 0;
    }
}

/// What licences grant; the same for many of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct KnownTerms {
    list: Vec<Granted>,
    numbers: HashMap<Id, u32>,
}

/// What a licence grants, as far as a change of it can break that.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Granted {
    duration_days: Option<u32>,
    max_machines: u32,
    rules: Rules,
}

impl KnownTerms {
    pub(super) fn number(&mut self, terms: &Terms) -> u32 {
        let days = terms.duration_days.map_or([0; 5], |days| {
            let [a, b, c, d] = days.to_be_bytes();
            [1, a, b, c, d]
        });
        let parts: [&[u8]; 4] = [&days, &terms.max_machines.to_be_bytes(), &terms.features.0.0, &terms.policy.text().0];
        let list = &mut self.list;
        *self.numbers.entry(Fingerprint::of(&parts).id()).or_insert_with(|| {
            list.push(Granted {
                duration_days: terms.duration_days,
                max_machines: terms.max_machines,
                rules: terms.policy.rules().clone(),
            });
            u32::try_from(list.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// Machines by licence and number of clearings; one that was cleared is never looked for again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machines {
    bound: HashSet<Id>,
    /// Ends of leases, of the machines that have one.
    leases: HashMap<Id, HashMap<Id, i64>>,
}

/// What few licences have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counted {
    /// When bindings were cleared last, where terms ask for a pause.
    unbound: HashMap<Id, i64>,
    /// What was used, by licence and meter.
    used: HashMap<Id, u64>,
}

impl Licensing {
    /// How far a licence's stream was before this event.
    pub fn place(&mut self, seen: &Seen<'_>) -> Place {
        let license = self.licenses.entry(seen.id).or_insert(License::new(seen.tenant));
        let before = Place { sequence: license.sequence.into(), tenant: license.tenant };
        license.sequence = u32::try_from(seen.sequence).unwrap_or(u32::MAX);
        before
    }

    /// An event of a licence.
    pub fn license(&mut self, seen: &Seen<'_>, event: LicenseEvent, step: &mut Step, found: &mut Found) {
        if let LicenseEvent::LicenseIssued(issue) = event {
            return self.issue(seen, &issue, step, found);
        }
        if let LicenseEvent::LicenseMoved { terms, expires_at, .. } = event {
            return self.go_over(seen, &terms, expires_at, found);
        }
        let Some(license) = self.licenses.get_mut(&seen.id).filter(|license| license.is(ISSUED)) else {
            return found.add(seen.finding(Kind::StreamStart, "the licence was never issued"));
        };
        let Some(granted) = self.terms.list.get(license.terms as usize) else { return };
        let refunded = self.batches.get(&license.batch).is_some_and(|batch| batch.refunded);
        let usable = !license.is(DISABLED) && !license.is(REVOKED);
        let at_machines = &mut AtMachines { machines: &mut self.machines, seen, granted };
        let illegal = |what: &str| seen.finding(Kind::State, what);
        match event {
            LicenseEvent::LicenseIssued(_) | LicenseEvent::LicenseMoved { .. } => {}
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                if license.is(ACTIVATED) || !usable || refunded {
                    found.add(illegal("it is activated already, disabled, revoked or refunded"));
                }
                let end = expires_at.map_or(ENDLESS, |Time(end)| end);
                if !granted.may_end(license, activated_at.0, end) {
                    found.add(illegal("its end is not its duration after its activation"));
                }
                license.set(ACTIVATED, true);
                license.expires_at = end;
                at_machines.bind(license, &machine, false, found);
            }
            LicenseEvent::MachineBound { .. }
            | LicenseEvent::MachineChanged { .. }
            | LicenseEvent::LeaseExtended { .. }
            | LicenseEvent::MachineLapsed { .. }
            | LicenseEvent::MachineDeactivated { .. } => {
                at_machines.change(license, &event, usable && !refunded, found);
            }
            LicenseEvent::ValidityBegan { expires_at } => {
                if !usable || !license.is(ACTIVATED) || license.expires_at != ENDLESS || granted.duration_days.is_none()
                {
                    found.add(illegal("a validity began that had begun, or never ends"));
                }
                license.expires_at = expires_at.0;
            }
            LicenseEvent::UsageReported { meter, amount, over_limit } => {
                let total = self.counted.used.entry(Fingerprint::of(&[&seen.id.0, &meter.0]).id()).or_default();
                *total = total.saturating_add(amount);
                if !usable || amount == 0 || !granted.may_count(meter, *total, over_limit) {
                    found.add(illegal("usage was counted against its terms"));
                }
            }
            LicenseEvent::LicenseUnbound { unbound_at } => {
                if !license.is(IN_USE) || !usable || license.unbinds >= granted.rules.max_unbinds {
                    found.add(illegal("bindings were cleared of a licence that is not in use, or too often"));
                }
                if let Some(Time(at)) = unbound_at {
                    let before = self.counted.unbound.insert(seen.id, at);
                    if before.is_some_and(|before| at < before.saturating_add(granted.rules.pause_us)) {
                        found.add(illegal("bindings were cleared again without the pause that its terms ask for"));
                    }
                }
                at_machines.clear(license);
                license.unbinds = license.unbinds.saturating_add(1);
            }
            LicenseEvent::LicenseTransferred { .. } => {
                if license.is(REVOKED) || license.transfers >= granted.rules.max_transfers {
                    found.add(illegal("it changed its holder too often, or after its end"));
                }
                at_machines.clear(license);
                license.transfers = license.transfers.saturating_add(1);
            }
            LicenseEvent::LicenseDisabled {}
            | LicenseEvent::LicenseEnabled {}
            | LicenseEvent::LicenseRevoked { .. } => {
                if !license.switch(&event, refunded) {
                    found.add(illegal("it is disabled, enabled or revoked against its state"));
                }
                self.revoked += u64::from(matches!(event, LicenseEvent::LicenseRevoked { .. }));
            }
            LicenseEvent::LicenseRenewed { days, expires_at } => {
                if !granted.may_renew(license, days, expires_at) || license.is(REVOKED) {
                    found.add(illegal("its new end does not follow from the old one"));
                }
                match expires_at {
                    Some(Time(end)) => license.expires_at = end,
                    None => license.extra_days = license.extra_days.saturating_add(days),
                }
                license.set(END_NOTED, false);
            }
            LicenseEvent::LicenseExpired { expires_at } => {
                if expires_at.0 != license.expires_at || license.is(END_NOTED) || license.is(REVOKED) {
                    found.add(illegal("it is not its end, or was noted before"));
                }
                license.set(END_NOTED, true);
            }
        }
    }

    /// It went over to another plan: a validity that has begun keeps its end, unless the new terms have none.
    fn go_over(&mut self, seen: &Seen<'_>, terms: &Terms, expires_at: Option<Time>, found: &mut Found) {
        let number = self.terms.number(terms);
        let Some(license) = self.licenses.get_mut(&seen.id).filter(|license| license.is(ISSUED)) else {
            return found.add(seen.finding(Kind::StreamStart, "the licence was never issued"));
        };
        let end = expires_at.map_or(ENDLESS, |Time(end)| end);
        let fits = match (terms.duration_days, license.expires_at) {
            (None, _) => end == ENDLESS,
            // It begins now, or later.
            (Some(_), ENDLESS) => true,
            (Some(_), known) => end == known,
        };
        if !fits || license.is(REVOKED) {
            found.add(seen.finding(Kind::State, "its end is not what a move leaves it"));
        }
        let rules = terms.policy.rules();
        if u32::from(license.machines) > terms.max_machines && !rules.may_exceed && !rules.floating {
            found.add(seen.finding(Kind::State, format!("it is bound to more than {} machines", terms.max_machines)));
        }
        license.terms = number;
        if end != license.expires_at {
            license.set(END_NOTED, false);
        }
        license.expires_at = end;
    }

    fn issue(&mut self, seen: &Seen<'_>, issue: &Issue, step: &mut Step, found: &mut Found) {
        let number = self.terms.number(&issue.terms);
        let license = self.licenses.entry(seen.id).or_insert(License::new(seen.tenant));
        if license.is(ISSUED) {
            return found.add(seen.finding(Kind::StreamStart, "the licence was issued before"));
        }
        license.set(ISSUED, true);
        license.batch = issue.batch_id;
        license.terms = number;
        license.expires_at = issue.expires_at.map_or(ENDLESS, |Time(end)| end);
        let begins = issue.terms.duration_days.is_some() && issue.terms.policy.rules().valid_from == ValidFrom::Issue;
        if begins != issue.expires_at.is_some() {
            found.add(seen.finding(Kind::State, "its validity begins at another time than its terms say"));
        }
        self.issued += 1;
        if !self.keys.insert(issue.key_hash.id()) {
            found.add(seen.finding(Kind::KeyReused, "its key was issued before"));
        }
        let spot = spot(seen, SpotKind::LicenseBatch);
        let spot = Spot { id: issue.batch_id, ..spot };
        let during = step.batches.entry(issue.batch_id).or_insert_with(|| BatchStep::new(spot));
        during.unissued += 1;
        let Some(batch) = self.batches.get_mut(&issue.batch_id).filter(|batch| batch.tenant == seen.tenant) else {
            return found.add(seen.finding(Kind::BatchCount, format!("there is no batch {}", issue.batch_id)));
        };
        batch.issued += 1;
        if batch.issued > batch.announced {
            let text = format!("batch {} has more licences than it announced", issue.batch_id);
            found.add(seen.finding(Kind::BatchCount, text));
        }
        let asked = (batch.project, batch.plan, batch.plan_version, batch.agent, batch.terms);
        if (issue.project_id, issue.plan_id, issue.plan_version, issue.agent_id, number) != asked {
            found.add(seen.finding(Kind::State, "it is not what its batch was asked with"));
        }
    }
}

impl Granted {
    /// Whether so much of a meter may have been used, and is flagged as it should be.
    fn may_count(&self, meter: Fingerprint, total: u64, over_limit: bool) -> bool {
        let Some(limit) = self.rules.meters.get(&meter.id()) else { return false };
        let is_over = limit.is_some_and(|limit| total > limit);
        is_over == over_limit && (!is_over || self.rules.may_exceed)
    }

    /// Whether so many days more may lead to that end.
    fn may_renew(&self, license: &License, days: u32, expires_at: Option<Time>) -> bool {
        let has_begun = license.expires_at != ENDLESS;
        let fits = match expires_at {
            // Days count from the end, or from the renewal if it is over.
            Some(Time(end)) => has_begun && end >= license.expires_at.saturating_add(i64::from(days) * DAY_US),
            None => !has_begun,
        };
        fits && days > 0 && self.duration_days.is_some() && !self.rules.trial
    }

    /// Whether an activation may leave the licence with that end.
    fn may_end(&self, license: &License, activated_at: i64, end: i64) -> bool {
        let Some(days) = self.duration_days else { return end == ENDLESS };
        if license.expires_at != ENDLESS {
            return end == license.expires_at;
        }
        let days = i64::from(days) + i64::from(license.extra_days);
        let counted = activated_at.saturating_add(days * DAY_US);
        // With the first use, which may come later.
        end == counted || (end == ENDLESS && self.rules.valid_from == ValidFrom::FirstUse)
    }
}

/// The machines of the licence that an event is about.
struct AtMachines<'a> {
    machines: &'a mut Machines,
    seen: &'a Seen<'a>,
    granted: &'a Granted,
}

impl AtMachines<'_> {
    /// A machine came, changed, was heard of, or went. Only a licence that can be used takes one in.
    fn change(&mut self, license: &mut License, event: &LicenseEvent, usable: bool, found: &mut Found) {
        let rules = &self.granted.rules;
        let illegal = |what: &str| self.seen.finding(Kind::State, what);
        match event {
            LicenseEvent::MachineBound { machine, over_limit } => {
                if !license.is(ACTIVATED) || !usable {
                    found.add(illegal("a machine was bound to a licence that can't be used"));
                }
                self.bind(license, machine, *over_limit, found);
            }
            LicenseEvent::MachineChanged { fingerprint_hash, machine } => {
                if !usable || rules.exact {
                    found.add(illegal("a machine changed that can't be known by its components"));
                }
                self.take_off(license, *fingerprint_hash, found);
                self.put(license, machine, found);
            }
            LicenseEvent::LeaseExtended { fingerprint_hash, held_until } => {
                if !usable || rules.lease_us.is_none() {
                    found.add(illegal("a lease was extended that there is not"));
                }
                self.extend(license, *fingerprint_hash, *held_until, found);
            }
            LicenseEvent::MachineLapsed { fingerprint_hash } => {
                if !rules.floating {
                    found.add(illegal("a machine lapsed that keeps its place"));
                }
                self.take_off(license, *fingerprint_hash, found);
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash } => {
                self.take_off(license, *fingerprint_hash, found);
            }
            _ => {}
        }
    }

    /// A machine takes a place.
    fn bind(&mut self, license: &mut License, machine: &Machine, over_limit: bool, found: &mut Found) {
        let places = self.granted.max_machines;
        let taken = match (machine.held_until, self.granted.rules.lease_us) {
            // Only those count that were heard of within their lease when this one was bound.
            (Some(Time(until)), Some(lease)) if self.granted.rules.floating => {
                let at = until.saturating_sub(lease);
                let leases = self.machines.leases.get(&self.seen.id);
                let over = leases.map_or(0, |leases| leases.values().filter(|until| **until <= at).count());
                usize::from(license.machines).saturating_sub(over)
            }
            _ => license.machines.into(),
        };
        let is_full = taken >= places as usize;
        if is_full && !self.granted.rules.may_exceed {
            found.add(self.seen.finding(Kind::State, format!("it is bound to more than {places} machines")));
        }
        if is_full != over_limit {
            found.add(self.seen.finding(Kind::State, "what it says of its limit is not so"));
        }
        self.put(license, machine, found);
    }

    fn put(&mut self, license: &mut License, machine: &Machine, found: &mut Found) {
        if !self.machines.bound.insert(binding(self.seen.id, license, machine.fingerprint_hash)) {
            found.add(self.seen.finding(Kind::State, "the machine was bound already"));
        }
        if machine.held_until.is_some() != self.granted.rules.lease_us.is_some() {
            found.add(self.seen.finding(Kind::State, "its lease is not what its terms ask for"));
        }
        if let Some(Time(until)) = machine.held_until {
            let leases = self.machines.leases.entry(self.seen.id).or_default();
            leases.insert(machine.fingerprint_hash.id(), until);
        }
        license.set(IN_USE, true);
        license.machines = license.machines.saturating_add(1);
    }

    fn take_off(&mut self, license: &mut License, fingerprint_hash: Fingerprint, found: &mut Found) {
        if !self.machines.bound.remove(&binding(self.seen.id, license, fingerprint_hash)) {
            found.add(self.seen.finding(Kind::State, "the machine was not bound"));
        }
        if let Some(leases) = self.machines.leases.get_mut(&self.seen.id) {
            leases.remove(&fingerprint_hash.id());
        }
        license.machines = license.machines.saturating_sub(1);
    }

    fn extend(&mut self, license: &License, fingerprint_hash: Fingerprint, until: Time, found: &mut Found) {
        if !self.machines.bound.contains(&binding(self.seen.id, license, fingerprint_hash)) {
            found.add(self.seen.finding(Kind::State, "the machine was not bound"));
        }
        let leases = self.machines.leases.entry(self.seen.id).or_default();
        leases.insert(fingerprint_hash.id(), until.0);
    }

    fn clear(&mut self, license: &mut License) {
        self.machines.leases.remove(&self.seen.id);
        license.clear();
    }
}

/// A machine's place at a licence.
fn binding(license_id: Id, license: &License, fingerprint: Fingerprint) -> Id {
    Fingerprint::of(&[&license_id.0, &[license.clearings()], &fingerprint.0]).id()
}
