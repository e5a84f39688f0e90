//! The rules of a licence's use as the OpenAPI document describes them; read and written by the domain's own types.

use std::collections::BTreeMap;
use std::fmt;

use quotary_domain::license;
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize as _, Deserializer, MapAccess, Visitor};
use utoipa::ToSchema;

/// Reads a policy from an object alone: every rule of it may be left out, so a list would be read as one, too.
///
/// # Errors
/// If it is no object, or a rule is none.
pub fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<license::Policy, D::Error> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = license::Policy;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            license::Policy::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object)
}

/// Like [`policy`], of a field that may be absent.
///
/// # Errors
/// Like [`policy`].
pub fn some_policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<license::Policy>, D::Error> {
    policy(deserializer).map(Some)
}

/// The rules of a licence's use; what is left out is the usual rule.
#[derive(Serialize, ToSchema)]
pub struct Policy {
    /// A trial can't be renewed, only moved to another plan. Usually false.
    trial: Option<bool>,
    /// When validity begins: `issue`, `activation` (usual) or `first_use`.
    #[schema(example = "first_use")]
    valid_from: Option<String>,
    /// Values of features, by the feature's name: true or false, a number, or a text.
    #[schema(value_type = Option<Object>)]
    feature_values: Option<BTreeMap<String, String>>,
    /// Which machine counts as one that is bound already: one with the same fingerprint (`exact`, usual), or also one of
    /// which `any`, `two`, `most` or `all` named components are the same.
    #[schema(example = "two")]
    matching: Option<String>,
    /// What happens when all places are taken or a meter is at its limit: `refuse` (usual), or `allow` and flag.
    #[schema(example = "refuse")]
    overage: Option<String>,
    /// How machines keep their places; usually they have them until they give them back.
    heartbeat: Option<Heartbeat>,
    /// How often bindings can be cleared.
    unbinding: Option<Unbinding>,
    /// How often the licence can be handed to another holder: 0 to 100 (usual).
    max_transfers: Option<u32>,
    /// What is metered, by name.
    meters: Option<BTreeMap<String, Meter>>,
    /// How long client software may trust an answer without contact, in seconds; usually 259,200, three days.
    trust_seconds: Option<u32>,
}

/// How machines keep their places.
#[derive(Serialize, ToSchema)]
pub struct Heartbeat {
    /// How often a machine has to be heard of: 10 seconds to 30 days.
    interval_seconds: u32,
    /// How much later it may be; usually 0.
    grace_seconds: Option<u32>,
    /// What becomes of a machine that fell silent: `"free"` gives its place to others (floating, usual), `"keep"` lets it
    /// come back at any time, `{"keep_for": seconds}` for so long.
    #[schema(value_type = Option<Object>, example = "free")]
    silence: Option<String>,
}

/// How often bindings can be cleared.
#[derive(Serialize, ToSchema)]
pub struct Unbinding {
    /// How often in the licence's life: 0 to 100 (usual).
    max: Option<u32>,
    /// Seconds that have to lie between two of them; usually 0.
    pause_seconds: Option<u32>,
}

/// What is counted of a licence's use.
#[derive(Serialize, ToSchema)]
pub struct Meter {
    /// How much may be used; null is as much as one likes.
    limit: Option<u64>,
}
