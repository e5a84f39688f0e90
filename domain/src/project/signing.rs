//! The keys that sign what a project says to client software: answers, leases, licence files (rows P1, L9).
//!
//! What must always hold: there is at most one current key of an algorithm; the one before stays published until a time that
//! was said when it was replaced, and is never dropped before it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Project, ProjectError, ProjectEvent};
use crate::Sealed;

/// How many earlier keys can be published at a time.
pub const MAX_EARLIER_KEYS: usize = 20;

/// What a key signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8032).
    #[default]
    #[serde(rename = "ed25519")]
    Ed25519,
    /// RSASSA-PSS (RFC 8017) with 2048 bits, SHA-256, MGF1 with SHA-256 and the longest salt.
    #[serde(rename = "rsa-pss-sha256")]
    RsaPssSha256,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::RsaPssSha256];

    /// Its name in events, requests and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::RsaPssSha256 => "rsa-pss-sha256",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's way of asking")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`SigningAlgorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be ed25519 or rsa-pss-sha256")]
pub struct UnknownAlgorithm;

impl FromStr for SigningAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or(UnknownAlgorithm)
    }
}

/// A key that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// What it signs with.
    #[serde(default, skip_serializing_if = "SigningAlgorithm::is_default")]
    pub algorithm: SigningAlgorithm,
    /// Its name in `keyid` and `kid`.
    pub key_id: String,
    /// The public half in base64: the 32 bytes of an Ed25519 key, the DER of an RSA key's `SubjectPublicKeyInfo`.
    pub public_key: String,
    /// The secret half, encrypted: the 32 bytes of an Ed25519 key, the DER of an RSA key's PKCS #8.
    pub secret_key: Sealed,
}

/// A key that signs no longer, and until when it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierKey {
    /// The key.
    pub key: SigningKey,
    /// The end of its publication.
    pub until: DateTime<Utc>,
}

/// The keys of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeys {
    /// The Ed25519 key, which signs answers; `None` before creation.
    #[serde(rename = "signing_key", default)]
    pub ed25519: Option<SigningKey>,
    /// The RSA key, made when it is asked for.
    #[serde(rename = "rsa_signing_key", default, skip_serializing_if = "Option::is_none")]
    pub rsa: Option<SigningKey>,
    /// Those before, in the order of their end as signing keys; at most [`MAX_EARLIER_KEYS`] and one.
    #[serde(rename = "earlier_signing_keys", default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierKey>,
}

impl SigningKeys {
    /// The key that signs now.
    #[must_use]
    pub fn current(&self, algorithm: SigningAlgorithm) -> Option<&SigningKey> {
        match algorithm {
            SigningAlgorithm::Ed25519 => self.ed25519.as_ref(),
            SigningAlgorithm::RsaPssSha256 => self.rsa.as_ref(),
        }
    }

