//! What a verification is answered, from memory alone.
//!
//! The order of the checks is fixed: unknown, another project's, project disabled, revoked, disabled, expired, machines.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quotary_domain::license::LicenseStatus;
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
    /// At the time of asking.
    pub status: LicenseStatus,
    pub activated_at: Option<DateTime<Utc>>,
    /// `None` before activation and for perpetual licences.
    pub expires_at: Option<DateTime<Utc>>,
    pub features: Arc<[String]>,
    /// How many machines it is bound to.
    pub machines: u32,
    pub max_machines: u32,
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No such key; other tenants' keys are as unknown as wrong ones.
    NotFound,
    /// The key is another project's.
    OtherProject,
    /// The project is disabled.
    ProjectDisabled,
    /// Ended for good.
    Revoked(LicenseView),
    /// Disabled for now.
    Disabled(LicenseView),
    /// Its validity is over.
    Expired(LicenseView),
    /// Unused, or the machine is not bound and there is room: a command decides.
    NeedsActivation(LicenseView),
    /// The machine is not bound and there is no room.
    TooManyMachines(LicenseView),
    /// Good.
    Valid(LicenseView),
    /// Events were missed: the log must be asked about this licence, or about the project if none is named.
    Doubtful(Option<LicenseId>),
}

/// Checks a key on a machine for a project at `now`. The caller has seen that the index is trusted.
#[must_use]
pub fn verify(
    index: &LicenseIndex,
    project_id: ProjectId,
    key: HashPrefix,
    fingerprint: HashPrefix,
    now: DateTime<Utc>,
) -> Verdict {
    let look = |entry: &Entry| Seen {
        doubtful: entry.is_doubtful(),
        bound: entry.is_bound_to(fingerprint),
        offer: entry.offer,
        batch: entry.batch,
        view: LicenseView {
            license_id: entry.license_id,
            plan_id: PlanId::default(),
            status: entry.status(now),
            activated_at: entry.activated_at(),
            expires_at: entry.expires_at(),
            features: Arc::default(),
            machines: entry.machine_count(),
            max_machines: 0,
        },
    };
    let Some(Seen { doubtful, bound, offer, batch, mut view }) = index.licenses.read(key, look) else {
        return Verdict::NotFound;
    };
    if doubtful {
        return Verdict::Doubtful(Some(view.license_id));
    }
    let license_project = index.offer(offer, |offer| {
        view.plan_id = offer.plan_id;
        view.features = offer.features.clone();
        view.max_machines = offer.max_machines;
        offer.project_id
    });
    let Some(project) =
        index.projects.read(project_id, |project| (project.doubtful, project.disabled, project.tenant_id))
    else {
        return Verdict::Doubtful(None);
    };
    if license_project != Some(project_id) {
        let owner = license_project.and_then(|id| index.projects.read(id, |other| other.tenant_id));
        return if owner == Some(project.2) { Verdict::OtherProject } else { Verdict::NotFound };
    }
    match project {
        (true, ..) => Verdict::Doubtful(None),
        (_, true, _) => Verdict::ProjectDisabled,
        // Until each of its licences is disabled, the log says whether it is this batch that was refunded.
        _ if !has_ended(view.status) && index.may_be_refunded(batch) => Verdict::Doubtful(Some(view.license_id)),
        _ => judge(view, bound),
    }
}

/// Whether the licence is refused anyway.
fn has_ended(status: LicenseStatus) -> bool {
    matches!(status, LicenseStatus::Disabled | LicenseStatus::Revoked)
}

struct Seen {
    doubtful: bool,
    bound: bool,
    offer: u32,
    batch: BatchMark,
    view: LicenseView,
}

fn judge(view: LicenseView, bound: bool) -> Verdict {
    match view.status {
        LicenseStatus::Revoked => Verdict::Revoked(view),
        LicenseStatus::Disabled => Verdict::Disabled(view),
        LicenseStatus::Expired => Verdict::Expired(view),
        LicenseStatus::Unused | LicenseStatus::Active if bound => Verdict::Valid(view),
        // A command binds the first machine of an activated licence that gave all its places back as well.
        LicenseStatus::Unused | LicenseStatus::Active
            if view.activated_at.is_none() || view.machines < view.max_machines =>
        {
            Verdict::NeedsActivation(view)
        }
        LicenseStatus::Unused | LicenseStatus::Active => Verdict::TooManyMachines(view),
    }
}
