//! The JSON of callbacks: `{type, timestamp, data}` with thin data, which a receiver completes by asking the API.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::CallbackType;
use crate::license::{License, LicenseEvent, LicenseStatus};
use crate::{AccountId, BatchId, LicenseId, PlanId, ProjectId};

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallbackBody<D> {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: CallbackType,
    /// When it happened; when it was sent is in the `webhook-timestamp` header.
    pub timestamp: DateTime<Utc>,
    /// The rest, by type.
    pub data: D,
}

/// The data of `license.…`: the licence as it was right after the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LicenseData {
    /// The project.
    pub project_id: ProjectId,
    /// The licence.
    pub license_id: LicenseId,
    /// Its batch.
    pub batch_id: BatchId,
    /// Its plan.
    pub plan_id: PlanId,
    /// Who sold it.
    pub agent_id: AccountId,
    /// The number of the event in the licence's history, from 1: a larger one is later.
    pub sequence: u64,
    /// How the licence stood.
    pub status: LicenseStatus,
    /// Its first activation.
    pub activated_at: Option<DateTime<Utc>>,
    /// The end of its validity; null before activation and for perpetual ones.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many machines it was bound to.
    pub machines: usize,
    /// How many it can be bound to.
    pub max_machines: u32,
    /// The keyed hash of the machine's fingerprint, as `GET /v1/licenses/{id}` shows it; of events about a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint_hash: Option<String>,
    /// How many days were added, by a renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

impl LicenseData {
    /// The data of an event that made `license` what it is; `None` if it was never issued.
    #[must_use]
    pub fn of(
        license_id: LicenseId,
        license: &License,
        event: &LicenseEvent,
        sequence: u64,
        at: DateTime<Utc>,
    ) -> Option<Self> {
        let issue = license.issue.as_ref()?;
        let fingerprint_hash = match event {
            LicenseEvent::LicenseActivated { machine, .. } | LicenseEvent::MachineBound { machine, .. } => {
                Some(machine.fingerprint_hash.clone())
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash }
            | LicenseEvent::MachineLapsed { fingerprint_hash } => Some(fingerprint_hash.clone()),
            _ => None,
        };
        let days = if let LicenseEvent::LicenseRenewed { days, .. } = event { Some(*days) } else { None };
        Some(Self {
            project_id: issue.project_id,
            license_id,
            batch_id: issue.batch_id,
            plan_id: issue.plan_id,
            agent_id: issue.agent_id,
            sequence,
            status: license.status(at),
            activated_at: license.activated_at,
            expires_at: license.expires_at,
            machines: license.machines.len(),
            max_machines: issue.terms.max_machines,
            fingerprint_hash,
            days,
        })
    }
}

/// The data of `verification.refused`: the first refusal of a licence with a code within an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalData {
    /// The project.
    pub project_id: ProjectId,
    /// The licence.
    pub license_id: LicenseId,
    /// Why, as client software was told.
    pub code: String,
}

/// The data of `test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TestData {
    /// The project.
    pub project_id: ProjectId,
}
