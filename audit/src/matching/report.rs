//! The report of a reconciliation, as JSON and as CSV.
//!
//! What must always hold: the same input gives the same bytes; a text in a cell is never a formula.

use std::borrow::Cow;
use std::io;

use serde::Serialize;

use super::finding::{Basis, Class, Finding, Reason};
use super::{Matching, Options};
use crate::bill::{Accounting, Aside, Encoding, StatedTotal};
use crate::item::Item;

/// What the report's form is called.
const FORM: &str = "quotary.reconciliation.external/1";

/// What was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Inputs {
    /// The provider's name.
    pub provider: String,
    /// SHA-256 of the bill's bytes.
    pub bill_sha256: String,
    /// SHA-256 of the mapping's text.
    pub mapping_sha256: String,
    /// SHA-256 of our side: the file's bytes, or the orders as they were read.
    pub orders_sha256: String,
    /// Of the bill.
    pub encoding: Encoding,
    /// Where every line of the bill went.
    pub accounting: Accounting,
    /// Totals that the bill states and its rows agree with.
    pub stated: Vec<StatedTotal>,
    /// Rows that are not about an order.
    pub aside: Vec<Aside>,
}

/// A report: what was compared, how, and what came out.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// What was compared.
    pub inputs: &'r Inputs,
    /// How.
    pub options: &'r Options,
    /// What came out.
    pub matching: &'r Matching,
}

/// The columns of the CSV.
pub const COLUMNS: [&str; 16] = [
    "class",
    "key",
    "basis",
    "reason",
    "difference",
    "side",
    "place",
    "id",
    "other_id",
    "payment",
    "reference",
    "kind",
    "amount",
    "currency",
    "state",
    "at",
];

#[derive(Serialize)]
struct Head<'r> {
    form: &'static str,
    inputs: &'r Inputs,
    options: &'r Options,
    totals: &'r super::Totals,
    findings: [(); 0],
}

/// What ends the JSON.
pub const JSON_END: &str = "]}";

#[derive(Serialize)]
struct Written<'r> {
    class: Class,
    key: &'r str,
    basis: Basis,
    reason: Option<Reason>,
    difference: Option<i128>,
    lines: Vec<&'r Item>,
    orders: Vec<&'r Item>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'r [String],
}

impl Matching {
    fn written<'r>(&'r self, finding: &'r Finding) -> Written<'r> {
        Written {
            class: finding.class,
            key: &finding.key,
            basis: finding.basis,
            reason: finding.reason,
            difference: finding.difference,
            lines: finding.lines.iter().map(|place| &self.lines[*place]).collect(),
            orders: finding.orders.iter().map(|place| &self.orders[*place]).collect(),
            candidates: &finding.candidates,
        }
    }

    /// One finding as JSON, as it stands in the report.
    ///
    /// # Errors
    /// Never: it is made of texts and numbers.
    pub fn finding_json(&self, finding: &Finding) -> serde_json::Result<String> {
        serde_json::to_string(&self.written(finding))
    }
}

impl Report<'_> {
    /// Writes the whole report as JSON: every finding with its items, in one fixed order.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn write_json(&self, mut out: impl io::Write) -> io::Result<()> {
        out.write_all(self.json_head()?.as_bytes())?;
        for (place, finding) in self.matching.findings.iter().enumerate() {
            if place > 0 {
                out.write_all(b",")?;
            }
            serde_json::to_writer(&mut out, &self.matching.written(finding))?;
        }
        out.write_all(JSON_END.as_bytes())
    }

    /// The JSON up to the first finding. Findings follow with commas between, then [`JSON_END`]; so a report that is kept in
    /// parts is put together again to the byte.
    ///
    /// # Errors
    /// Never: it is made of texts and numbers.
    pub fn json_head(&self) -> serde_json::Result<String> {
        let Self { inputs, options, matching } = *self;
        let head = Head { form: FORM, inputs, options, totals: &matching.totals, findings: [] };
        let mut text = serde_json::to_string(&head)?;
        text.truncate(text.len() - JSON_END.len());
        Ok(text)
    }

    /// Writes a table with a row for every line and every order.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn write_csv(&self, out: impl io::Write) -> csv::Result<()> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(COLUMNS)?;
        for row in self.rows() {
            writer.write_record(row.iter().map(|cell| inert(cell).into_owned()))?;
        }
        writer.flush()?;
        Ok(())
    }

    /// A row for every line and every order, in the order of the findings; the cells are those of [`COLUMNS`].
    pub fn rows(&self) -> impl Iterator<Item = [String; 16]> {
        let Self { matching, .. } = *self;
        matching.findings.iter().flat_map(move |finding| {
            let lines = finding.lines.iter().map(|place| ("line", &matching.lines[*place]));
            let orders = finding.orders.iter().map(|place| ("order", &matching.orders[*place]));
            let about = About {
                class: finding.class,
                key: &finding.key,
                basis: finding.basis,
                reason: finding.reason,
                difference: finding.difference,
            };
            lines.chain(orders).map(move |(side, item)| about.cells(side, item))
        })
    }
}

/// What the rows of one finding have in common.
#[derive(Clone, Copy)]
pub(super) struct About<'f> {
    pub class: Class,
    pub key: &'f str,
    pub basis: Basis,
    pub reason: Option<Reason>,
    pub difference: Option<i128>,
}

impl About<'_> {
    /// The row of one line or order.
    pub(super) fn cells(&self, side: &str, item: &Item) -> [String; 16] {
        [
            self.class.as_str().into(),
            self.key.to_owned(),
            name(&self.basis),
            self.reason.as_ref().map(name).unwrap_or_default(),
            self.difference.map(|difference| difference.to_string()).unwrap_or_default(),
            side.into(),
            item.place.to_string(),
            item.id.clone(),
            item.other_id.clone().unwrap_or_default(),
            item.payment.clone().unwrap_or_default(),
            item.group.clone().unwrap_or_default(),
            item.kind.as_str().into(),
            item.amount.to_string(),
            item.currency.to_string(),
            item.state.as_str().into(),
            item.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        ]
    }
}

/// A value's name as the JSON has it; a rule as `rule 2`.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

/// A cell that no spreadsheet takes for a formula: an apostrophe goes before what would start one. A number is none.
fn inert(text: &str) -> Cow<'_, str> {
    let number = text.strip_prefix('-').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !number && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
