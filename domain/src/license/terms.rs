//! What a licence grants and by which rules it is used: the plan's as it was when the licence was issued (rows P2, L5–L9).
//!
//! Everything beyond duration, machines and features has a usual value and is not written when it has it, so that terms
//! of older events mean what they always meant.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::project::{MAX_DURATION_DAYS, MAX_FEATURES, MAX_MACHINES};

/// How often the bindings of one licence can be cleared unless its terms say less.
pub const MAX_UNBINDS: u32 = 100;
/// How often a licence can be handed to another holder unless its terms say less.
pub const MAX_TRANSFERS: u32 = 100;
/// How long client software may trust an answer without contact unless the terms say otherwise: three days.
pub const USUAL_TRUST_SECONDS: u32 = 259_200;
/// The longest time that an answer may be trusted: a year.
pub const MAX_TRUST_SECONDS: u32 = 31_536_000;
/// The shortest and the longest time between two beats of a machine: ten seconds to thirty days.
pub const BEAT_SECONDS: std::ops::RangeInclusive<u32> = 10..=2_592_000;
/// The longest time that a beat may be late, or a silent machine may come back: thirty days.
pub const MAX_LATE_SECONDS: u32 = 2_592_000;
/// The longest pause between two clearings: ten years.
pub const MAX_PAUSE_SECONDS: u32 = 315_360_000;
/// How many meters a plan can have.
pub const MAX_METERS: usize = 20;
/// The longest name of a feature or a meter, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// The longest text that a feature can have as its value, in characters.
pub const MAX_VALUE_CHARS: usize = 500;

/// What a licence grants and by which rules it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LicenseTerms {
    /// Days of validity; `None` is perpetual.
    pub duration_days: Option<u32>,
    /// How many machines it can be bound to at a time.
    pub max_machines: u32,
    /// What it unlocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The rules of its use.
    #[serde(default, skip_serializing_if = "Policy::is_usual")]
    pub policy: Policy,
}

/// The rules of a licence's use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// A trial can't be renewed.
    #[serde(skip_serializing_if = "is_false")]
    pub trial: bool,
    /// When validity begins.
    #[serde(skip_serializing_if = "is_usual")]
    pub valid_from: ValidFrom,
    /// Values of features, by the feature's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_values: BTreeMap<String, FeatureValue>,
    /// Which machine counts as one that is bound already.
    #[serde(skip_serializing_if = "is_usual")]
    pub matching: Matching,
    /// What happens when all places are taken.
    #[serde(skip_serializing_if = "is_usual")]
    pub overage: Overage,
    /// How machines keep their places; `None` leaves them theirs until they give them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// How often bindings can be cleared.
    #[serde(skip_serializing_if = "is_usual")]
    pub unbinding: Unbinding,
    /// How often it can be handed to another holder.
    #[serde(skip_serializing_if = "is_max_transfers")]
    pub max_transfers: u32,
    /// What is metered, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meters: BTreeMap<String, Meter>,
    /// How long client software may trust an answer without contact, in seconds.
    #[serde(skip_serializing_if = "is_usual_trust")]
    pub trust_seconds: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trial: false,
            valid_from: ValidFrom::default(),
            feature_values: BTreeMap::new(),
            matching: Matching::default(),
            overage: Overage::default(),
            heartbeat: None,
            unbinding: Unbinding::default(),
            max_transfers: MAX_TRANSFERS,
            meters: BTreeMap::new(),
            trust_seconds: USUAL_TRUST_SECONDS,
        }
    }
}

/// When a licence's validity begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidFrom {
    /// When it is issued.
    Issue,
    /// When its first machine is bound.
    #[default]
    Activation,
    /// When it is first verified; a licence activated by file or ahead of time keeps its days until then.
    FirstUse,
}

/// The value of a feature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeatureValue {
    /// On or off.
    Flag(bool),
    /// A number, such as seats.
    Number(i64),
    /// A text, such as a region.
    Text(String),
}

