//! `GET /v1/ledger/accounts/{account}/statement/export`: an account's statement as a download.
//!
//! What must always hold: opening, lines and closing come from one snapshot and add up, or the download breaks off visibly.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use quotary_projections::account_statements::AccountLine;
use quotary_projections::statement_walk::{AccountWalk, Walk as _};

use super::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::quota::export_statement::{Export, edge_time, period_facts};
use crate::quota::statement::bounds;
use crate::report::{Cell, Column, Kind, Report, ReportError, Row, between};
use crate::state::AppState;

const COLUMNS: [Column; 12] = [
    Column::new("position", "Position", Kind::Number, 6),
    Column::new("occurred_at", "Time", Kind::Time, 10),
    Column::new("recorded_at", "Recorded", Kind::Time, 0),
    Column::new("kind", "Kind", Kind::Text, 7),
    Column::new("journal_id", "Journal", Kind::Id, 15),
    Column::new("other_account", "Other account", Kind::Text, 18),
    Column::new("source_kind", "About", Kind::Text, 6),
    Column::new("source_id", "Id", Kind::Id, 0),
    Column::new("actor", "Who", Kind::Text, 0),
    Column::new("note", "Note", Kind::Text, 18),
    Column::new("change_minor", "Change", Kind::Minor, 9),
    Column::new("balance_minor", "Balance", Kind::Minor, 9),
];

/// An account's statement of a period as a download, however long: a line `opening`, the postings with running balance,
/// a line `closing`. Amounts are whole minor units.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/accounts/{account}/statement/export", tag = "ledger",
    params(("account" = String, Path, description = "Its name, e.g. `issuance` or `agent:<id>:available`"), Export),
    responses((status = 200, description = "The statement; a PDF of more than 10,000 lines is a ZIP archive of parts", content(
        (String = "text/csv"), (Vec<u8> = "application/pdf"), (Vec<u8> = "application/zip"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<Export>,
) -> Result<Response, Problem> {
    let period = bounds(query.from, query.to)?;
    let account = visible(&state, &actor, position, &name).await?;
    let walk = AccountWalk::begin(&state.pool, actor.tenant_id, &account, period).await?;
    let mut facts = vec![("Account".to_owned(), account.to_string())];
    facts.extend(period_facts(&period));
    facts.push(("Opening balance".to_owned(), walk.opening.to_string()));
    facts.push(("Closing balance".to_owned(), walk.closing.to_string()));
    facts.push(("Postings".to_owned(), walk.count().to_string()));
    let report = Report {
        title: format!("Statement of {account}"),
        file_name: format!("statement-{}", account.to_string().replace([':', '_'], "-")),
        sheet: "postings",
        facts,
        columns: &COLUMNS,
        row_count: walk.count() + 2,
        rows: between(
            edge("opening", period.from, walk.opening),
            edge("closing", period.to, walk.closing),
            walk.lines().map_err(ReportError::rows).map_ok(|lines| lines.into_iter().map(row).collect()),
        ),
    };
    Ok(report.into_answer(query.format.unwrap_or_default()))
}

/// The first or last row: what the account held there.
fn edge(kind: &str, at: DateTime<Utc>, balance: i64) -> Row {
    let mut cells = vec![Cell::Empty; COLUMNS.len()];
    cells[1] = edge_time(at);
    cells[3] = Cell::Text(kind.to_owned());
    cells[11] = Cell::Number(balance);
    Row::sum(cells)
}

fn row(line: AccountLine) -> Row {
    Row::new(vec![
        Cell::Number(line.position.cast_signed()),
        Cell::Time(line.occurred_at),
        Cell::Time(line.recorded_at),
        Cell::Text(line.kind),
        Cell::Id(line.journal_id.0),
        Cell::Text(line.other_account),
        Cell::Text(line.source_kind),
        Cell::Id(line.source_id),
        Cell::text(line.actor),
        Cell::text(line.note),
        Cell::Number(line.change),
        Cell::Number(line.balance),
    ])
}
