//! What a run of events means for licences, machines and batches.
//!
//! The fold mirrors `License::evolve`. It needs no row of an earlier run: a change carries only what its events set.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::{Issue, LicenseEvent, LicenseTerms, Machine};
use quotary_domain::license_batch::{BatchRequest, LicenseBatchEvent};
use quotary_domain::{BatchId, LicenseId, OrderId, PlanId, Quota, RecordedEvent, Sealed, TenantId};

/// What a run means for licences.
#[derive(Default)]
pub struct LicenseRows {
    pub(super) issued: Vec<Issued>,
    /// Where a licence issued in this run stands in `issued`.
    places: HashMap<LicenseId, usize>,
    /// Changes of licences issued in earlier runs.
    pub(super) changed: HashMap<LicenseId, Standing>,
    /// What licences issued in earlier runs were moved to.
    pub(super) moved: HashMap<LicenseId, Moved>,
    /// What was used in this run, by licence and meter.
    pub(super) used: HashMap<(LicenseId, String), u64>,
    pub(super) machines: HashMap<LicenseId, MachineChange>,
    pub(super) batches: HashMap<BatchId, BatchChange>,
}

/// A licence issued in this run.
pub(super) struct Issued {
    pub license_id: LicenseId,
    pub tenant_id: TenantId,
    pub issue: Issue,
    pub at: DateTime<Utc>,
    pub position: u64,
    pub standing: Standing,
}

/// What events set in a licence; on top of the default for a new licence, of its row for an older one.
#[derive(Default)]
pub(super) struct Standing {
    pub activated_at: Option<DateTime<Utc>>,
    /// The end of validity, if it was set or taken away.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it was.
    pub ends: bool,
    pub in_use: Option<bool>,
    pub disabled: Option<bool>,
    pub revoked: bool,
    pub extra_days: u32,
    pub unbinds: u32,
    pub unbound_at: Option<DateTime<Utc>>,
    /// The holder after the last transfer, if there was one.
    pub holder: Option<Sealed>,
    pub transfers: u32,
    pub sequence: u64,
}

/// What a licence was moved to.
pub(super) struct Moved {
    pub plan_id: PlanId,
    pub plan_version: u32,
    pub terms: LicenseTerms,
}

/// What a run does to the machines of one licence, in this order: clear, take away, extend, add.
#[derive(Default)]
pub(super) struct MachineChange {
    pub cleared: bool,
    pub removed: Vec<String>,
    pub extended: HashMap<String, DateTime<Utc>>,
    pub bound: Vec<Bound>,
}

/// A machine bound in this run.
pub(super) struct Bound {
    pub machine: Machine,
    pub tenant_id: TenantId,
    pub at: DateTime<Utc>,
    pub position: u64,
}

/// What a run does to a batch.
#[derive(Default)]
pub(super) struct BatchChange {
    pub requested: Option<Requested>,
    pub issued: u32,
    pub status: Option<&'static str>,
    pub completed_at: Option<DateTime<Utc>>,
    pub exports: u32,
    pub exported: u32,
    pub order_id: Option<OrderId>,
    pub refunded: Option<(DateTime<Utc>, Quota)>,
    pub disabled: u32,
    pub sequence: u64,
}

/// The beginning of a batch in this run.
pub(super) struct Requested {
    pub request: BatchRequest,
    pub tenant_id: TenantId,
    pub at: DateTime<Utc>,
    pub position: u64,
}

