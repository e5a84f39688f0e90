//! Machines of a licence: which one it is, whether it holds its place, and what a use of it leads to.
//!
//! A machine is known by the keyed hash of its fingerprint and, where the terms allow it, by enough equal components.
//! A place is held by a machine that is bound and, in a floating licence, was heard of within its lease.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::terms::{Heartbeat, LicenseTerms, Matching, Overage, Silence};
use super::{Issue, License, LicenseError, LicenseEvent};
use crate::Sealed;
use crate::project::MAX_MACHINES;

/// How many machines that fell silent one command takes off a licence.
const MAX_LAPSED: usize = 100;

/// A machine a licence is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// HMAC-SHA256 of the fingerprint that the client software reported, in base64url; it never stands in the clear.
    pub fingerprint_hash: String,
    /// A name for people, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Sealed>,
    /// Keyed hashes of its components, by the component's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, String>,
    /// Until when it holds its place without being heard of; `None` if it need not be heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<DateTime<Utc>>,
}

/// How a licence came to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// A machine was bound ahead of its use: by hand, or by a file.
    Activation,
    /// Client software asked whether it may run.
    Verification,
}

impl Machine {
    /// A machine of which nothing but the fingerprint is known.
    #[must_use]
    pub fn of(fingerprint_hash: impl Into<String>) -> Self {
        Self { fingerprint_hash: fingerprint_hash.into(), name: None, components: BTreeMap::new(), held_until: None }
    }

    /// Whether it holds its place at `at`.
    #[must_use]
    pub fn holds_place(&self, terms: &LicenseTerms, at: DateTime<Utc>) -> bool {
        !terms.policy.is_floating() || self.held_until.is_none_or(|end| end > at)
    }

    /// How many named components are the same as the other's.
    fn same_components(&self, other: &Self) -> usize {
        self.components.iter().filter(|(name, hash)| other.components.get(*name) == Some(hash)).count()
    }

    /// Whether another fingerprint is this machine's all the same.
    fn is_like(&self, other: &Self, matching: Matching) -> bool {
        let same = self.same_components(other);
        match matching {
            Matching::Exact => false,
            Matching::Any => same >= 1,
            Matching::Two => same >= 2,
            Matching::Most => same * 2 > self.components.len(),
            Matching::All => same == self.components.len() && same > 0,
        }
    }
}

impl License {
    /// Whether the licence is bound to the machine.
    #[must_use]
    pub fn is_bound_to(&self, fingerprint_hash: &str) -> bool {
        self.bound(fingerprint_hash).is_some()
    }

