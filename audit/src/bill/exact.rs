//! Decimal numbers as a bill writes them, exactly.
//!
//! What must always hold: a number is its digits; nothing is rounded, and what does not fit is an error.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most digits after the point that are read.
const MOST_DECIMALS: u32 = 12;

/// How a file writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberFormat {
    /// What stands before the fraction.
    pub point: char,
    /// What stands between groups of three digits, if anything does.
    pub thousands: Option<char>,
}

impl Default for NumberFormat {
    fn default() -> Self {
        Self { point: '.', thousands: None }
    }
}

/// Why a text is no number, or a number does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExactError {
    /// Nothing is there.
    #[error("a number is missing")]
    Empty,
    /// A character does not belong into a number.
    #[error("`{0}` is no number")]
    NotANumber(String),
    /// More digits than a number of money has.
    #[error("`{0}` has too many digits")]
    TooLong(String),
    /// The fraction is finer than the currency's minor unit.
    #[error("{number} has a fraction of a minor unit of {decimals} decimals")]
    Fraction {
        /// The number.
        number: Exact,
        /// What the currency has.
        decimals: u32,
    },
}

/// An exact decimal number: `units` divided by ten to the power of `decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact {
    units: i128,
    decimals: u32,
}

impl Exact {
    /// Zero.
    pub const ZERO: Self = Self { units: 0, decimals: 0 };

    /// Reads a number: an optional sign, digits, optionally a point with digits after it.
    ///
    /// # Errors
    /// [`ExactError`] if the text is anything else.
    pub fn parse(text: &str, format: NumberFormat) -> Result<Self, ExactError> {
        let not_a_number = || ExactError::NotANumber(text.chars().take(40).collect());
        let (negative, digits) = match text.as_bytes().first() {
            None => return Err(ExactError::Empty),
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
        };
        let (whole, fraction) = match digits.split_once(format.point) {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(not_a_number()),
            None => (digits, ""),
        };
        let whole = ungrouped(whole, format.thousands).ok_or_else(not_a_number)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(&whole) || !is_number(fraction) {
            return Err(not_a_number());
        }
        let too_long = || ExactError::TooLong(text.chars().take(40).collect());
        let decimals = u32::try_from(fraction.len()).ok().filter(|n| *n <= MOST_DECIMALS).ok_or_else(too_long)?;
        if whole.len() > 24 {
            return Err(too_long());
        }
        let magnitude: i128 = format!("{whole}{fraction}").parse().map_err(|_| too_long())?;
        let units = if negative { -magnitude } else { magnitude };
        Ok(Self { units, decimals })
    }

    /// A number of whole units.
    #[must_use]
    pub const fn whole(units: i128) -> Self {
        Self { units, decimals: 0 }
    }

    /// The sum; nothing if it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let decimals = self.decimals.max(other.decimals);
        let units = self.scaled(decimals)?.checked_add(other.scaled(decimals)?)?;
        Some(Self { units, decimals })
    }

    /// Whether both are the same number, however many zeros they are written with.
    #[must_use]
    pub fn equals(self, other: Self) -> bool {
        self.shortest() == other.shortest()
    }

    /// Below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.units < 0
    }

    /// Zero, with or without decimals.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Without the sign.
    #[must_use]
    pub const fn magnitude(self) -> Self {
        Self { units: self.units.abs(), decimals: self.decimals }
    }

    /// The same number in minor units of a currency with so many decimals.
    ///
    /// # Errors
    /// [`ExactError::Fraction`] if it is no whole number of them, [`ExactError::TooLong`] if it is too large.
    pub fn minor_units(self, decimals: u32) -> Result<i64, ExactError> {
        let short = self.shortest();
        if short.decimals > decimals {
            return Err(ExactError::Fraction { number: self, decimals });
        }
        let units = short.scaled(decimals).and_then(|units| i64::try_from(units).ok());
        units.ok_or_else(|| ExactError::TooLong(self.to_string()))
    }

    fn scaled(self, decimals: u32) -> Option<i128> {
        10_i128.checked_pow(decimals.checked_sub(self.decimals)?)?.checked_mul(self.units)
    }

    fn shortest(mut self) -> Self {
        while self.decimals > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.decimals -= 1;
        }
        self
    }
}

/// The digits without marks between the groups; nothing if a mark is not before exactly three digits.
fn ungrouped(whole: &str, mark: Option<char>) -> Option<String> {
    let Some(mark) = mark else { return Some(whole.to_owned()) };
    let mut groups = whole.split(mark);
    let first = groups.next()?.to_owned();
    let rest: Vec<&str> = groups.collect();
    let well_grouped = rest.is_empty() || ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3));
    well_grouped.then(|| first + &rest.concat())
}

impl fmt::Display for Exact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative() {
            formatter.write_str("-")?;
        }
        let digits = self.units.unsigned_abs();
        if self.decimals == 0 {
            return write!(formatter, "{digits}");
        }
        let scale = 10_u128.pow(self.decimals);
        let width = self.decimals as usize;
        write!(formatter, "{}.{:0width$}", digits / scale, digits % scale)
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?, NumberFormat::default()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Exact, ExactError> {
        Exact::parse(text, NumberFormat { point: '.', thousands: Some(',') })
    }

    #[test]
    fn numbers_become_minor_units_without_rounding() {
        for (text, decimals, minor) in [
            ("1.00", 2, 100),
            ("-15.01", 2, -1501),
            ("0.1", 2, 10),
            ("1,234,567.89", 2, 123_456_789),
            ("+7", 2, 700),
            ("1000", 0, 1000),
            ("1.500000", 2, 150),
            ("92233720368547758.07", 2, i64::MAX),
            ("0.333", 3, 333),
        ] {
            assert_eq!(parse(text).and_then(|number| number.minor_units(decimals)), Ok(minor), "{text}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1.2.3", "1 000", "1e3", "NaN", "１", "1,00", "12,3456", ",123", "0x1"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse("0.005").unwrap().minor_units(2), Err(ExactError::Fraction { .. })));
        assert!(matches!(parse("1.5").unwrap().minor_units(0), Err(ExactError::Fraction { .. })));
        assert!(matches!(parse("92233720368547758.08").unwrap().minor_units(2), Err(ExactError::TooLong(_))));
        assert!(matches!(parse("1.0000000000000"), Err(ExactError::TooLong(_))));
    }

    #[test]
    fn a_comma_may_be_the_point() {
        let german = NumberFormat { point: ',', thousands: Some('.') };
        assert_eq!(Exact::parse("1.234,50", german).unwrap().minor_units(2), Ok(123_450));
    }

    proptest! {
        #[test]
        fn an_amount_written_out_reads_back_as_itself(minor in any::<i64>()) {
            let magnitude = minor.unsigned_abs();
            let sign = if minor < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100);
            let number = parse(&text).unwrap();
            prop_assert_eq!(number.minor_units(2), Ok(minor));
            prop_assert_eq!(number.to_string(), text);
        }

        #[test]
        fn sums_are_exact(left in -1_000_000_000_i64..1_000_000_000, right in -1_000_000_000_i64..1_000_000_000) {
            let number = |minor: i64| Exact { units: minor.into(), decimals: 5 };
            let sum = number(left).plus(number(right)).unwrap();
            prop_assert!(sum.equals(number(left + right)));
        }
    }
}
