//! What client software is answered: the codes of a verification and the licence as it sees it.
//!
//! Codes are part of the public contract: Keygen's where they have the same meaning, never renamed or reused.

use std::sync::Arc;

use quotary_commands::vault::{Vault, VaultError};
use quotary_domain::LicenseId;
use quotary_domain::TenantId;
use quotary_domain::license::verification::Verdict;
use quotary_domain::license::{License, LicenseTerms};
use quotary_projections::license_index::LicenseView;
use serde::Serialize;
use serde::ser::SerializeMap as _;
use utoipa::ToSchema;

use super::from_log::FreshLicense;
use super::timestamp::Timestamp;

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The licence may be used on this machine.
    Valid,
    /// There is no such key.
    NotFound,
    /// The licence's validity is over.
    Expired,
    /// The licence is disabled for now.
    Suspended,
    /// The licence was revoked for good.
    Banned,
    /// The key is another project's.
    ProductScopeMismatch,
    /// The machine is not the one that the licence is bound to.
    FingerprintScopeMismatch,
    /// All places of the licence are taken by other machines.
    TooManyMachines,
    /// The machine was not heard of for too long.
    HeartbeatDead,
    /// The licence does not have what was asked for.
    EntitlementsMissing,
    /// The project is disabled.
    ProjectDisabled,
}

impl Code {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Valid,
        Self::NotFound,
        Self::Expired,
        Self::Suspended,
        Self::Banned,
        Self::ProductScopeMismatch,
        Self::FingerprintScopeMismatch,
        Self::TooManyMachines,
        Self::HeartbeatDead,
        Self::EntitlementsMissing,
        Self::ProjectDisabled,
    ];

    /// The code of a verdict; `None` if only a command can tell.
    #[must_use]
    pub fn of(verdict: Verdict) -> Option<Self> {
        Some(match verdict {
            Verdict::Valid => Self::Valid,
            // Of a verdict that is good all the same, it says that more places are taken than were sold.
            Verdict::OverLimit | Verdict::TooManyMachines => Self::TooManyMachines,
            Verdict::Revoked => Self::Banned,
            Verdict::Disabled => Self::Suspended,
            Verdict::Expired => Self::Expired,
            Verdict::FeatureMissing => Self::EntitlementsMissing,
            Verdict::MachineDead => Self::HeartbeatDead,
            Verdict::NotBound => Self::FingerprintScopeMismatch,
            Verdict::NeedsUse => return None,
        })
    }

    /// The code as it stands in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::NotFound => "NOT_FOUND",
            Self::Expired => "EXPIRED",
            Self::Suspended => "SUSPENDED",
            Self::Banned => "BANNED",
            Self::ProductScopeMismatch => "PRODUCT_SCOPE_MISMATCH",
            Self::FingerprintScopeMismatch => "FINGERPRINT_SCOPE_MISMATCH",
            Self::TooManyMachines => "TOO_MANY_MACHINES",
            Self::HeartbeatDead => "HEARTBEAT_DEAD",
            Self::EntitlementsMissing => "ENTITLEMENTS_MISSING",
            Self::ProjectDisabled => "PROJECT_DISABLED",
        }
    }
}

/// A licence as client software sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenseAnswer {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: LicenseId,
    /// `unused`, `active`, `expired`, `disabled` or `revoked`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// The first activation.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub activated_at: Option<Timestamp>,
    /// The end of validity; null before it begins and for perpetual licences.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// What it grants.
    #[serde(flatten)]
    #[schema(value_type = GrantedDoc)]
    pub granted: Granted,
    /// How many places are taken.
    pub machines: u32,
}

/// What a licence grants, shared with the index.
#[derive(Debug)]
pub struct Granted(pub Arc<LicenseTerms>);

/// What a licence grants, as the OpenAPI document describes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this shape is documented, and never made")]
pub(crate) struct GrantedDoc {
    /// What it unlocks.
    features: Vec<String>,
    /// Values of features, by the feature's name; absent if no feature has one.
    #[schema(value_type = Option<Object>)]
    feature_values: Option<String>,
    /// How many machines it can be bound to.
    max_machines: u32,
    /// Present and true for a trial.
    trial: Option<bool>,
    /// How often a machine has to be heard of, in seconds; absent if it need not be.
    heartbeat_seconds: Option<u32>,
}

