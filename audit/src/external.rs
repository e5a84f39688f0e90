//! One external reconciliation from bytes to report.
//!
//! What must always hold: the result follows from mapping, bill, orders and options alone, and names all of them by digest.

use sha2::{Digest as _, Sha256};

use crate::bill::{self, Bill, BillError, Mapping, MappingError};
use crate::item::Item;
use crate::matching::{self, Inputs, Matching, MatchingError, Options, Report};

/// Why no comparison came about.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The mapping is none.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The bill can't be read.
    #[error("the bill can't be read: {0}")]
    Bill(#[from] BillError),
    /// Our side, which came from a file, can't be read.
    #[error("the orders can't be read: {0}")]
    Orders(#[source] BillError),
    /// The input is out of range.
    #[error(transparent)]
    Matching(#[from] MatchingError),
}

/// Our side.
#[derive(Clone, Debug)]
pub struct Orders {
    items: Vec<Item>,
    sha256: String,
}

impl Orders {
    /// From a file, read like a bill.
    ///
    /// # Errors
    /// [`ExternalError::Orders`] says which line is wrong.
    pub fn from_file(mapping: &Mapping, bytes: &[u8]) -> Result<Self, ExternalError> {
        let Bill { items, sha256, .. } = bill::read(mapping, bytes).map_err(ExternalError::Orders)?;
        Ok(Self { items, sha256: hex(&sha256) })
    }

    /// From elsewhere; the digest is over the sorted items, so that their order does not matter.
    #[must_use]
    pub fn from_items(mut items: Vec<Item>) -> Self {
        items.sort_unstable();
        let mut digest = Sha256::new();
        for item in &items {
            let Item { kind, id, at, place, other_id, payment, group, amount, currency, state, fee: _ } = item;
            let text = |text: &Option<String>| text.as_deref().map(|text| format!("{}:{text}", text.len()));
            let line = format!(
                "{place} {} {}:{id} {} {:?} {:?} {:?} {amount} {currency} {}\n",
                kind.as_str(),
                id.len(),
                at.timestamp_micros(),
                text(other_id),
                text(payment),
                text(group),
                state.as_str(),
            );
            digest.update(line);
        }
        Self { items, sha256: hex(&digest.finalize()) }
    }
}

/// What was compared and what came out.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was compared.
    pub inputs: Inputs,
    /// How.
    pub options: Options,
    /// What came out.
    pub matching: Matching,
}

impl Comparison {
    /// The report.
    #[must_use]
    pub const fn report(&self) -> Report<'_> {
        Report { inputs: &self.inputs, options: &self.options, matching: &self.matching }
    }
}

/// Reads a bill by the text of a mapping and compares it with our orders.
///
/// # Errors
/// [`ExternalError`] says what is wrong with which of them.
pub fn compare(mapping: &str, bytes: &[u8], orders: Orders, options: Options) -> Result<Comparison, ExternalError> {
    let parsed = Mapping::parse(mapping)?;
    let Bill { items, aside, accounting, stated, encoding, sha256 } = bill::read(&parsed, bytes)?;
    let inputs = Inputs {
        provider: parsed.provider,
        bill_sha256: hex(&sha256),
        mapping_sha256: hex(&Sha256::digest(mapping)),
        orders_sha256: orders.sha256,
        encoding,
        accounting,
        stated,
        aside,
    };
    let matching = matching::reconcile(items, orders.items, &options)?;
    Ok(Comparison { inputs, options, matching })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string can't fail");
        text
    })
}
