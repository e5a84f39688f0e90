//! What a verification is answered: one rule for memory and log.
//!
//! The order of the checks is fixed: revoked, disabled, expired, features, machine, lease, places. A first use and a lease
//! that is more than half over need a command; the verdict says so and decides nothing.

use chrono::{DateTime, Utc};

use super::terms::{LicenseTerms, Matching, Overage};
use super::{License, LicenseStatus};

/// How a licence and a machine stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The licence's status.
    pub status: LicenseStatus,
    /// Whether it was ever activated.
    pub activated: bool,
    /// Whether its validity has begun, or never needs to.
    pub begun: bool,
    /// Whether it is bound to the machine.
    pub binding: Binding,
    /// How many places are taken.
    pub taken: u32,
}

/// Whether a licence is bound to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It is not.
    Unbound,
    /// It is, and the machine need not be heard of.
    Bound,
    /// It is, and the machine holds its place until then unless it is heard of.
    HeldUntil(DateTime<Utc>),
}

impl Binding {
    /// Until when the machine holds its place, if it has to be heard of.
    #[must_use]
    pub fn held_until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::HeldUntil(until) => Some(until),
            Self::Unbound | Self::Bound => None,
        }
    }
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Good.
    Valid,
    /// Good, and bound to more machines than it is for.
    OverLimit,
    /// Ended for good.
    Revoked,
    /// Disabled for now.
    Disabled,
    /// Its validity is over.
    Expired,
    /// A feature that was asked for is missing.
    FeatureMissing,
    /// The machine fell silent for too long.
    MachineDead,
    /// The machine is not bound, and nobody asked to bind it.
    NotBound,
    /// The machine is not bound and there is no room.
    TooManyMachines,
    /// Only a command can tell: it is the first use of a machine, or its lease is more than half over.
    NeedsUse,
}

/// What a verification may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Nothing: only how it stands is asked.
    Look,
    /// A bound machine is heard of.
    Beat,
    /// The machine is used, and bound if there is room.
    Use,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Features that the licence must have.
    pub features: &'a [String],
    /// What may be done about it.
    pub intent: Intent,
    /// When.
    pub at: DateTime<Utc>,
}

/// What the terms make of how things stand.
#[must_use]
pub fn judge(terms: &LicenseTerms, standing: &Standing, question: &Question<'_>) -> Verdict {
    let LicenseTerms { max_machines, features, policy, .. } = terms;
    match standing.status {
        LicenseStatus::Revoked => return Verdict::Revoked,
        LicenseStatus::Disabled => return Verdict::Disabled,
        LicenseStatus::Expired => return Verdict::Expired,
        LicenseStatus::Unused | LicenseStatus::Active => {}
    }
    if question.features.iter().any(|feature| !features.contains(feature)) {
        return Verdict::FeatureMissing;
    }
    if standing.binding == Binding::Unbound {
        return unbound(terms, standing, question);
    }
    if let Some(beat) = policy.heartbeat {
        let held_until = standing.binding.held_until();
        let is_dead = held_until.is_some_and(|until| beat.is_dead(until, question.at));
        if is_dead {
            return Verdict::MachineDead;
        }
        let holds = held_until.is_some_and(|until| until > question.at);
        if policy.is_floating() && held_until.is_some() && !holds {
            // Its place is free; it is like a new machine.
            return unbound(terms, standing, question);
        }
        if question.intent != Intent::Look && held_until.is_none_or(|until| beat.wants_news(until, question.at)) {
            return Verdict::NeedsUse;
        }
    }
    if question.intent == Intent::Use && !standing.begun {
        return Verdict::NeedsUse;
    }
    if standing.taken > *max_machines { Verdict::OverLimit } else { Verdict::Valid }
}

fn unbound(terms: &LicenseTerms, standing: &Standing, question: &Question<'_>) -> Verdict {
    let policy = &terms.policy;
    let has_room = !standing.activated || standing.taken < terms.max_machines || policy.overage == Overage::Allow;
    let may_bind = match question.intent {
        Intent::Look => false,
        Intent::Beat => standing.binding != Binding::Unbound,
        Intent::Use => true,
    };
    if !may_bind {
        Verdict::NotBound
    } else if has_room || policy.matching != Matching::Exact {
        Verdict::NeedsUse
    } else {
        Verdict::TooManyMachines
    }
}

impl License {
    /// How the licence and a machine stand to each other at `at`.
    #[must_use]
    pub fn standing(&self, terms: &LicenseTerms, fingerprint_hash: &str, at: DateTime<Utc>) -> Standing {
        Standing {
            status: self.status(at),
            activated: self.activated_at.is_some(),
            begun: self.has_begun(terms),
            binding: match self.bound(fingerprint_hash).map(|machine| machine.held_until) {
                None => Binding::Unbound,
                Some(None) => Binding::Bound,
                Some(Some(until)) => Binding::HeldUntil(until),
            },
            taken: u32::try_from(self.places_taken(terms, at)).unwrap_or(u32::MAX),
        }
    }
}
