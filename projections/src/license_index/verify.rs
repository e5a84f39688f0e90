//! What a verification is answered, from memory alone.
//!
//! The order of the checks is fixed: unknown, another project's, project disabled; then those of the licence itself, by the
//! same rule as the log's ([`judge`]).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quotary_domain::license::verification::{Binding, Question, Standing, Verdict, judge};
use quotary_domain::license::{LicenseStatus, LicenseTerms};
use quotary_domain::{LicenseId, PlanId, ProjectId};

use super::entry::{BatchMark, Entry};
use super::index::LicenseIndex;
use super::prefix::HashPrefix;

/// A licence as answers show it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicenseView {
    pub license_id: LicenseId,
    pub plan_id: PlanId,
    pub plan_version: u32,
    /// At the time of asking.
    pub status: LicenseStatus,
    pub activated_at: Option<DateTime<Utc>>,
    /// `None` before validity begins and for perpetual licences.
    pub expires_at: Option<DateTime<Utc>>,
    pub terms: Arc<LicenseTerms>,
    /// How many places are taken.
    pub machines: u32,
    /// Until when the machine that asks holds its place; `None` if it is not bound or need not be heard of.
    pub held_until: Option<DateTime<Utc>>,
    /// The event that it stands at.
    pub sequence: u64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// By whose client software.
    pub project_id: ProjectId,
    /// The key.
    pub key: HashPrefix,
    /// The machine.
    pub fingerprint: HashPrefix,
    /// What is asked of the licence.
    pub question: Question<'a>,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No such key; other tenants' keys are as unknown as wrong ones.
    NotFound,
    /// The key is another project's.
    OtherProject,
    /// The project is disabled.
    ProjectDisabled,
    /// Events were missed: the log must be asked about this licence, or about the project if none is named.
    Doubtful(Option<LicenseId>),
    /// The licence, and what is to be answered about it.
    License(Verdict, LicenseView),
}

/// Looks a key up for a project. The caller has seen that the index is trusted.
#[must_use]
pub fn verify(index: &LicenseIndex, asked: &Asked<'_>) -> Lookup {
    let Some(seen) = index.licenses.read(asked.key, |entry| Seen::of(entry, asked)) else {
        return Lookup::NotFound;
    };
    let license_id = seen.license_id;
    if seen.doubtful {
        return Lookup::Doubtful(Some(license_id));
    }
    let offer =
        index.offer(seen.offer, |offer| (offer.project_id, offer.plan_id, offer.plan_version, offer.terms.clone()));
    let project_id = asked.project_id;
    let Some((disabled, doubtful, tenant_id)) =
        index.projects.read(project_id, |project| (project.disabled, project.doubtful, project.tenant_id))
    else {
        return Lookup::Doubtful(None);
    };
    let Some((_, plan_id, plan_version, terms)) = offer.as_ref().filter(|offer| offer.0 == project_id) else {
        let owner = offer.and_then(|(owner, ..)| index.projects.read(owner, |other| other.tenant_id));
        return if owner == Some(tenant_id) { Lookup::OtherProject } else { Lookup::NotFound };
    };
    if doubtful {
        return Lookup::Doubtful(None);
    }
    if disabled {
        return Lookup::ProjectDisabled;
    }
    // Until each of its licences is disabled, the log says whether it is this batch that was refunded.
    if !has_ended(seen.status) && index.may_be_refunded(seen.batch) {
        return Lookup::Doubtful(Some(license_id));
    }
    let standing = seen.standing(terms);
    let verdict = judge(terms, &standing, &asked.question);
    let view = LicenseView {
        license_id,
        plan_id: *plan_id,
        plan_version: *plan_version,
        status: seen.status,
        activated_at: seen.activated_at,
        expires_at: seen.expires_at,
        terms: terms.clone(),
        machines: standing.taken,
        held_until: seen.binding.held_until(),
        sequence: seen.sequence,
    };
    Lookup::License(verdict, view)
}

/// Whether the licence is refused anyway.
fn has_ended(status: LicenseStatus) -> bool {
    matches!(status, LicenseStatus::Disabled | LicenseStatus::Revoked)
}

/// What is copied out of an entry under its shard's lock.
struct Seen {
    license_id: LicenseId,
    doubtful: bool,
    offer: u32,
    batch: BatchMark,
    status: LicenseStatus,
    activated_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    binding: Binding,
    bound: u32,
    live: u32,
    sequence: u64,
}

impl Seen {
    fn of(entry: &Entry, asked: &Asked<'_>) -> Self {
        Self {
            license_id: entry.license_id,
            doubtful: entry.is_doubtful(),
            offer: entry.offer,
            batch: entry.batch,
            status: entry.status(asked.question.at),
            activated_at: entry.activated_at(),
            expires_at: entry.expires_at(),
            binding: entry.binding(asked.fingerprint),
            bound: entry.machine_count(),
            live: entry.live_count(asked.question.at),
            sequence: entry.sequence(),
        }
    }

    fn standing(&self, terms: &LicenseTerms) -> Standing {
        Standing {
            status: self.status,
            activated: self.activated_at.is_some(),
            begun: terms.duration_days.is_none() || self.expires_at.is_some(),
            binding: self.binding,
            taken: if terms.policy.is_floating() { self.live } else { self.bound },
        }
    }
}