/// Which machine counts as one that is bound already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The one with the same fingerprint.
    #[default]
    Exact,
    /// Also one of which any named component is the same.
    Any,
    /// Also one of which two named components are the same.
    Two,
    /// Also one of which more than half of the named components are the same.
    Most,
    /// Also one of which all named components are the same.
    All,
}

/// What happens when all places are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overage {
    /// One machine more is refused.
    #[default]
    Refuse,
    /// It is bound, and the licence is flagged; a meter counts on.
    Allow,
}

/// How machines keep their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// How often a machine has to be heard of.
    pub interval_seconds: u32,
    /// How much later it may be.
    #[serde(default)]
    pub grace_seconds: u32,
    /// What becomes of a machine that fell silent.
    #[serde(default)]
    pub silence: Silence,
}

/// What becomes of a machine that fell silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Its place is free for others: a floating licence. It comes back like a new machine.
    #[default]
    Free,
    /// It keeps its place and may come back at any time.
    Keep,
    /// It keeps its place and may come back within so many seconds; after that it has to be taken off first.
    KeepFor(u32),
}

/// How often bindings can be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unbinding {
    /// How often in the licence's life.
    pub max: u32,
    /// Seconds that have to lie between two of them.
    pub pause_seconds: u32,
}

impl Default for Unbinding {
    fn default() -> Self {
        Self { max: MAX_UNBINDS, pause_seconds: 0 }
    }
}

/// What is counted of a licence's use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// How much may be used; `None` is as much as one likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl Heartbeat {
    /// How long a machine keeps its place after it was heard of, in seconds.
    #[must_use]
    pub fn lease_seconds(&self) -> i64 {
        i64::from(self.interval_seconds) + i64::from(self.grace_seconds)
    }
}

impl Policy {
    /// Whether every rule is the usual one.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a machine that falls silent frees its place.
    #[must_use]
    pub fn is_floating(&self) -> bool {
        self.heartbeat.is_some_and(|beat| beat.silence == Silence::Free)
    }
}

impl LicenseTerms {
    /// Terms of the usual rules.
    #[must_use]
    pub fn usual(duration_days: Option<u32>, max_machines: u32, features: Vec<String>) -> Self {
        Self { duration_days, max_machines, features, policy: Policy::default() }
    }

    /// The end of a validity that begins with an issue at `at`; `None` if it begins later or never ends.
    #[must_use]
    pub fn end_at_issue(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = self.duration_days.filter(|_| self.policy.valid_from == ValidFrom::Issue)?;
        Some(at + TimeDelta::days(days.into()))
    }

    /// What is wrong with the terms, if anything: the place in the plan, and a sentence.
    ///
    /// # Errors
    /// The first value that is out of its limits.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let Policy { trial, valid_from, feature_values, heartbeat, unbinding, max_transfers, meters, .. } =
            &self.policy;
        if !(1..=MAX_MACHINES).contains(&self.max_machines) {
            return Err(("/max_machines", "max_machines must be from 1 to 10000"));
        }
        if self.duration_days.is_some_and(|days| !(1..=MAX_DURATION_DAYS).contains(&days)) {
            return Err(("/duration_days", "duration_days must be from 1 to 36500, or null"));
        }
        if *trial && self.duration_days.is_none() {
            return Err(("/duration_days", "a trial can't be perpetual"));
        }
        if self.duration_days.is_none() && *valid_from != ValidFrom::Activation {
            return Err(("/policy/valid_from", "a perpetual licence has no validity that begins"));
        }
        if self.features.len() > MAX_FEATURES {
            return Err(("/features", "a plan can't have more than 100 features"));
        }
        if feature_values.keys().any(|name| !self.features.contains(name)) {
            return Err(("/policy/feature_values", "a value must be that of a feature of the plan"));
        }
        let is_long =
            |value: &FeatureValue| matches!(value, FeatureValue::Text(text) if text.chars().count() > MAX_VALUE_CHARS);
        if feature_values.values().any(is_long) {
            return Err(("/policy/feature_values", "a value must have at most 500 characters"));
        }
        if let Some(beat) = heartbeat {
            check_heartbeat(beat)?;
        }
        if unbinding.max > MAX_UNBINDS || unbinding.pause_seconds > MAX_PAUSE_SECONDS {
            return Err((
                "/policy/unbinding",
                "bindings can be cleared at most 100 times, with a pause of at most ten years",
            ));
        }
        if *max_transfers > MAX_TRANSFERS {
            return Err(("/policy/max_transfers", "a licence can change its holder at most 100 times"));
        }
        if meters.len() > MAX_METERS || meters.keys().any(|name| !is_name(name)) {
            return Err(("/policy/meters", "a plan has at most 20 meters with names of 1 to 100 characters"));
        }
        if self.policy.trust_seconds > MAX_TRUST_SECONDS {
            return Err(("/policy/trust_seconds", "an answer can be trusted for at most a year"));
        }
        Ok(())
    }
}