impl Serialize for Granted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let terms = &*self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("features", &terms.features)?;
        if !terms.policy.feature_values.is_empty() {
            map.serialize_entry("feature_values", &terms.policy.feature_values)?;
        }
        map.serialize_entry("max_machines", &terms.max_machines)?;
        if terms.policy.trial {
            map.serialize_entry("trial", &true)?;
        }
        if let Some(beat) = terms.policy.heartbeat {
            map.serialize_entry("heartbeat_seconds", &beat.interval_seconds)?;
        }
        map.end()
    }
}

impl From<LicenseView> for LicenseAnswer {
    fn from(view: LicenseView) -> Self {
        Self {
            id: view.license_id,
            status: view.status.as_str(),
            activated_at: view.activated_at.map(Timestamp),
            expires_at: view.expires_at.map(Timestamp),
            granted: Granted(view.terms),
            machines: view.machines,
        }
    }
}

/// The answer to a verification.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifyAnswer<'a> {
    /// Whether the licence may be used on this machine.
    pub valid: bool,
    /// Why, or why not.
    pub code: Code,
    /// More about the code, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
    /// The licence; null if the key is unknown or another project's, or the project is disabled.
    pub license: Option<LicenseAnswer>,
    /// Seconds to the end of validity; null if it has none.
    pub remaining_seconds: Option<i64>,
    /// Until when the machine holds its place unless it is heard of; absent if it need not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub held_until: Option<Timestamp>,
    /// A signed lease: until when the answer may be trusted without contact; absent if it is not valid, or has to be asked
    /// for each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub lease: Option<Arc<str>>,
    /// The request's nonce.
    pub nonce: &'a str,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A machine that a licence is bound to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Binding {
    /// The keyed hash of the fingerprint: tells machines apart without telling what they are.
    pub fingerprint_hash: String,
    /// The name that the client software gave.
    pub name: Option<String>,
}

/// A licence with its machines.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenseWithMachines {
    /// The licence.
    #[serde(flatten)]
    pub license: LicenseAnswer,
    /// The machines it is bound to, in the order of binding.
    pub bindings: Vec<Binding>,
}

/// The answer to a question about a licence, or to a change of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenseOnly<'a> {
    /// The licence.
    pub license: LicenseWithMachines,
    /// Seconds to the end of validity; null if it has none.
    pub remaining_seconds: Option<i64>,
    /// The request's nonce.
    pub nonce: &'a str,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A licence as its aggregate stands; `None` if it was never issued.
pub(super) fn view_of(found: &FreshLicense, at: chrono::DateTime<chrono::Utc>) -> Option<LicenseView> {
    let license = &found.license;
    let issue = license.issue.as_ref()?;
    Some(LicenseView {
        license_id: found.id,
        plan_id: issue.plan_id,
        plan_version: issue.plan_version,
        status: found.status(at),
        activated_at: license.activated_at,
        expires_at: license.expires_at,
        terms: Arc::new(issue.terms.clone()),
        machines: u32::try_from(license.places_taken(&issue.terms, at)).unwrap_or(u32::MAX),
        held_until: None,
        sequence: found.sequence,
    })
}

/// What a machine's sealed name is for.
pub(crate) fn machine_name_purpose(id: LicenseId) -> String {
    format!("machine-name/{id}")
}

/// The machines of a licence with their names opened.
pub(super) fn bindings(
    vault: &Vault,
    tenant_id: TenantId,
    id: LicenseId,
    license: &License,
) -> Result<Vec<Binding>, VaultError> {
    let purpose = machine_name_purpose(id);
    let name = |sealed| {
        let plain = vault.open(tenant_id, &purpose, sealed)?;
        Ok(String::from_utf8_lossy(&plain).into_owned())
    };
    let machines = license.machines.iter().map(|machine| {
        let name = machine.name.as_ref().map(name).transpose()?;
        Ok(Binding { fingerprint_hash: machine.fingerprint_hash.clone(), name })
    });
    machines.collect()
}
