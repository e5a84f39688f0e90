//! What a run of events means for licences, machines and batches.
//!
//! The fold mirrors `License::evolve`. It needs no row of an earlier run: a change carries only what its events set.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use quotary_domain::license::{Issue, LicenseEvent, Machine};
use quotary_domain::license_batch::{BatchRequest, LicenseBatchEvent};
use quotary_domain::{BatchId, LicenseId, OrderId, Quota, RecordedEvent, TenantId};

/// What a run means for licences.
#[derive(Default)]
pub struct LicenseRows {
    pub(super) issued: Vec<Issued>,
    /// Where a licence issued in this run stands in `issued`.
    places: HashMap<LicenseId, usize>,
    /// Changes of licences issued in earlier runs.
    pub(super) changed: HashMap<LicenseId, Standing>,
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
    pub expires_at: Option<DateTime<Utc>>,
    pub in_use: Option<bool>,
    pub disabled: Option<bool>,
    pub revoked: bool,
    pub extra_days: u32,
    pub unbinds: u32,
    pub sequence: u64,
}

/// What a run does to the machines of one licence, in this order: clear, take away, add.
#[derive(Default)]
pub(super) struct MachineChange {
    pub cleared: bool,
    pub removed: Vec<String>,
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
                standing: Standing { sequence: recorded.sequence, ..Standing::default() },
            });
            return;
        }
        let standing = match self.places.get(&license_id) {
            Some(place) => &mut self.issued[*place].standing,
            None => self.changed.entry(license_id).or_default(),
        };
        standing.sequence = recorded.sequence;
        match event {
            // That it is over follows from its end.
            LicenseEvent::LicenseIssued(_) | LicenseEvent::LicenseExpired { .. } => {}
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                standing.activated_at = Some(*activated_at);
                // Without an end the row has none before either: a licence is activated once.
                standing.expires_at = *expires_at;
                standing.in_use = Some(true);
                self.bind(license_id, recorded, machine);
            }
            LicenseEvent::MachineBound { machine } => {
                standing.in_use = Some(true);
                self.bind(license_id, recorded, machine);
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash } => {
                let machines = self.machines.entry(license_id).or_default();
                machines.bound.retain(|bound| bound.machine.fingerprint_hash != *fingerprint_hash);
                machines.removed.push(fingerprint_hash.clone());
            }
            LicenseEvent::LicenseUnbound {} => {
                standing.in_use = Some(false);
                standing.unbinds += 1;
                let cleared = MachineChange { cleared: true, ..MachineChange::default() };
                self.machines.insert(license_id, cleared);
            }
            LicenseEvent::LicenseDisabled {} => standing.disabled = Some(true),
            LicenseEvent::LicenseEnabled {} => standing.disabled = Some(false),
            LicenseEvent::LicenseRevoked { .. } => standing.revoked = true,
            LicenseEvent::LicenseRenewed { days, expires_at } => match expires_at {
                Some(end) => standing.expires_at = Some(*end),
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