impl LicenseRows {
    pub(super) fn fold_license(&mut self, recorded: &RecordedEvent, event: &LicenseEvent) {
        let license_id = LicenseId(recorded.aggregate_id);
        if let LicenseEvent::LicenseIssued(issue) = event {
            self.places.insert(license_id, self.issued.len());
            self.issued.push(Issued {
                license_id,
                tenant_id: recorded.tenant_id,
                issue: issue.clone(),
                at: recorded.occurred_at(),
                position: recorded.position,
                standing: Standing { expires_at: issue.expires_at, sequence: recorded.sequence, ..Standing::default() },
            });
            return;
        }
        let place = self.places.get(&license_id).copied();
        let standing = match place {
            Some(place) => &mut self.issued[place].standing,
            None => self.changed.entry(license_id).or_default(),
        };
        standing.sequence = recorded.sequence;
        match event {
            // That it is over follows from its end.
            LicenseEvent::LicenseIssued(_) | LicenseEvent::LicenseExpired { .. } => {}
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                standing.activated_at = Some(*activated_at);
                standing.end(*expires_at);
                standing.in_use = Some(true);
                self.bind(license_id, recorded, machine);
            }
            LicenseEvent::MachineBound { machine, .. } => {
                standing.in_use = Some(true);
                self.bind(license_id, recorded, machine);
            }
            LicenseEvent::MachineChanged { fingerprint_hash, machine } => {
                standing.in_use = Some(true);
                self.machines.entry(license_id).or_default().take_off(fingerprint_hash);
                self.bind(license_id, recorded, machine);
            }
            LicenseEvent::LeaseExtended { fingerprint_hash, held_until } => {
                self.machines.entry(license_id).or_default().extend(fingerprint_hash, *held_until);
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash }
            | LicenseEvent::MachineLapsed { fingerprint_hash } => {
                self.machines.entry(license_id).or_default().take_off(fingerprint_hash);
            }
            LicenseEvent::ValidityBegan { expires_at } => standing.end(Some(*expires_at)),
            LicenseEvent::UsageReported { meter, amount, .. } => {
                *self.used.entry((license_id, meter.clone())).or_default() += amount;
            }
            LicenseEvent::LicenseUnbound { unbound_at } => {
                standing.in_use = Some(false);
                standing.unbinds += 1;
                standing.unbound_at = *unbound_at;
                self.machines.insert(license_id, MachineChange::cleared());
            }
            LicenseEvent::LicenseTransferred { holder } => {
                standing.in_use = Some(false);
                standing.transfers += 1;
                standing.holder.clone_from(holder);
                self.machines.insert(license_id, MachineChange::cleared());
            }
            LicenseEvent::LicenseMoved { plan_id, plan_version, terms, expires_at } => {
                standing.end(*expires_at);
                let (plan_id, plan_version, terms) = (*plan_id, *plan_version, terms.clone());
                if let Some(place) = place {
                    let issue = &mut self.issued[place].issue;
                    (issue.plan_id, issue.plan_version, issue.terms) = (plan_id, plan_version, terms);
                } else {
                    self.moved.insert(license_id, Moved { plan_id, plan_version, terms });
                }
            }
            LicenseEvent::LicenseDisabled {} => standing.disabled = Some(true),
            LicenseEvent::LicenseEnabled {} => standing.disabled = Some(false),
            LicenseEvent::LicenseRevoked { .. } => standing.revoked = true,
            LicenseEvent::LicenseRenewed { days, expires_at } => match expires_at {
                Some(end) => standing.end(Some(*end)),
                None => standing.extra_days = standing.extra_days.saturating_add(*days),
            },
        }
    }

    fn bind(&mut self, license_id: LicenseId, recorded: &RecordedEvent, machine: &Machine) {
        self.machines.entry(license_id).or_default().bound.push(Bound {
            machine: machine.clone(),
            tenant_id: recorded.tenant_id,
            at: recorded.occurred_at(),
            position: recorded.position,
        });
    }

    pub(super) fn fold_batch(&mut self, recorded: &RecordedEvent, event: &LicenseBatchEvent) {
        let batch = self.batches.entry(BatchId(recorded.aggregate_id)).or_default();
        batch.sequence = recorded.sequence;
        match event {
            LicenseBatchEvent::BatchRequested(request) => {
                batch.requested = Some(Requested {
                    request: request.clone(),
                    tenant_id: recorded.tenant_id,
                    at: recorded.occurred_at(),
                    position: recorded.position,
                });
            }
            LicenseBatchEvent::ChunkIssued { count, .. } => batch.issued += count,
            LicenseBatchEvent::BatchCompleted {} => batch.end("completed", recorded),
            LicenseBatchEvent::BatchStopped { .. } => batch.end("stopped", recorded),
            LicenseBatchEvent::BatchExported { count, .. } => {
                batch.exports += 1;
                batch.exported = batch.exported.max(*count);
            }
            LicenseBatchEvent::BatchLinkedToOrder { order_id } => batch.order_id = Some(*order_id),
            LicenseBatchEvent::BatchRefunded { amount, .. } => batch.refunded = Some((recorded.occurred_at(), *amount)),
            LicenseBatchEvent::RefundedLicensesDisabled { count, .. } => batch.disabled += count,
        }
    }
}

impl Standing {
    fn end(&mut self, expires_at: Option<DateTime<Utc>>) {
        (self.expires_at, self.ends) = (expires_at, true);
    }
}

impl MachineChange {
    fn cleared() -> Self {
        Self { cleared: true, ..Self::default() }
    }

    fn take_off(&mut self, fingerprint_hash: &str) {
        self.bound.retain(|bound| bound.machine.fingerprint_hash != fingerprint_hash);
        self.removed.push(fingerprint_hash.to_owned());
    }

    fn extend(&mut self, fingerprint_hash: &str, held_until: DateTime<Utc>) {
        match self.bound.iter_mut().find(|bound| bound.machine.fingerprint_hash == fingerprint_hash) {
            Some(bound) => bound.machine.held_until = Some(held_until),
            None => drop(self.extended.insert(fingerprint_hash.to_owned(), held_until)),
        }
    }
}

impl BatchChange {
    /// What returned to the agent, in minor units.
    pub(super) fn refunded_amount(&self) -> Option<i64> {
        self.refunded.map(|(_, amount)| amount.minor_units())
    }

    fn end(&mut self, status: &'static str, recorded: &RecordedEvent) {
        self.status = Some(status);
        self.completed_at = Some(recorded.occurred_at());
    }
}
