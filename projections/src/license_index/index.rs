//! The index itself: licences, the offers they were issued under, projects, and how fresh all of it is.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use hashbrown::{HashMap, HashSet};
use parking_lot::RwLock;
use quotary_domain::license::{Issue, License, LicenseEvent, LicenseTerms};
use quotary_domain::license_batch::LicenseBatchEvent;
use quotary_domain::project::Project;
use quotary_domain::{BatchId, Event, LicenseId, PlanId, ProjectId, RecordedEvent, TenantId};

use super::entry::{BatchMark, Entry, Origin};
use super::prefix::HashPrefix;
use super::project::{ProjectEntry, ProjectMap};
use super::shards::{Inserted, Shards};
use crate::freshness::{Effect, Freshness, step};

/// What licences of one plan and shape have in common; written once instead of a million times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Offer {
    pub project_id: ProjectId,
    pub plan_id: PlanId,
    pub plan_version: u32,
    pub terms: Arc<LicenseTerms>,
}

#[derive(Default)]
struct Offers {
    list: Vec<Arc<Offer>>,
    numbers: HashMap<Arc<Offer>, u32>,
}

/// Licences and projects of all tenants in memory.
#[derive(Default)]
pub struct LicenseIndex {
    pub(super) licenses: Shards,
    pub(super) projects: ProjectMap,
    offers: RwLock<Offers>,
    /// Marks of the batches that were refunded. Their licences are worth nothing from then on, also those that are not
    /// disabled yet.
    refunded: RwLock<HashSet<BatchMark>>,
    freshness: Freshness,
}

impl std::fmt::Debug for LicenseIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LicenseIndex")
            .field("licenses", &self.licenses.len())
            .field("projects", &self.projects.len())
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

impl LicenseIndex {
    /// Folds an event of the feed.
    ///
    /// [`Effect::Gap`] means that an event before was missed: the licence or project is not answered from memory until
    /// its state is observed. A gap of an unknown licence can't be marked, so the feed must then load the index anew.
    pub fn apply(&self, recorded: &RecordedEvent, event: &Event) -> Effect {
        match event {
            Event::License(event) => self.apply_license(LicenseId(recorded.aggregate_id), event, recorded.sequence),
            Event::Project(event) => {
                let project_id = ProjectId(recorded.aggregate_id);
                self.projects.apply(recorded.tenant_id, project_id, event, recorded.sequence)
            }
            // Said once and never taken back, so there is no order to keep and no gap to find.
            Event::LicenseBatch(LicenseBatchEvent::BatchRefunded { .. }) => {
                self.observe_refund(BatchId(recorded.aggregate_id))
            }
            _ => Effect::Unrelated,
        }
    }

    /// Notes that a batch was refunded: by an event, or by a command of this process.
    pub fn observe_refund(&self, batch_id: BatchId) -> Effect {
        if self.refunded.write().insert(BatchMark::of(batch_id)) { Effect::Applied } else { Effect::Old }
    }

    /// Whether a licence may be one of a refunded batch; the log must be asked then.
    pub(super) fn may_be_refunded(&self, batch: BatchMark) -> bool {
        self.refunded.read().contains(&batch)
    }

    fn apply_license(&self, license_id: LicenseId, event: &LicenseEvent, sequence: u64) -> Effect {
        if let LicenseEvent::LicenseIssued(issue) = event {
            let entry = self.issued(license_id, issue, sequence);
            return if self.licenses.insert(entry) == Inserted::New { Effect::Applied } else { Effect::Old };
        }
        let moved = self.moved(license_id, event);
        let effect = self.licenses.change(license_id, |entry| {
            let effect = step(entry.sequence(), sequence);
            match effect {
                Effect::Applied if entry.is_doubtful() => entry.doubt(sequence),
                Effect::Applied => {
                    entry.apply(event, sequence);
                    entry.offer = moved.unwrap_or(entry.offer);
                }
                Effect::Gap => entry.doubt(sequence),
                Effect::Old | Effect::Unrelated => {}
            }
            effect
        });
        effect.unwrap_or(Effect::Gap)
    }

