//! A report that was kept in parts, read again: its head, and the rows of each finding.
//!
//! What must always hold: the rows are those that the report had when it was made, cell by cell.

use serde::Deserialize;

use super::finding::{Basis, Class, Reason};
use super::report::{About, JSON_END};
use super::{Options, Totals};
use crate::bill::Encoding;
use crate::item::Item;

/// What stands above the findings of a kept report, as far as its readers ask for it.
#[derive(Clone, Debug, Deserialize)]
pub struct KeptHead {
    /// What was compared.
    pub inputs: KeptInputs,
    /// How.
    pub options: Options,
    /// By class, for both sides.
    pub totals: Totals,
}

/// What was compared: the names of the inputs.
#[derive(Clone, Debug, Deserialize)]
pub struct KeptInputs {
    /// The provider's name.
    pub provider: String,
    /// SHA-256 of the bill's bytes.
    pub bill_sha256: String,
    /// SHA-256 of the mapping's text.
    pub mapping_sha256: String,
    /// SHA-256 of our side.
    pub orders_sha256: String,
    /// Of the bill.
    pub encoding: Encoding,
}

impl KeptHead {
    /// Reads what [`Report::json_head`](super::Report::json_head) wrote.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn read(head: &str) -> serde_json::Result<Self> {
        serde_json::from_str(&format!("{head}{JSON_END}"))
    }

    /// How many findings follow.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.totals.findings.values().sum()
    }
}

#[derive(Deserialize)]
struct Kept {
    class: Class,
    key: String,
    basis: Basis,
    reason: Option<Reason>,
    difference: Option<i128>,
    lines: Vec<Item>,
    orders: Vec<Item>,
}

/// The rows of one finding that [`Matching::finding_json`](super::Matching::finding_json) wrote: those of
/// [`Report::rows`](super::Report::rows).
///
/// # Errors
/// If it is anything else.
pub fn rows_of(finding: &str) -> serde_json::Result<Vec<[String; 16]>> {
    let Kept { class, key, basis, reason, difference, lines, orders } = serde_json::from_str(finding)?;
    let about = About { class, key: &key, basis, reason, difference };
    let lines = lines.iter().map(|item| about.cells("line", item));
    Ok(lines.chain(orders.iter().map(|item| about.cells("order", item))).collect())
}
