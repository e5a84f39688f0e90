//! Leases: until when client software may trust a positive answer without contact (row L9).
//!
//! A lease is a compact JWS (RFC 7515) with `alg` `EdDSA`, signed by the project's current Ed25519 key. What must always hold:
//! it never ends after its licence, or after the machine's place in a floating one; a lease from memory is one that was signed for this very state of the licence, by this
//! very key, and most of whose time is left.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ed25519_dalek::Signer as _;
use moka::sync::Cache;
use quotary_domain::{LicenseId, ProjectId};
use quotary_projections::license_index::{HashPrefix, LicenseView};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::keys::AnswerKey;

/// How many leases a process keeps unless said otherwise; each takes some 700 bytes.
pub const DEFAULT_LEASES: u64 = 100_000;

/// `typ` of a lease.
const TYPE: &str = "quotary-lease+jwt";

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The licence's validity is over, so there is nothing to trust.
    #[error("a licence that is over has no lease")]
    Over,
    /// A claim can't be written.
    #[error("a lease can't be written")]
    Json(#[from] serde_json::Error),
}

/// What a lease says, beside its times.
#[derive(Clone, Copy, Debug)]
pub struct LeaseOf<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// The licence as it was answered.
    pub license: &'a LicenseView,
    /// The machine's fingerprint as the client sent it.
    pub fingerprint: &'a str,
    /// Its keyed hash, which the licence is bound to.
    pub fingerprint_hash: HashPrefix,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    /// The project.
    aud: ProjectId,
    /// The licence.
    sub: LicenseId,
    /// SHA-256 of the fingerprint in base64url.
    fpr: String,
    iat: i64,
    exp: i64,
    status: &'static str,
    features: &'a [String],
}

/// Which lease: nothing that changes what it says is left out, but its times and key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    license_id: LicenseId,
    fingerprint: HashPrefix,
    sequence: u64,
}

#[derive(Clone)]
struct Kept {
    key_id: Arc<str>,
    grace_seconds: u32,
    issued: i64,
    expires: i64,
    text: Arc<str>,
}

impl Kept {
    /// Whether it may be handed out again: at least three quarters of its grace are left. One that ends with its licence is
    /// good to the end, since another could not be longer.
    fn serves(&self, key_id: &str, grace_seconds: u32, now: i64) -> bool {
        let grace = i64::from(grace_seconds);
        let ends_with_license = self.expires < self.issued.saturating_add(grace);
        let left = self.expires.saturating_sub(now);
        *self.key_id == *key_id
            && self.grace_seconds == grace_seconds
            // A clock that was set back must not hand out leases of the future.
            && self.issued <= now
            && left > 0
            && (ends_with_license || left.saturating_mul(4) >= grace.saturating_mul(3))
    }
}

/// The leases of this process, bounded; signing one takes longer than all the rest of a verification.
pub struct Leases(Cache<Name, Kept>);

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leases({})", self.0.entry_count())
    }
}

impl Leases {
    /// Room for `capacity` leases.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self(Cache::new(capacity))
    }

    /// The lease of a licence on a machine at `now`: one from memory, or a new one.
    ///
    /// # Errors
    /// [`LeaseError::Over`] if the licence's validity is over.
    pub fn lease(
        &self,
        key: &AnswerKey,
        of: &LeaseOf<'_>,
        grace_seconds: u32,
        now: DateTime<Utc>,
    ) -> Result<Arc<str>, LeaseError> {
        let name =
            Name { license_id: of.license.license_id, fingerprint: of.fingerprint_hash, sequence: of.license.sequence };
        let issued = now.timestamp();
        if let Some(kept) = self.0.get(&name).filter(|kept| kept.serves(&key.key_id, grace_seconds, issued)) {
            return Ok(kept.text);
        }
        let own = issued.saturating_add(grace_seconds.into());
        // Others may have the place of a floating machine from then on.
        let place = of.license.held_until.filter(|_| of.license.terms.policy.is_floating());
        // Cut to seconds, so never after the licence's end.
        let end = of.license.expires_at.into_iter().chain(place).min();
        let expires = end.map_or(own, |end| own.min(end.timestamp()));
        if expires <= issued {
            return Err(LeaseError::Over);
        }
        let text: Arc<str> = sign(key, of, issued, expires)?.into();
        let key_id = key.key_id.as_str().into();
        self.0.insert(name, Kept { key_id, grace_seconds, issued, expires, text: text.clone() });
        Ok(text)
    }
}

