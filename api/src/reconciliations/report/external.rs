//! The report of a bill's reconciliation: a row for every line and every order.
//!
//! What must always hold: the rows of each class add up to the totals of the report's head, in number and in money, or the
//! download breaks off.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt as _;
use futures::stream::{self, StreamExt as _};
use quotary_audit::matching::{ClassTotal, KeptHead, Totals, rows_of};
use quotary_commands::clock;
use quotary_projections::reconciliation_walk::{FindingWalk, KeptFinding};
use quotary_projections::statement_walk::Walk as _;

use super::{CaseNow, document, facts, file_name};
use crate::problem::Problem;
use crate::reconciliations::answer::Reconciliation;
use crate::report::{Cell, Column, DataFormat, Kind, Ready, Report, ReportError, Row, Rows, json_answer};

/// First those of the report that `quotary reconcile bill` writes.
const COLUMNS: [Column; 21] = [
    Column::new("class", "Class", Kind::Text, 9),
    Column::new("key", "Finding", Kind::Text, 17),
    Column::new("basis", "Found by", Kind::Text, 0),
    Column::new("reason", "Why", Kind::Text, 8),
    Column::new("difference", "Lines − orders", Kind::Minor, 8),
    Column::new("side", "Side", Kind::Text, 4),
    Column::new("place", "Place", Kind::Number, 0),
    Column::new("id", "Number", Kind::Text, 15),
    Column::new("other_id", "Other side's number", Kind::Text, 12),
    Column::new("payment", "Payment", Kind::Text, 0),
    Column::new("reference", "Reference", Kind::Text, 0),
    Column::new("kind", "Kind", Kind::Text, 5),
    Column::new("amount", "Amount", Kind::Minor, 9),
    Column::new("currency", "Cur.", Kind::Text, 4),
    Column::new("state", "State", Kind::Text, 7),
    Column::new("at", "Time", Kind::Time, 9),
    Column::new("count", "Count", Kind::Number, 5),
    Column::new("case_id", "Case", Kind::Id, 0),
    Column::new("case_status", "Case", Kind::Text, 6),
    Column::new("case_opened_at", "Open since", Kind::Time, 0),
    Column::new("case_age_hours", "Hours", Kind::Number, 4),
];
/// Places of the columns that are more than text, and of those that totals are of.
const DIFFERENCE: usize = 4;
const SIDE: usize = 5;
const PLACE: usize = 6;
const KIND: usize = 11;
const AMOUNT: usize = 12;
const CURRENCY: usize = 13;
const AT: usize = 15;
const COUNT: usize = 16;

/// The answer to a request for the report.
pub(super) fn answer(walk: FindingWalk, format: DataFormat) -> Result<Response, Problem> {
    let head = KeptHead::read(&walk.head).map_err(|error| Problem::internal(&error))?;
    if head.findings() != walk.count {
        return Err(Problem::internal(&ReportError::Totals));
    }
    let file_name = file_name(walk.run());
    let Some(format) = format.table() else { return Ok(json_answer(&file_name, json(walk))) };
    let made_at = clock::now();
    let mut facts = facts(&Reconciliation::of(walk.run().clone(), None), made_at);
    facts.extend(inputs(&head));
    let totals = totals(&head.totals);
    let items: u64 = totals.iter().map(|(_, total)| total.count).sum();
    let report = Report {
        title: format!("Reconciliation with a bill of {}", head.inputs.provider),
        file_name,
        sheet: "lines and orders",
        facts,
        columns: &COLUMNS,
        row_count: items + totals.len() as u64,
        rows: rows(walk, totals, made_at),
    };
    Ok(report.into_answer(format))
}

/// What was compared, and how.
fn inputs(head: &KeptHead) -> Vec<(String, String)> {
    let KeptHead { inputs, options, totals } = head;
    let mut facts = vec![
        ("Provider".to_owned(), inputs.provider.clone()),
        ("SHA-256 of the bill".to_owned(), inputs.bill_sha256.clone()),
        ("SHA-256 of the mapping".to_owned(), inputs.mapping_sha256.clone()),
        ("SHA-256 of the orders".to_owned(), inputs.orders_sha256.clone()),
        ("Tolerance".to_owned(), options.tolerance.to_string()),
    ];
    if let Some(period) = options.period {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        facts.push(("From".to_owned(), time(period.from)));
        facts.push(("To (not included)".to_owned(), time(period.to)));
    }
    for (number, rule) in (1..).zip(&options.rules) {
        facts.push((format!("Rule {number}"), format!("within {} and {} days", rule.tolerance, rule.days)));
    }
    facts.extend(totals.findings.iter().map(|(class, count)| (class.as_str().to_owned(), format!("{count} findings"))));
    facts
}

/// The totals of both sides, with the side that each is of.
fn totals(totals: &Totals) -> Vec<(&'static str, ClassTotal)> {
    let lines = totals.lines.iter().map(|total| ("line", *total));
    lines.chain(totals.orders.iter().map(|total| ("order", *total))).collect()
}

