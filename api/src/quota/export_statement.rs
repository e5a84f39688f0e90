//! `GET /v1/quota/accounts/{agent_id}/statement/export`: an agent's statement as a download.
//!
//! What must always hold: opening, lines and closing come from one snapshot and add up, or the download breaks off visibly.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt as _;
use quotary_domain::AccountId;
use quotary_projections::statement_walk::{AgentWalk, Period, Walk as _};
use quotary_projections::statements::{Amounts, StatementLine};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::account::visible;
use super::statement::{bounds, end_of_time};
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Time};
use crate::problem::Problem;
use crate::report::{Cell, Column, Format, Kind, Report, ReportError, Row, between};
use crate::state::AppState;

const COLUMNS: [Column; 15] = [
    Column::new("position", "Position", Kind::Number, 6),
    Column::new("occurred_at", "Time", Kind::Time, 10),
    Column::new("recorded_at", "Recorded", Kind::Time, 0),
    Column::new("kind", "Kind", Kind::Text, 7),
    Column::new("journal_id", "Journal", Kind::Id, 0),
    Column::new("source_kind", "About", Kind::Text, 6),
    Column::new("source_id", "Id", Kind::Id, 15),
    Column::new("counterparty", "Other agent", Kind::Id, 0),
    Column::new("counter_account", "Other account", Kind::Text, 12),
    Column::new("actor", "Who", Kind::Text, 0),
    Column::new("note", "Note", Kind::Text, 16),
    Column::new("change_available_minor", "Available ±", Kind::Minor, 9),
    Column::new("change_held_minor", "Held ±", Kind::Minor, 8),
    Column::new("balance_available_minor", "Available", Kind::Minor, 9),
    Column::new("balance_held_minor", "Held", Kind::Minor, 8),
];

/// Which period, and in what form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Export {
    /// `csv`, `xlsx` or `pdf`; `csv` if absent.
    #[param(value_type = Option<String>, example = "csv")]
    pub format: Option<Format>,
    /// The beginning (included), in RFC 3339; the very beginning if absent.
    #[param(value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// The end (not included), in RFC 3339; none if absent.
    #[param(value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
}

/// An agent's statement of a period as a download, however long: a line `opening`, the movements with running balance, a
/// line `closing`. Amounts are whole minor units.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/quota/accounts/{agent_id}/statement/export", tag = "quota",
    params(("agent_id" = Uuid, Path, description = "The agent"), Export),
    responses((status = 200, description = "The statement; a PDF of more than 10,000 lines is a ZIP archive of parts", content(
        (String = "text/csv"), (Vec<u8> = "application/pdf"), (Vec<u8> = "application/zip"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<Export>,
) -> Result<Response, Problem> {
    let period = bounds(query.from, query.to)?;
    let agent = visible(&state, &actor, position, AccountId(id)).await?;
    let walk = AgentWalk::begin(&state.pool, actor.tenant_id, agent, period).await?;
    let both = |amounts: Amounts| format!("{} available, {} held", amounts.available, amounts.held);
    let mut facts = vec![("Agent".to_owned(), id.to_string())];
    facts.extend(period_facts(&period));
    facts.push(("Opening balance".to_owned(), both(walk.opening)));
    facts.push(("Closing balance".to_owned(), both(walk.closing)));
    facts.push(("Movements".to_owned(), walk.count().to_string()));
    let report = Report {
        title: format!("Statement of agent {id}"),
        file_name: format!("statement-{id}"),
        sheet: "movements",
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

/// The facts about a period.
pub(crate) fn period_facts(period: &Period) -> [(String, String); 2] {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let from = if period.from == DateTime::UNIX_EPOCH { "the beginning".to_owned() } else { time(period.from) };
    let to = if period.to == end_of_time() { "now".to_owned() } else { time(period.to) };
    [("From (included)".to_owned(), from), ("To (not included)".to_owned(), to)]
}

/// A bound of a period in a row; nothing where there is none.
pub(crate) fn edge_time(at: DateTime<Utc>) -> Cell {
    if at == DateTime::UNIX_EPOCH || at == end_of_time() { Cell::Empty } else { Cell::Time(at) }
}

/// The first or last row: what the agent held there.
fn edge(kind: &str, at: DateTime<Utc>, balance: Amounts) -> Row {
    let mut cells = vec![Cell::Empty; COLUMNS.len()];
    cells[1] = edge_time(at);
    cells[3] = Cell::Text(kind.to_owned());
    cells[13] = Cell::Number(balance.available);
    cells[14] = Cell::Number(balance.held);
    Row::sum(cells)
}

fn row(line: StatementLine) -> Row {
    Row::new(vec![
        Cell::Number(line.position.cast_signed()),
        Cell::Time(line.occurred_at),
        Cell::Time(line.recorded_at),
        Cell::Text(line.kind),
        Cell::Id(line.journal_id.0),
        Cell::Text(line.source_kind),
        Cell::Id(line.source_id),
        Cell::id(line.counterparty.map(|agent| agent.0)),
        Cell::text(line.counter_account),
        Cell::text(line.actor),
        Cell::text(line.note),
        Cell::Number(line.change.available),
        Cell::Number(line.change.held),
        Cell::Number(line.balance.available),
        Cell::Number(line.balance.held),
    ])
}