fn sign(key: &AnswerKey, of: &LeaseOf<'_>, issued: i64, expires: i64) -> Result<String, LeaseError> {
    let header = Header { alg: "EdDSA", kid: &key.key_id, typ: TYPE };
    let claims = Claims {
        aud: of.project_id,
        sub: of.license.license_id,
        fpr: URL_SAFE_NO_PAD.encode(Sha256::digest(of.fingerprint.as_bytes())),
        iat: issued,
        exp: expires,
        status: of.license.status.as_str(),
        features: &of.license.terms.features,
    };
    let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims)?, &mut text);
    let signature = key.key.sign(text.as_bytes()).to_bytes();
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use ed25519_dalek::{Signature, SigningKey};
    use quotary_domain::PlanId;
    use quotary_domain::license::{LicenseStatus, LicenseTerms, Policy};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn key(id: &str, seed: u8) -> AnswerKey {
        AnswerKey { key_id: id.to_owned(), key: SigningKey::from_bytes(&[seed; 32]) }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(second)
    }

    fn view(expires_at: Option<DateTime<Utc>>) -> LicenseView {
        LicenseView {
            license_id: LicenseId(Uuid::from_u128(1)),
            plan_id: PlanId(Uuid::from_u128(2)),
            plan_version: 1,
            status: LicenseStatus::Active,
            activated_at: Some(at(0)),
            expires_at,
            terms: Arc::new(LicenseTerms {
                duration_days: None,
                max_machines: 2,
                features: vec!["pro".to_owned()],
                policy: Policy::default(),
            }),
            machines: 1,
            held_until: None,
            sequence: 2,
        }
    }

    fn of<'a>(license: &'a LicenseView, fingerprint: &'a str) -> LeaseOf<'a> {
        let fingerprint_hash = HashPrefix::of_text(fingerprint);
        LeaseOf { project_id: ProjectId(Uuid::from_u128(3)), license, fingerprint, fingerprint_hash }
    }

    /// Reads a lease as RFC 7515 says.
    fn read(text: &str, key: &AnswerKey) -> Option<(Value, Value)> {
        let (signed, signature) = text.rsplit_once('.')?;
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        key.key.verifying_key().verify_strict(signed.as_bytes(), &signature).ok()?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some((json(header)?, json(claims)?))
    }

    #[test]
    fn a_lease_says_what_may_be_trusted_and_until_when() {
        let (leases, key, license) = (Leases::new(10), key("k1", 1), view(None));
        let lease = leases.lease(&key, &of(&license, "laptop"), 1_000, at(5)).unwrap();
        let (header, claims) = read(&lease, &key).unwrap();
        assert_eq!(header, json!({ "alg": "EdDSA", "kid": "k1", "typ": "quotary-lease+jwt" }));
        // printf laptop | openssl dgst -sha256 -binary | basenc --base64url
        let fpr = URL_SAFE_NO_PAD.encode(Sha256::digest(b"laptop"));
        let (iat, exp) = (at(5).timestamp(), at(1_005).timestamp());
        let expected = json!({
            "aud": Uuid::from_u128(3), "sub": Uuid::from_u128(1), "fpr": fpr, "iat": iat, "exp": exp, "status": "active",
            "features": ["pro"],
        });
        assert_eq!(claims, expected);
        for place in 0..lease.len() {
            let mut bytes = lease.as_bytes().to_vec();
            bytes[place] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            assert!(read(&text, &key).is_none(), "byte {place}");
        }
    }

    #[test]
    fn a_lease_is_signed_again_only_when_a_quarter_of_its_grace_is_gone() {
        let (leases, key, license) = (Leases::new(10), key("k1", 1), view(None));
        let ask = |second| leases.lease(&key, &of(&license, "m"), 1_000, at(second)).unwrap();
        let first = ask(0);
        assert!(Arc::ptr_eq(&first, &ask(250)));
        let second = ask(251);
        assert_ne!(first, second);
        assert!(Arc::ptr_eq(&second, &ask(251)));
        assert_ne!(ask(200), second, "the clock was set back");
    }

    #[test]
    fn another_state_machine_key_or_grace_is_another_lease() {
        let (leases, license) = (Leases::new(10), view(None));
        let ask = |key: &AnswerKey, sequence, machine, grace| {
            let license = LicenseView { sequence, ..license.clone() };
            leases.lease(key, &of(&license, machine), grace, at(0)).unwrap()
        };
        let (old, new) = (key("k1", 1), key("k2", 2));
        let first = ask(&old, 2, "m", 1_000);
        for (key, sequence, machine, grace) in
            [(&old, 3, "m", 1_000), (&old, 2, "n", 1_000), (&old, 2, "m", 2_000), (&new, 2, "m", 1_000)]
        {
            let other = ask(key, sequence, machine, grace);
            assert!(!Arc::ptr_eq(&first, &other));
            assert!(read(&other, key).is_some());
        }
    }

    #[test]
    fn no_lease_outlives_its_licence() {
        let (leases, key, license) =
            (Leases::new(10), key("k1", 1), view(Some(at(600) + TimeDelta::milliseconds(900))));
        let ask = |second| leases.lease(&key, &of(&license, "m"), 1_000, at(second));
        let first = ask(0).unwrap();
        assert_eq!(read(&first, &key).unwrap().1["exp"], at(600).timestamp());
        assert!(Arc::ptr_eq(&first, &ask(599).unwrap()), "another could not be longer");
        assert!(matches!(ask(600), Err(LeaseError::Over)));
        assert!(matches!(ask(700), Err(LeaseError::Over)));
    }
}
