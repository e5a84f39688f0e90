//! One payment or refund as one side knows it: a line of a provider's bill, or an order of ours.
//!
//! What must always hold: an amount is a whole number of minor units and never negative; `kind` says in which direction
//! it went.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bill::Exact;

/// What a line or an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Money came in.
    Sale,
    /// Money went back.
    Refund,
}

impl Kind {
    /// Its name, as the mapping files and the reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Refund => "refund",
        }
    }
}

/// How far a payment or refund got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The money moved.
    Completed,
    /// It is under way.
    Pending,
    /// It did not happen, and will not.
    Failed,
}

impl State {
    /// Its name, as the mapping files and the reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code of three letters, large or small.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphabetic).then(|| Self(bytes.map(|byte| byte.to_ascii_uppercase())))
    }

    /// The code in capital letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Three letters, checked when it was made.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many digits of a major unit are minor units, by ISO 4217.
    #[must_use]
    pub fn decimals(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| D::Error::custom(format!("`{code}` is no currency")))
    }
}

/// A payment or refund as one side knows it.
///
/// The order of the fields is the order in which items are sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// Direction.
    pub kind: Kind,
    /// The side's own number of it, unique within its kind.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The line in its file, or its place in the list it came from.
    pub place: u64,
    /// The other side's number of it, as this side recorded it.
    pub other_id: Option<String>,
    /// The provider's number of the payment that a refund is of.
    pub payment: Option<String>,
    /// A reference that binds several: a payout, a settlement, a combined payment.
    pub group: Option<String>,
    /// In minor units, never negative.
    pub amount: i64,
    /// Of the amount.
    pub currency: Currency,
    /// How far it got.
    pub state: State,
    /// What the provider took for it; may have more digits than the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Exact>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_three_letters_and_knows_its_minor_units() {
        assert_eq!(Currency::parse("cny").map(|currency| currency.to_string()), Some("CNY".into()));
        assert_eq!(Currency::parse("JPY").map(Currency::decimals), Some(0));
        assert_eq!(Currency::parse("KWD").map(Currency::decimals), Some(3));
        assert_eq!(Currency::parse("EUR").map(Currency::decimals), Some(2));
        for wrong in ["", "EU", "EURO", "E1R", "元元元"] {
            assert_eq!(Currency::parse(wrong), None, "{wrong}");
        }
    }
}
