//! The rules of a licence's use as an auditor reads them: what a legal change has to keep to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::values::{Fingerprint, Id};

const SECOND_US: i64 = 1_000_000;

/// The rules, and their text as a whole for sameness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    text: Fingerprint,
    rules: Rules,
}

/// The rules that a change can break.
#[expect(clippy::struct_excessive_bools, reason = "they are rules that hold or don't, one by one")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rules {
    pub trial: bool,
    pub valid_from: ValidFrom,
    pub exact: bool,
    pub may_exceed: bool,
    /// A machine's lease in microseconds, if it has to be heard of.
    pub lease_us: Option<i64>,
    /// Whether a silent machine frees its place.
    pub floating: bool,
    pub max_unbinds: u8,
    pub pause_us: i64,
    pub max_transfers: u8,
    /// Limits of meters by the hash of their names.
    pub meters: BTreeMap<Id, Option<u64>>,
}

/// When validity begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ValidFrom {
    Issue,
    #[default]
    Activation,
    FirstUse,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Shape<'a> {
    trial: bool,
    valid_from: ValidFrom,
    #[serde(borrow)]
    feature_values: BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>,
    matching: Matching,
    overage: Overage,
    heartbeat: Option<Heartbeat>,
    unbinding: Unbinding,
    max_transfers: u32,
    #[serde(borrow)]
    meters: BTreeMap<std::borrow::Cow<'a, str>, Meter>,
    trust_seconds: u32,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self {
            trial: false,
            valid_from: ValidFrom::default(),
            feature_values: BTreeMap::new(),
            matching: Matching::default(),
            overage: Overage::default(),
            heartbeat: None,
            unbinding: Unbinding::default(),
            max_transfers: 100,
            meters: BTreeMap::new(),
            trust_seconds: 259_200,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Matching {
    #[default]
    Exact,
    Any,
    Two,
    Most,
    All,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Overage {
    #[default]
    Refuse,
    Allow,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heartbeat {
    interval_seconds: u32,
    #[serde(default)]
    grace_seconds: u32,
    #[serde(default)]
    silence: Silence,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Silence {
    #[default]
    Free,
    Keep,
    KeepFor(u32),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Unbinding {
    max: u32,
    pause_seconds: u32,
}

impl Default for Unbinding {
    fn default() -> Self {
        Self { max: 100, pause_seconds: 0 }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meter {
    #[serde(default)]
    limit: Option<u64>,
}

impl Policy {
    /// Its text, of which only sameness matters.
    pub(super) fn text(&self) -> Id {
        self.text.id()
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    fn of(text: &str) -> serde_json::Result<Self> {
        let shape: Shape<'_> = serde_json::from_str(text)?;
        let lease = |beat: Heartbeat| (i64::from(beat.interval_seconds) + i64::from(beat.grace_seconds)) * SECOND_US;
        let few = |count: u32| u8::try_from(count).unwrap_or(u8::MAX);
        let rules = Rules {
            trial: shape.trial,
            valid_from: shape.valid_from,
            exact: shape.matching == Matching::Exact,
            may_exceed: shape.overage == Overage::Allow,
            lease_us: shape.heartbeat.map(lease),
            floating: shape.heartbeat.is_some_and(|beat| beat.silence == Silence::Free),
            max_unbinds: few(shape.unbinding.max),
            pause_us: i64::from(shape.unbinding.pause_seconds) * SECOND_US,
            max_transfers: few(shape.max_transfers),
            meters: shape
                .meters
                .iter()
                .map(|(name, meter)| (Fingerprint::of(&[name.as_bytes()]).id(), meter.limit))
                .collect(),
        };
        Ok(Self { text: Fingerprint::of(&[text.as_bytes()]), rules })
    }
}

impl Default for Policy {
    fn default() -> Self {
        let rules = Rules {
            trial: false,
            valid_from: ValidFrom::Activation,
            exact: true,
            may_exceed: false,
            lease_us: None,
            floating: false,
            max_unbinds: 100,
            pause_us: 0,
            max_transfers: 100,
            meters: BTreeMap::new(),
        };
        Self { text: Fingerprint::default(), rules }
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::of(raw.get()).map_err(serde::de::Error::custom)
    }
}