    /// The machine of that fingerprint.
    #[must_use]
    pub fn bound(&self, fingerprint_hash: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.fingerprint_hash == fingerprint_hash)
    }

    /// How many places are taken at `at`.
    #[must_use]
    pub fn places_taken(&self, terms: &LicenseTerms, at: DateTime<Utc>) -> usize {
        self.machines.iter().filter(|machine| machine.holds_place(terms, at)).count()
    }

    /// Whether its validity has begun, or never needs to.
    #[must_use]
    pub fn has_begun(&self, terms: &LicenseTerms) -> bool {
        terms.duration_days.is_none() || self.expires_at.is_some()
    }

    /// What a use leads to: the machine is known and may run, is known in another form, or takes a place.
    pub(super) fn use_on(
        &self,
        issue: &Issue,
        machine: Machine,
        at: DateTime<Utc>,
        by: UsedBy,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        self.check_usable(at)?;
        let terms = &issue.terms;
        let mut events = match self.known(terms, &machine, at) {
            Some(known) => self.come_back(terms, known, machine, at)?,
            None => return self.take_place(terms, machine, at, by),
        };
        if by == UsedBy::Verification && !self.has_begun(terms) {
            let end = self.end_from(terms, at);
            events.extend(end.map(|expires_at| LicenseEvent::ValidityBegan { expires_at }));
        }
        Ok(events)
    }

    /// A bound machine was heard of.
    pub(super) fn beat(
        &self,
        issue: &Issue,
        fingerprint_hash: &str,
        at: DateTime<Utc>,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        self.check_usable(at)?;
        let machine = self.bound(fingerprint_hash).ok_or(LicenseError::UnknownMachine)?;
        if machine.holds_place(&issue.terms, at) {
            return self.come_back(&issue.terms, machine, machine.clone(), at);
        }
        self.take_place(&issue.terms, machine.clone(), at, UsedBy::Activation)
    }

    /// The bound machine that this one is, if it holds its place.
    fn known(&self, terms: &LicenseTerms, machine: &Machine, at: DateTime<Utc>) -> Option<&Machine> {
        let held = || self.machines.iter().filter(|bound| bound.holds_place(terms, at));
        let exact = held().find(|bound| bound.fingerprint_hash == machine.fingerprint_hash);
        // Of several that are like it the most alike, and of those the first bound.
        let like = || {
            let like = held().filter(|bound| bound.is_like(machine, terms.policy.matching));
            like.rev().max_by_key(|bound| bound.same_components(machine))
        };
        exact.or_else(like)
    }

    fn come_back(
        &self,
        terms: &LicenseTerms,
        known: &Machine,
        machine: Machine,
        at: DateTime<Utc>,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        let lease = terms.policy.heartbeat.and_then(|beat| lease_after(&beat, known.held_until, at).transpose());
        let held_until = lease.transpose()?;
        if known.fingerprint_hash != machine.fingerprint_hash {
            let mut events = vec![];
            if let Some(silent) = self.bound(&machine.fingerprint_hash) {
                // It was bound under this fingerprint before, and fell silent: it can't be known by it twice.
                events.push(LicenseEvent::MachineLapsed { fingerprint_hash: silent.fingerprint_hash.clone() });
            }
            let held_until = terms.policy.heartbeat.and(held_until.or(known.held_until));
            let machine = Machine { held_until, ..machine };
            let fingerprint_hash = known.fingerprint_hash.clone();
            events.push(LicenseEvent::MachineChanged { fingerprint_hash, machine });
            return Ok(events);
        }
        let extended = held_until
            .map(|until| LicenseEvent::LeaseExtended { fingerprint_hash: machine.fingerprint_hash, held_until: until });
        Ok(extended.into_iter().collect())
    }

    fn take_place(
        &self,
        terms: &LicenseTerms,
        machine: Machine,
        at: DateTime<Utc>,
        by: UsedBy,
    ) -> Result<Vec<LicenseEvent>, LicenseError> {
        let is_full = self.places_taken(terms, at) >= terms.max_machines as usize;
        if is_full && terms.policy.overage == Overage::Refuse {
            return Err(LicenseError::TooManyMachines(terms.max_machines));
        }
        // The machine itself first: it can't be bound twice. The others go so that the list does not grow for ever.
        let silent = self.machines.iter().filter(|bound| !bound.holds_place(terms, at));
        let (own, others): (Vec<_>, Vec<_>) =
            silent.partition(|bound| bound.fingerprint_hash == machine.fingerprint_hash);
        let lapsed: Vec<_> = own.into_iter().chain(others).take(MAX_LAPSED).collect();
        if self.machines.len() - lapsed.len() >= MAX_MACHINES as usize {
            return Err(LicenseError::TooManyMachines(MAX_MACHINES));
        }
        let mut events: Vec<_> = lapsed
            .into_iter()
            .map(|bound| LicenseEvent::MachineLapsed { fingerprint_hash: bound.fingerprint_hash.clone() })
            .collect();
        let machine = Machine { held_until: terms.policy.heartbeat.map(|beat| lease_from(&beat, at)), ..machine };
        if self.activated_at.is_none() {
            let begins = by == UsedBy::Verification || terms.policy.valid_from != super::terms::ValidFrom::FirstUse;
            let expires_at = self.expires_at.or_else(|| self.end_from(terms, at).filter(|_| begins));
            events.push(LicenseEvent::LicenseActivated { activated_at: at, expires_at, machine });
            return Ok(events);
        }
        events.push(LicenseEvent::MachineBound { machine, over_limit: is_full });
        if by == UsedBy::Verification && !self.has_begun(terms) {
            let end = self.end_from(terms, at);
            events.extend(end.map(|expires_at| LicenseEvent::ValidityBegan { expires_at }));
        }
        Ok(events)
    }

    /// The end of a validity that begins at `at`; `None` for perpetual licences.
    pub(super) fn end_from(&self, terms: &LicenseTerms, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = terms.duration_days?.saturating_add(self.extra_days);
        Some(at + TimeDelta::days(days.into()))
    }
}

fn lease_from(beat: &Heartbeat, at: DateTime<Utc>) -> DateTime<Utc> {
    at + TimeDelta::seconds(beat.lease_seconds())
}

/// The lease of a machine that was heard of at `at`: a new end, or `None` while more than half of the old one is left,
/// so that a machine that beats often writes little.
fn lease_after(
    beat: &Heartbeat,
    held_until: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, LicenseError> {
    let Some(until) = held_until else { return Ok(Some(lease_from(beat, at))) };
    if beat.is_dead(until, at) {
        return Err(LicenseError::MachineDead);
    }
    Ok(beat.wants_news(until, at).then(|| lease_from(beat, at)))
}

impl Heartbeat {
    /// Whether a machine that held its place until `until` may not come back at `at` unless it is taken off first.
    #[must_use]
    pub fn is_dead(&self, until: DateTime<Utc>, at: DateTime<Utc>) -> bool {
        match self.silence {
            Silence::Free | Silence::Keep => false,
            Silence::KeepFor(seconds) => at >= until + TimeDelta::seconds(seconds.into()),
        }
    }

    /// Whether being heard of at `at` is worth an event: no more than half of the lease is left.
    #[must_use]
    pub fn wants_news(&self, until: DateTime<Utc>, at: DateTime<Utc>) -> bool {
        (until - at) * 2 <= TimeDelta::seconds(self.lease_seconds())
    }
}