fn check_heartbeat(beat: &Heartbeat) -> Result<(), (&'static str, &'static str)> {
    if !BEAT_SECONDS.contains(&beat.interval_seconds) {
        return Err(("/policy/heartbeat/interval_seconds", "a machine beats every 10 seconds to 30 days"));
    }
    let back = if let Silence::KeepFor(seconds) = beat.silence { seconds } else { 0 };
    if beat.grace_seconds > MAX_LATE_SECONDS || back > MAX_LATE_SECONDS {
        return Err(("/policy/heartbeat", "a machine may be late or silent for at most 30 days"));
    }
    Ok(())
}

/// Whether a text can be the name of a feature or a meter.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_max_transfers(value: &u32) -> bool {
    *value == MAX_TRANSFERS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_usual_trust(value: &u32) -> bool {
    *value == USUAL_TRUST_SECONDS
}

fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_older_events_have_the_usual_rules_and_write_none() {
        let old = r#"{"duration_days":30,"max_machines":2,"features":["pro"]}"#;
        let terms: LicenseTerms = serde_json::from_str(old).unwrap();
        assert!(terms.policy.is_usual());
        assert_eq!(serde_json::to_string(&terms).unwrap(), old);
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        let beat = |silence| Heartbeat { interval_seconds: 60, grace_seconds: 5, silence };
        for silence in [Silence::Free, Silence::Keep, Silence::KeepFor(7)] {
            let policy = Policy {
                trial: true,
                valid_from: ValidFrom::FirstUse,
                feature_values: [("seats".to_owned(), FeatureValue::Number(5))].into(),
                matching: Matching::Most,
                heartbeat: Some(beat(silence)),
                meters: [("pages".to_owned(), Meter { limit: Some(10) })].into(),
                ..Policy::default()
            };
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy, "{text}");
        }
        assert!(serde_json::from_str::<Policy>(r#"{"unknown":1}"#).is_err());
    }

    #[test]
    fn terms_out_of_their_limits_are_named() {
        let terms = LicenseTerms::usual(Some(30), 1, vec!["pro".into()]);
        assert_eq!(terms.check(), Ok(()));
        let place = |change: fn(&mut LicenseTerms)| {
            let mut changed = terms.clone();
            change(&mut changed);
            changed.check().unwrap_err().0
        };
        assert_eq!(place(|terms| terms.max_machines = 0), "/max_machines");
        assert_eq!(place(|terms| (terms.duration_days, terms.policy.trial) = (None, true)), "/duration_days");
        assert_eq!(
            place(|terms| drop(terms.policy.feature_values.insert("x".into(), FeatureValue::Flag(true)))),
            "/policy/feature_values"
        );
        let fast = Heartbeat { interval_seconds: 1, grace_seconds: 0, silence: Silence::Free };
        assert_eq!(
            {
                let mut changed = terms.clone();
                changed.policy.heartbeat = Some(fast);
                changed.check().unwrap_err().0
            },
            "/policy/heartbeat/interval_seconds"
        );
    }
}
