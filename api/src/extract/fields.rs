//! Types of fields that refuse what is never allowed while the body is read.

use chrono::{DateTime, Datelike as _, Utc};
use quotary_domain::Quota;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

/// An amount of quota: a whole number from 0 to 2^53 − 1. Zero is left to the domain's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amount(pub Quota);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let max = Quota::MAX.minor_units();
        let number = deserializer.deserialize_i64(WholeVisitor { min: 0, max })?;
        Quota::new(number).map(Self).map_err(D::Error::custom)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: u32, const MAX: u32>(pub u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_i64(WholeVisitor { min: MIN.into(), max: MAX.into() })?;
        u32::try_from(number).map(Self).map_err(D::Error::custom)
    }
}

/// Tells a whole number out of bounds (a value that is not allowed) from what is no whole number (another type).
struct WholeVisitor {
    min: i64,
    max: i64,
}

impl WholeVisitor {
    fn out_of_bounds<E: Error>(&self, number: impl std::fmt::Display) -> E {
        E::custom(format!("must be from {} to {}, got {number}", self.min, self.max))
    }
}

impl Visitor<'_> for WholeVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        if (self.min..=self.max).contains(&number) { Ok(number) } else { Err(self.out_of_bounds(number)) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| self.out_of_bounds(number)).and_then(|number| self.visit_i64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        // Whole numbers beyond 64 bits come as floats; below that a float is written with a point or an exponent.
        if number.abs() >= 9_007_199_254_740_992.0 {
            return Err(self.out_of_bounds(number));
        }
        Err(E::invalid_type(Unexpected::Float(number), &self))
    }
}

/// A time in RFC 3339, from the year 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Time(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| D::Error::custom("must be a time in RFC 3339"))?;
        let time = time.to_utc();
        if (1970..=9999).contains(&time.year()) {
            Ok(Self(time))
        } else {
            Err(D::Error::custom("must be within the years 1970 to 9999"))
        }
    }
}

/// A text that must not be read by others, wiped when dropped.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Tells a field that is absent (stays as it is) from one that is `null` (is cleared).
///
/// # Errors
/// Those of the value.
pub fn double_option<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
