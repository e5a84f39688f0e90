//! Quota: prepaid value in whole minor units, never negative and never a float.

use serde::{Deserialize, Serialize};

/// An amount of quota in minor units, from 0 to [`Quota::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quota(u64);

/// Why a number is no amount of quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// The number is below zero.
    #[error("an amount can't be negative, got {0}")]
    Negative(i64),
    /// The number or the result is above [`Quota::MAX`].
    #[error("an amount can't be more than {max}", max = Quota::MAX.minor_units())]
    TooLarge,
}

impl Quota {
    /// No quota.
    pub const ZERO: Self = Self(0);
    /// The largest amount: 2^53 − 1, which every JSON reader keeps exact.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// An amount of `minor_units`.
    ///
    /// # Errors
    /// [`QuotaError`] if it is negative or above [`Quota::MAX`].
    pub fn new(minor_units: i64) -> Result<Self, QuotaError> {
        let value = u64::try_from(minor_units).map_err(|_| QuotaError::Negative(minor_units))?;
        if value > Self::MAX.0 { Err(QuotaError::TooLarge) } else { Ok(Self(value)) }
    }

    /// The amount in minor units; always within `i64`.
    #[must_use]
    pub fn minor_units(self) -> i64 {
        self.0.cast_signed()
    }

    /// Whether this is no quota at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`QuotaError::TooLarge`] beyond [`Quota::MAX`].
    pub fn plus(self, other: Self) -> Result<Self, QuotaError> {
        match self.0.checked_add(other.0) {
            Some(sum) if sum <= Self::MAX.0 => Ok(Self(sum)),
            _ => Err(QuotaError::TooLarge),
        }
    }

    /// The difference, or `None` if `other` is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The price of `count` pieces.
    ///
    /// # Errors
    /// [`QuotaError::TooLarge`] beyond [`Quota::MAX`].
    pub fn times(self, count: u32) -> Result<Self, QuotaError> {
        match self.0.checked_mul(u64::from(count)) {
            Some(product) if product <= Self::MAX.0 => Ok(Self(product)),
            _ => Err(QuotaError::TooLarge),
        }
    }

    /// The part of this amount that the first `done` of `of` pieces cost, rounded down; all of it when `done == of`.
    ///
    /// Differences of consecutive shares add up to the whole, so a price that does not divide loses nothing.
    #[must_use]
    pub fn share(self, done: u32, of: u32) -> Self {
        if of == 0 || done >= of {
            return self;
        }
        let part = u128::from(self.0) * u128::from(done) / u128::from(of);
        Self(u64::try_from(part).unwrap_or(self.0))
    }

    /// The sum where both are known to be parts of one amount; stays at [`Quota::MAX`] otherwise.
    #[must_use]
    pub(crate) fn saturating_plus(self, other: Self) -> Self {
        self.plus(other).unwrap_or(Self::MAX)
    }

    /// The difference where `other` is known to be a part; zero otherwise.
    #[must_use]
    pub fn saturating_minus(self, other: Self) -> Self {
        self.minus(other).unwrap_or(Self::ZERO)
    }
}

impl TryFrom<i64> for Quota {
    type Error = QuotaError;
    fn try_from(minor_units: i64) -> Result<Self, Self::Error> {
        Self::new(minor_units)
    }
}

impl From<Quota> for i64 {
    fn from(quota: Quota) -> Self {
        quota.minor_units()
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_and_huge_numbers_are_no_quota() {
        assert_eq!(Quota::new(-1), Err(QuotaError::Negative(-1)));
        assert_eq!(Quota::new(i64::MAX), Err(QuotaError::TooLarge));
        assert_eq!(Quota::MAX.plus(Quota(1)), Err(QuotaError::TooLarge));
        assert_eq!(Quota::MAX.times(2), Err(QuotaError::TooLarge));
        assert!(serde_json::from_str::<Quota>("-5").is_err());
        assert!(serde_json::from_str::<Quota>("1.5").is_err());
    }

    #[test]
    fn shares_of_a_price_that_does_not_divide_add_up() {
        let price = Quota(7_700);
        let mut paid = 0;
        let mut before = Quota::ZERO;
        for done in 1..=3 {
            let now = price.share(done, 3);
            paid += now.0 - before.0;
            before = now;
        }
        assert_eq!(paid, 7_700);
    }
}
