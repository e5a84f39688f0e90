//! The values that events carry, read without allocating: ids, amounts, times, and texts that no rule looks into.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The largest amount: 2^53 − 1.
pub(super) const MAX_AMOUNT: u64 = (1 << 53) - 1;

/// An id of any kind as its 16 bytes; hashed as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub [u8; 16]);

impl Id {
    /// The id in its one canonical text form: lower case, with hyphens.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let id = canonical.then(|| Uuid::try_parse(text).ok()).flatten()?;
        Some(Self(*id.as_bytes()))
    }
}

impl From<Uuid> for Id {
    fn from(id: Uuid) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<Id> for Uuid {
    fn from(id: Id) -> Self {
        Uuid::from_bytes(id.0)
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

/// Text while an event is read, bytes in a saved state.
impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID in lower case with hyphens")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Self)
        }
    }
}

/// An amount in minor units, from 0 to [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Amount(pub u64);

impl Amount {
    /// As a number that can be added and taken away.
    pub(super) fn signed(self) -> i128 {
        i128::from(self.0)
    }

    /// What the first `done` of `of` pieces cost, rounded down; all of it when nothing is missing.
    pub(super) fn share(self, done: u32, of: u32) -> u64 {
        if done >= of {
            return self.0;
        }
        let part = u128::from(self.0) * u128::from(done) / u128::from(of);
        u64::try_from(part).unwrap_or(self.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number > MAX_AMOUNT {
            return Err(de::Error::custom("an amount is at most 2^53 - 1"));
        }
        Ok(Self(number))
    }
}

/// A time in microseconds since 1970, from RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as in RFC 3339")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                let time = chrono::DateTime::parse_from_rfc3339(text);
                time.map(|time| Time(time.timestamp_micros()))
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A text that no rule looks into; it has to be one, and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// A text as PostgreSQL keeps it, which has no room for U+0000, of which only sameness matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored(pub Fingerprint);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Stored;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Stored, E> {
                let stored = Fingerprint::of(&[text.replace('\0', "\u{fffd}").as_bytes()]);
                Ok(Stored(stored))
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// When an event happened, in microseconds since 1970: what its metadata note, or when it was recorded.
pub(super) fn occurred_at(metadata: &str, recorded_at: i64) -> i64 {
    #[derive(serde::Deserialize)]
    struct Noted {
        occurred_at: Option<Time>,
    }
    if !metadata.contains("occurred_at") {
        return recorded_at;
    }
    let noted = serde_json::from_str::<Noted>(metadata).ok().and_then(|noted| noted.occurred_at);
    noted.map_or(recorded_at, |Time(time)| time)
}

/// A text of which only sameness matters, as the first half of its SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Of several texts, one after the other.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&digest.finalize()[..16]);
        Self(half)
    }

    /// As a key of the maps.
    pub(super) fn id(self) -> Id {
        Id(self.0)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Fingerprint;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Fingerprint, E> {
                Ok(Fingerprint::of(&[text.as_bytes()]))
            }
        }
        deserializer.deserialize_str(Any)
    }
}