/// What was delivered of each side, class, kind and currency: how many, and how much.
type Delivered = BTreeMap<[String; 4], (u64, i128)>;

/// Where the table stands.
struct Table {
    walk: FindingWalk,
    totals: Vec<(&'static str, ClassTotal)>,
    delivered: Delivered,
    made_at: DateTime<Utc>,
}

/// Every line and order, then the totals.
fn rows(walk: FindingWalk, totals: Vec<(&'static str, ClassTotal)>, made_at: DateTime<Utc>) -> Rows {
    let table = Table { walk, totals, delivered: Delivered::new(), made_at };
    stream::try_unfold(Some(table), |table| async move {
        let Some(mut table) = table else { return Ok(None) };
        let found = table.walk.next().await.map_err(ReportError::rows)?;
        if found.is_empty() {
            return Ok(Some((table.last()?, None)));
        }
        let mut rows = Vec::with_capacity(found.len() * 2);
        for finding in found {
            table.add(&finding, &mut rows)?;
        }
        Ok(Some((rows, Some(table))))
    })
    .boxed()
}

impl Table {
    /// The rows of a finding.
    fn add(&mut self, finding: &KeptFinding, rows: &mut Vec<Row>) -> Result<(), ReportError> {
        let case = CaseNow::of(finding.case, self.made_at);
        for cells in rows_of(&finding.text)? {
            let key = [SIDE, 0, KIND, CURRENCY].map(|place| cells[place].clone());
            let sums = self.delivered.entry(key).or_default();
            sums.0 += 1;
            sums.1 += cells[AMOUNT].parse::<i128>().map_err(ReportError::rows)?;
            let mut cells: Vec<Cell> = cells.into_iter().enumerate().map(|(place, text)| cell(place, text)).collect();
            cells.push(Cell::Number(1));
            cells.extend(case.cells(finding.case_id));
            rows.push(Row::new(cells));
        }
        Ok(())
    }

    /// The totals, if they are those of the rows.
    fn last(&self) -> Result<Vec<Row>, ReportError> {
        let said = self.totals.iter().map(|(side, total)| {
            let names = [*side, total.class.as_str(), total.kind.as_str(), total.currency.as_str()];
            (names.map(str::to_owned), (total.count, total.amount))
        });
        if said.collect::<Delivered>() != self.delivered {
            return Err(ReportError::Totals);
        }
        Ok(self.totals.iter().map(|(side, total)| total_row(side, total)).collect())
    }
}

fn total_row(side: &str, total: &ClassTotal) -> Row {
    let mut cells = vec![Cell::Empty; COLUMNS.len()];
    cells[0] = Cell::Text(total.class.as_str().to_owned());
    cells[1] = Cell::Text("total".to_owned());
    cells[SIDE] = Cell::Text(side.to_owned());
    cells[KIND] = Cell::Text(total.kind.as_str().to_owned());
    cells[AMOUNT] = number(total.amount.to_string());
    cells[CURRENCY] = Cell::Text(total.currency.to_string());
    cells[COUNT] = Cell::Number(total.count.cast_signed());
    Row::sum(cells)
}

/// A cell of the report as what its column holds.
fn cell(place: usize, text: String) -> Cell {
    match place {
        _ if text.is_empty() => Cell::Empty,
        DIFFERENCE | PLACE | AMOUNT => number(text),
        AT => match text.parse() {
            Ok(time) => Cell::Time(time),
            Err(_) => Cell::Text(text),
        },
        _ => Cell::Text(text),
    }
}

/// A number; one that is too large for a cell stays as its digits.
fn number(text: String) -> Cell {
    match text.parse() {
        Ok(number) => Cell::Number(number),
        Err(_) => Cell::Text(text),
    }
}

/// The head, the findings run by run, and the end.
fn json(mut walk: FindingWalk) -> Ready {
    let head = std::mem::take(&mut walk.head);
    let parts = walk.lines().map_err(ReportError::rows).map_ok(|found| {
        let mut part = String::new();
        for finding in &found {
            if finding.number > 1 {
                part.push(',');
            }
            part.push_str(&finding.text);
        }
        Bytes::from(part)
    });
    document(head, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_the_report_and_their_places_are_right() {
        let names = COLUMNS.map(|column| column.name);
        assert_eq!(names[..COUNT], quotary_audit::matching::COLUMNS);
        for (place, name) in [
            (DIFFERENCE, "difference"),
            (SIDE, "side"),
            (PLACE, "place"),
            (KIND, "kind"),
            (AMOUNT, "amount"),
            (CURRENCY, "currency"),
            (AT, "at"),
            (COUNT, "count"),
        ] {
            assert_eq!(names[place], name);
        }
    }

    #[test]
    fn a_number_too_large_for_a_cell_keeps_its_digits() {
        let text = (i128::from(i64::MAX) + 1).to_string();
        assert!(matches!(cell(AMOUNT, text.clone()), Cell::Text(found) if found == text));
        assert!(matches!(cell(DIFFERENCE, "-7".to_owned()), Cell::Number(-7)));
        assert!(matches!(cell(KIND, String::new()), Cell::Empty));
    }
}
