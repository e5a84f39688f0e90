//! Rows of a bill that are not about an order: payouts, fees, corrections.
//!
//! What must always hold: they are counted and added up under the name of the rule that set them aside.

use serde::Serialize;

use crate::item::Currency;

/// The rows that one rule set aside, by currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// The rule's name.
    pub name: String,
    /// Of the amounts, if the rule names one.
    pub currency: Option<Currency>,
    /// How many rows.
    pub rows: u64,
    /// Their amounts together, with sign, in minor units.
    pub amount: i128,
}