    /// The keys that verifiers may believe at `now`: those that sign, then earlier ones, the latest first.
    pub fn published(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningKey> {
        self.ed25519.iter().chain(&self.rsa).chain(self.earlier_at(now).map(|earlier| &earlier.key))
    }

    /// Earlier keys that are still published at `now`, the latest first.
    pub fn earlier_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &EarlierKey> {
        self.earlier.iter().rev().filter(move |earlier| now < earlier.until)
    }

    /// Puts a new key in the place of the one of its algorithm. Deterministic: of too many earlier keys the one goes that
    /// ended first, which the decision has seen to be over.
    pub fn rotate(&mut self, key: SigningKey, previous_until: Option<DateTime<Utc>>) {
        let place = match key.algorithm {
            SigningAlgorithm::Ed25519 => &mut self.ed25519,
            SigningAlgorithm::RsaPssSha256 => &mut self.rsa,
        };
        let before = place.replace(key);
        self.earlier.extend(before.zip(previous_until).map(|(key, until)| EarlierKey { key, until }));
        if self.earlier.len() > MAX_EARLIER_KEYS {
            let first = self.earlier.iter().enumerate().min_by_key(|(_, earlier)| earlier.until);
            if let Some(index) = first.map(|(index, _)| index) {
                self.earlier.remove(index);
            }
        }
    }
}

impl Project {
    /// A new key of its algorithm; the one before stays published until `previous_until`.
    pub(super) fn rotate_signing_key(
        &self,
        signing_key: SigningKey,
        previous_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ProjectEvent>, ProjectError> {
        let before = self.signing_keys.current(signing_key.algorithm);
        if before == Some(&signing_key) {
            return Ok(vec![]);
        }
        if before.is_some() && self.signing_keys.earlier_at(now).count() >= MAX_EARLIER_KEYS {
            return Err(ProjectError::TooMany("earlier signing keys that are still published"));
        }
        let previous_until = before.map(|_| previous_until);
        Ok(vec![ProjectEvent::SigningKeyRotated { signing_key, previous_until }])
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::project::{ProjectCommand, ProjectDetails};

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(n)
    }

    fn key(algorithm: SigningAlgorithm, id: &str) -> SigningKey {
        SigningKey { algorithm, key_id: id.into(), public_key: "p".into(), secret_key: Sealed("s".into()) }
    }

    fn project() -> Project {
        let details = ProjectDetails { name: "p".into(), description: None, version: None, callback_url: None };
        let mut project = Project { details: Some(details), ..Project::default() };
        project.signing_keys.ed25519 = Some(key(SigningAlgorithm::Ed25519, "k0"));
        project
    }

    fn rotate(project: &mut Project, key: SigningKey, until: i64, now: i64) -> Result<(), ProjectError> {
        let (previous_until, now) = (day(until), day(now));
        for event in project.decisions(ProjectCommand::RotateSigningKey { signing_key: key, previous_until, now })? {
            project.evolve(event);
        }
        Ok(())
    }

    fn published(project: &Project, now: i64) -> Vec<&str> {
        project.signing_keys.published(day(now)).map(|key| key.key_id.as_str()).collect()
    }

    #[test]
    fn a_key_before_is_published_until_its_time_is_over() {
        let mut project = project();
        rotate(&mut project, key(SigningAlgorithm::Ed25519, "k1"), 365, 0).unwrap();
        rotate(&mut project, key(SigningAlgorithm::RsaPssSha256, "r1"), 365, 0).unwrap();
        assert_eq!(published(&project, 364), ["k1", "r1", "k0"]);
        assert_eq!(published(&project, 365), ["k1", "r1"]);
        rotate(&mut project, key(SigningAlgorithm::RsaPssSha256, "r2"), 20, 10).unwrap();
        assert_eq!(published(&project, 11), ["k1", "r2", "r1", "k0"]);
        assert_eq!(project.signing_keys.current(SigningAlgorithm::RsaPssSha256).unwrap().key_id, "r2");
    }

    #[test]
    fn no_key_is_dropped_before_its_time_however_often_keys_are_rotated() {
        let mut project = project();
        for n in 0..MAX_EARLIER_KEYS {
            rotate(
                &mut project,
                key(SigningAlgorithm::Ed25519, &format!("k{}", n + 1)),
                100 + i64::try_from(n).unwrap(),
                0,
            )
            .unwrap();
        }
        let one_more = || key(SigningAlgorithm::Ed25519, "more");
        assert!(matches!(rotate(&mut project, one_more(), 300, 99), Err(ProjectError::TooMany(_))));
        rotate(&mut project, one_more(), 300, 100).unwrap();
        assert_eq!(project.signing_keys.earlier.len(), MAX_EARLIER_KEYS);
        assert_eq!(published(&project, 100).len(), MAX_EARLIER_KEYS + 1);
        assert!(!published(&project, 100).contains(&"k0"));
    }

    #[test]
    fn a_state_of_before_keys_rotated_is_read() {
        let text = r#"{"details":null,"disabled":false,"plans":{},"grants":{},"credentials":null,"previous_credentials":null,
            "signing_key":{"key_id":"k","public_key":"p","secret_key":"s"}}"#;
        let project: Project = serde_json::from_str(text).unwrap();
        assert_eq!(project.signing_keys.ed25519, Some(key(SigningAlgorithm::Ed25519, "k")));
        let again: Project = serde_json::from_str(&serde_json::to_string(&project).unwrap()).unwrap();
        assert_eq!(again, project);
    }
}
