//! What stands in a licence or machine file: a JSON:API document with Keygen's names where the meaning is the same.
//!
//! What must always hold: a file never outlives its licence; times are cut to milliseconds, never rounded up.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use quotary_domain::license::LicenseTerms;
use quotary_domain::{LicenseId, PlanId, ProjectId};
use serde_json::{Value, json};
use uuid::Uuid;

/// When a file was made, and until when it may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// When it was made.
    pub issued: DateTime<Utc>,
    /// The end of the file; `None` if it has no end of its own and the licence none.
    pub expiry: Option<DateTime<Utc>>,
}

impl Meta {
    /// A file made at `issued` for `ttl_seconds` (`None`: as long as the licence), cut at the licence's end.
    #[must_use]
    pub fn new(issued: DateTime<Utc>, ttl_seconds: Option<u32>, license_end: Option<DateTime<Utc>>) -> Self {
        let own = ttl_seconds.and_then(|ttl| issued.checked_add_signed(TimeDelta::seconds(ttl.into())));
        let expiry = match (own, license_end) {
            (Some(own), Some(end)) => Some(own.min(end)),
            (own, end) => own.or(end),
        };
        Self { issued, expiry }
    }

    /// Whole seconds from making to end.
    #[must_use]
    pub fn ttl_seconds(&self) -> Option<i64> {
        self.expiry.map(|end| (end - self.issued).num_seconds().max(0))
    }

    fn json(&self, key_id: &str) -> Value {
        json!({
            "issued": time(self.issued),
            "expiry": self.expiry.map(time),
            "ttl": self.ttl_seconds(),
            "kid": key_id,
        })
    }
}

/// A licence as a file shows it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LicenseInFile<'a> {
    pub id: LicenseId,
    pub project_id: ProjectId,
    pub plan_id: PlanId,
    /// In its normal form.
    pub key: &'a str,
    pub activated_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub terms: &'a LicenseTerms,
}

/// A machine as a file shows it.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MachineInFile<'a> {
    pub fingerprint: &'a str,
    /// The keyed hash that the licence is bound to.
    pub fingerprint_hash: &'a str,
    pub name: Option<&'a str>,
}

/// What else stands in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Included {
    /// Each feature as an `entitlements` object.
    pub entitlements: bool,
}

fn time(at: DateTime<Utc>) -> String {
    // Cut and not rounded, by chrono.
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl LicenseInFile<'_> {
    fn json(&self) -> Value {
        json!({
            "type": "licenses",
            "id": self.id,
            "attributes": {
                "key": self.key,
                // Files are made for licences that may be used, and for no others.
                "status": "ACTIVE",
                "suspended": false,
                "activated": self.activated_at.map(time),
                "expiry": self.expires_at.map(time),
                "maxMachines": self.terms.max_machines,
                "features": self.terms.features,
                "featureValues": self.terms.policy.feature_values,
            },
            "relationships": {
                "product": { "data": { "type": "products", "id": self.project_id } },
                "policy": { "data": { "type": "policies", "id": self.plan_id } },
            },
        })
    }

    fn entitlements(&self) -> impl Iterator<Item = Value> {
        self.terms.features.iter().map(|feature| {
            let value = self.terms.policy.feature_values.get(feature);
            let id = Uuid::new_v5(&self.project_id.0, feature.as_bytes());
            json!({ "type": "entitlements", "id": id, "attributes": { "name": feature, "code": feature, "value": value } })
        })
    }
}

fn document(data: &Value, included: &[Value], meta: &Meta, key_id: &str) -> Value {
    let mut document = json!({ "data": data, "meta": meta.json(key_id) });
    if !included.is_empty() {
        document["included"] = included.into();
    }
    document
}

/// The content of a licence file.
#[must_use]
pub fn license_document(license: &LicenseInFile<'_>, included: Included, meta: &Meta, key_id: &str) -> Value {
    let entitlements: Vec<Value> = if included.entitlements { license.entitlements().collect() } else { Vec::new() };
    document(&license.json(), &entitlements, meta, key_id)
}

/// The content of a machine file: the machine, with its licence among what is included.
#[must_use]
pub fn machine_document(
    machine: &MachineInFile<'_>,
    license: &LicenseInFile<'_>,
    included: Included,
    meta: &Meta,
    key_id: &str,
) -> Value {
    let data = json!({
        "type": "machines",
        // The same machine of the same licence has the same id in every file.
        "id": Uuid::new_v5(&license.id.0, machine.fingerprint_hash.as_bytes()),
        "attributes": { "fingerprint": machine.fingerprint, "name": machine.name },
        "relationships": {
            "license": { "data": { "type": "licenses", "id": license.id } },
            "product": { "data": { "type": "products", "id": license.project_id } },
        },
    });
    let mut list = vec![license.json()];
    if included.entitlements {
        list.extend(license.entitlements());
    }
    document(&data, &list, meta, key_id)
}