    fn issued(&self, license_id: LicenseId, issue: &Issue, sequence: u64) -> Entry {
        let state = License { expires_at: issue.expires_at, ..License::default() };
        Entry::of_state(HashPrefix::of_text(&issue.key_hash), license_id, self.origin(issue), &state, sequence)
    }

    fn origin(&self, issue: &Issue) -> Origin {
        let offer = self.offer_number(Offer {
            project_id: issue.project_id,
            plan_id: issue.plan_id,
            plan_version: issue.plan_version,
            terms: Arc::new(issue.terms.clone()),
        });
        Origin { offer, batch: BatchMark::of(issue.batch_id) }
    }

    /// The number of the offer that a licence goes over to, if the event says so. Its project never changes.
    fn moved(&self, license_id: LicenseId, event: &LicenseEvent) -> Option<u32> {
        let LicenseEvent::LicenseMoved { plan_id, plan_version, terms, .. } = event else { return None };
        let before = self.licenses.change(license_id, |entry| entry.offer)?;
        let project_id = self.offer(before, |offer| offer.project_id)?;
        let terms = Arc::new(terms.clone());
        Some(self.offer_number(Offer { project_id, plan_id: *plan_id, plan_version: *plan_version, terms }))
    }

    /// Takes over the state of a licence after a command of this process, or as read from the log, if it is newer.
    pub fn observe(&self, license_id: LicenseId, state: &License, sequence: u64) -> Effect {
        let Some(issue) = &state.issue else { return Effect::Unrelated };
        let key = HashPrefix::of_text(&issue.key_hash);
        match self.licenses.insert(Entry::of_state(key, license_id, self.origin(issue), state, sequence)) {
            Inserted::New | Inserted::Replaced => Effect::Applied,
            Inserted::Known => Effect::Old,
        }
    }

    /// Takes over the state of a project, if it is newer.
    pub fn observe_project(
        &self,
        tenant_id: TenantId,
        project_id: ProjectId,
        state: &Project,
        sequence: u64,
    ) -> Effect {
        if state.details.is_none() {
            return Effect::Unrelated;
        }
        self.projects.observe(tenant_id, project_id, state, sequence)
    }

    /// The project.
    #[must_use]
    pub fn project(&self, project_id: ProjectId) -> Option<Arc<ProjectEntry>> {
        self.projects.get(project_id)
    }

    /// The project whose client software signs with this key, if the key is good at `now`.
    #[must_use]
    pub fn by_api_key(&self, api_key_id: &str, now: DateTime<Utc>) -> Option<Arc<ProjectEntry>> {
        self.projects.by_api_key(api_key_id, now)
    }

    /// The licence of a key; `None` if no such key is known.
    #[must_use]
    pub fn license_of_key(&self, key: HashPrefix) -> Option<LicenseId> {
        self.licenses.read(key, |entry| entry.license_id)
    }

    /// How many licences it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.licenses.len()
    }

    /// Whether it holds no licence.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that at `at` the index held everything up to `position`, the end of the log.
    pub fn mark_fresh(&self, position: u64, at: Instant) {
        self.freshness.mark_fresh(position, at);
    }

    /// Whether the index may be answered from at `now`.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        self.freshness.is_trusted(now)
    }

    /// The last position that the feed confirmed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.freshness.position()
    }

    pub(super) fn offer_number(&self, offer: Offer) -> u32 {
        if let Some(number) = self.offers.read().numbers.get(&offer) {
            return *number;
        }
        let mut offers = self.offers.write();
        if let Some(number) = offers.numbers.get(&offer) {
            return *number;
        }
        let offer = Arc::new(offer);
        let number = u32::try_from(offers.list.len()).unwrap_or(u32::MAX);
        offers.list.push(offer.clone());
        offers.numbers.insert(offer, number);
        number
    }

    pub(super) fn offer<T>(&self, number: u32, look: impl FnOnce(&Offer) -> T) -> Option<T> {
        self.offers.read().list.get(number as usize).map(|offer| look(offer))
    }
}
