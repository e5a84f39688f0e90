//! A licence as answers show it to agents and staff.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use quotary_commands::license::change::LicenseAfter;
use quotary_domain::license::Policy;
use quotary_projections::licenses::LicenseRecord;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A licence.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct LicenseBody {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub project_id: Uuid,
    /// The plan it was sold under, or moved to.
    pub plan_id: Uuid,
    /// The version of the plan.
    pub plan_version: i64,
    /// Who sold it.
    pub agent_id: Uuid,
    /// The batch it came with.
    pub batch_id: Uuid,
    /// Its place in the batch, from 1; absent in the answer to a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// The key in the clear; only among the licences of a batch, for its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `unused`, `active`, `expired`, `disabled` or `revoked`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// Days of validity; null is perpetual.
    pub duration_days: Option<i64>,
    /// How many machines it can be bound to.
    pub max_machines: i64,
    /// What it unlocks.
    pub features: Vec<String>,
    /// The rules of its use; absent if they are the usual ones.
    #[serde(skip_serializing_if = "Policy::is_usual")]
    #[schema(value_type = Option<crate::policy::Policy>)]
    pub policy: Policy,
    /// How many machines it is bound to.
    pub machines: i64,
    /// When it was issued; absent in the answer to a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<DateTime<Utc>>,
    /// The first activation.
    pub activated_at: Option<DateTime<Utc>>,
    /// The end of validity; null before it begins and for perpetual ones.
    pub expires_at: Option<DateTime<Utc>>,
    /// Days added before validity began.
    pub extra_days: i64,
    /// How often its bindings were cleared.
    pub unbinds: i64,
    /// When they were cleared last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unbound_at: Option<DateTime<Utc>>,
    /// Who holds it, if somebody said; only for one licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How often it changed its holder.
    pub transfers: i64,
    /// What was used of each meter; only for one licence that has meters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<BTreeMap<String, u64>>,
    /// The machines it is bound to; only for one licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<Vec<MachineBody>>,
}

/// A machine that a licence is bound to.
#[derive(Debug, Serialize, ToSchema)]
pub struct MachineBody {
    /// The keyed hash of its fingerprint.
    pub fingerprint_hash: String,
    /// Its name, if the client software gave one.
    pub name: Option<String>,
    /// Since when.
    pub bound_at: DateTime<Utc>,
    /// Until when it holds its place unless it is heard of; absent if it need not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<DateTime<Utc>>,
}

impl LicenseBody {
    /// A licence of the read model, as of `now`.
    pub(crate) fn of_record(license: LicenseRecord, now: DateTime<Utc>) -> Self {
        Self {
            id: license.license_id.0,
            project_id: license.project_id.0,
            plan_id: license.plan_id.0,
            plan_version: license.plan_version,
            agent_id: license.agent_id.0,
            batch_id: license.batch_id.0,
            number: Some(license.number),
            key: None,
            status: license.status(now).as_str(),
            duration_days: license.duration_days,
            max_machines: license.max_machines,
            machines: license.machines,
            issued_at: Some(license.issued_at),
            activated_at: license.activated_at,
            expires_at: license.expires_at,
            extra_days: license.extra_days,
            unbinds: license.unbinds,
            unbound_at: license.unbound_at,
            holder: None,
            transfers: license.transfers,
            used: None,
            features: license.features.0,
            policy: license.policy.map(|policy| policy.0).unwrap_or_default(),
            bindings: None,
        }
    }

    /// A licence after a command, as of `now`.
    pub(super) fn after(after: LicenseAfter, now: DateTime<Utc>) -> Self {
        let license = after.license;
        let shown = Self {
            id: after.license_id.0,
            status: license.status(now).as_str(),
            machines: i64::try_from(license.machines.len()).unwrap_or(i64::MAX),
            activated_at: license.activated_at,
            expires_at: license.expires_at,
            extra_days: license.extra_days.into(),
            unbinds: license.unbinds.into(),
            unbound_at: license.unbound_at,
            transfers: license.transfers.into(),
            used: Some(license.used).filter(|used| !used.is_empty()),
            ..Self::default()
        };
        // A command is only ever decided on a licence that was issued.
        let Some(issue) = license.issue else { return shown };
        Self {
            project_id: issue.project_id.0,
            plan_id: issue.plan_id.0,
            plan_version: issue.plan_version.into(),
            agent_id: issue.agent_id.0,
            batch_id: issue.batch_id.0,
            duration_days: issue.terms.duration_days.map(i64::from),
            max_machines: issue.terms.max_machines.into(),
            features: issue.terms.features,
            policy: issue.terms.policy,
            ..shown
        }
    }
}
