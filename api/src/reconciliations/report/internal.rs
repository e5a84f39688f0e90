//! The report of an internal reconciliation: the read models with the log.
//!
//! What must always hold: of a run of the whole installation only what concerns the tenant; the last row says how the run
//! ended, so that a table without head is never mistaken for a pass.

use axum::body::Bytes;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use futures::future::ready;
use futures::stream::{self, StreamExt as _};
use quotary_audit::matching::JSON_END;
use quotary_commands::clock;
use quotary_projections::reconciliation_walk::{CaseThen, DifferenceWalk};
use quotary_projections::reconciliations::{self, INSTALLATION};
use quotary_projections::statement_walk::Walk as _;
use serde::Serialize;

use super::{CaseNow, document, facts, file_name};
use crate::problem::Problem;
use crate::reconciliations::answer::Reconciliation;
use crate::reconciliations::differences::Difference;
use crate::report::{Cell, Column, DataFormat, Kind, Ready, Report, ReportError, Row, Rows, json_answer};

/// What the JSON's form is called.
const FORM: &str = "quotary.reconciliation.internal/1";

const COLUMNS: [Column; 12] = [
    Column::new("line", "Line", Kind::Number, 4),
    Column::new("class", "Class", Kind::Text, 7),
    Column::new("source", "Where", Kind::Text, 8),
    Column::new("key", "Row", Kind::Text, 17),
    Column::new("ours", "The log says", Kind::Text, 18),
    Column::new("theirs", "The read model says", Kind::Text, 18),
    Column::new("amount_minor", "By", Kind::Minor, 8),
    Column::new("position", "Position", Kind::Number, 6),
    Column::new("case_id", "Case", Kind::Id, 0),
    Column::new("case_status", "Case", Kind::Text, 6),
    Column::new("case_opened_at", "Open since", Kind::Time, 9),
    Column::new("case_age_hours", "Hours", Kind::Number, 4),
];

/// How the run ended, in words.
struct Ending {
    run: Reconciliation,
    is_all: bool,
}

impl Ending {
    fn of(walk: &DifferenceWalk) -> Self {
        let own = walk.counts.iter().map(|(class, count)| (class.as_str(), *count)).collect();
        let own = (walk.run().tenant_id == INSTALLATION).then_some(own);
        Self { run: Reconciliation::of(walk.run().clone(), own), is_all: walk.is_all }
    }

    fn text(&self) -> String {
        let Reconciliation { reason, detail, counts, .. } = &self.run;
        match counts {
            None => {
                let reason = reason.as_deref().unwrap_or("no reason is known");
                let detail = detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                format!("incomplete: {reason}{detail}")
            }
            Some(_) if !self.is_all => "differences, of which the run found more than it kept".to_owned(),
            Some(counts) if counts.is_empty() => "passed".to_owned(),
            Some(counts) => {
                let text = counts.iter().map(|(class, count)| format!("{count} {class}")).collect::<Vec<_>>();
                format!("differences: {}", text.join(", "))
            }
        }
    }
}

/// The answer to a request for the report.
pub(super) fn answer(walk: DifferenceWalk, format: DataFormat) -> Result<Response, Problem> {
    let (ending, made_at) = (Ending::of(&walk), clock::now());
    let file_name = file_name(walk.run());
    let Some(format) = format.table() else {
        let head = head(&ending, made_at).map_err(|error| Problem::internal(&error))?;
        return Ok(json_answer(&file_name, json(walk, head, made_at)));
    };
    let mut facts = facts(&ending.run, made_at);
    facts.push(("Result".to_owned(), ending.text()));
    facts.push(("Differences".to_owned(), walk.count.to_string()));
    facts.extend(walk.counts.iter().map(|(class, count)| (class.as_str().to_owned(), count.to_string())));
    let report = Report {
        title: "Reconciliation of the read models with the log".to_owned(),
        file_name,
        sheet: "differences",
        facts,
        columns: &COLUMNS,
        row_count: walk.count + 1,
        rows: rows(walk, &ending, made_at),
    };
    Ok(report.into_answer(format))
}

/// The differences, then how the run ended.
fn rows(walk: DifferenceWalk, ending: &Ending, made_at: DateTime<Utc>) -> Rows {
    let row = move |(difference, case)| row(difference, case, made_at);
    let rows = walk.lines().map_err(ReportError::rows).map_ok(move |found| found.into_iter().map(row).collect());
    rows.chain(stream::once(ready(Ok(vec![last(ending)])))).boxed()
}

fn row(found: reconciliations::Difference, case: Option<CaseThen>, made_at: DateTime<Utc>) -> Row {
    let number = |number: u64| Cell::Number(number.cast_signed());
    let mut cells = vec![
        number(found.line),
        Cell::Text(found.class.as_str().to_owned()),
        Cell::Text(found.source),
        Cell::Text(found.key),
        Cell::text(found.ours),
        Cell::text(found.theirs),
        found.amount.map_or(Cell::Empty, Cell::Number),
        found.position.map_or(Cell::Empty, number),
    ];
    cells.extend(CaseNow::of(case, made_at).cells(found.case_id));
    Row::new(cells)
}

fn last(ending: &Ending) -> Row {
    let mut cells = vec![Cell::Empty; COLUMNS.len()];
    cells[1] = Cell::Text("result".to_owned());
    cells[2] = Cell::Text("run".to_owned());
    cells[3] = Cell::Text(ending.run.id.to_string());
    cells[4] = Cell::Text(ending.text());
    cells[7] = ending.run.position.map_or(Cell::Empty, |position| Cell::Number(position.cast_signed()));
    Row::sum(cells)
}

#[derive(Serialize)]
struct Head<'r> {
    form: &'static str,
    made_at: DateTime<Utc>,
    run: &'r Reconciliation,
    /// Whether the run kept all that it found.
    all_kept: bool,
    differences: [(); 0],
}

#[derive(Serialize)]
struct Reported {
    #[serde(flatten)]
    difference: Difference,
    #[serde(flatten)]
    case: CaseNow,
}

/// The JSON up to the first difference.
fn head(ending: &Ending, made_at: DateTime<Utc>) -> serde_json::Result<String> {
    let head = Head { form: FORM, made_at, run: &ending.run, all_kept: ending.is_all, differences: [] };
    let mut text = serde_json::to_string(&head)?;
    text.truncate(text.len() - JSON_END.len());
    Ok(text)
}

/// The head, the differences run by run, and the end.
fn json(walk: DifferenceWalk, head: String, made_at: DateTime<Utc>) -> Ready {
    let parts = walk.lines().map_err(ReportError::rows).enumerate().map(move |(run, found)| {
        let mut part = Vec::new();
        for (place, (difference, case)) in found?.into_iter().enumerate() {
            if place > 0 || run > 0 {
                part.push(b',');
            }
            let reported = Reported { difference: difference.into(), case: CaseNow::of(case, made_at) };
            serde_json::to_writer(&mut part, &reported)?;
        }
        Ok(Bytes::from(part))
    });
    document(head, parts)
}
