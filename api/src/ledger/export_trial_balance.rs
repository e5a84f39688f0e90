//! `GET /v1/ledger/trial-balance/export`: the trial balance as a download.

use axum::extract::State;
use axum::response::Response;
use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use utoipa::IntoParams;

use super::trial_balance::{read, sums};
use crate::extract::{ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::quota::account::moment;
use crate::report::{Cell, Column, Format, Kind, Report, Row};
use crate::state::AppState;

const COLUMNS: [Column; 3] = [
    Column::new("account", "Account", Kind::Text, 4),
    Column::new("debit_minor", "Debit", Kind::Minor, 2),
    Column::new("credit_minor", "Credit", Kind::Minor, 2),
];

/// As of when, and in what form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Export {
    /// `csv`, `xlsx` or `pdf`; `csv` if absent.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<Format>,
    /// A position of the log, or a time in RFC 3339; now if absent.
    at: Option<String>,
}

/// The trial balance as a download: a line per account, and a last one `total`. Amounts are whole minor units.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/trial-balance/export", tag = "ledger", params(Export),
    responses((status = 200, description = "The trial balance", content(
        (String = "text/csv"), (Vec<u8> = "application/pdf"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(query): ApiQuery<Export>,
) -> Result<Response, Problem> {
    let at = query.at.as_deref().map(|text| moment("at", text)).transpose()?;
    let found = read(&state, &actor, position, at).await?;
    let (debit, credit) = sums(&found);
    let facts = vec![
        ("As of".to_owned(), query.at.unwrap_or_else(|| "now".to_owned())),
        ("Position of the log".to_owned(), found.position.to_string()),
        ("Total".to_owned(), found.total().to_string()),
    ];
    let amount = |amount: i64| if amount == 0 { Cell::Empty } else { Cell::Number(amount) };
    let mut rows: Vec<Row> = found
        .lines
        .iter()
        .map(|line| Row::new(vec![Cell::Text(line.account.clone()), amount(line.debit()), amount(line.credit())]))
        .collect();
    rows.push(Row::sum(vec![Cell::Text("total".to_owned()), Cell::Number(debit), Cell::Number(credit)]));
    let report = Report {
        title: "Trial balance".to_owned(),
        file_name: format!("trial-balance-{}", found.position),
        sheet: "accounts",
        facts,
        columns: &COLUMNS,
        row_count: rows.len() as u64,
        rows: stream::once(std::future::ready(Ok(rows))).boxed(),
    };
    Ok(report.into_answer(query.format.unwrap_or_default()))
}
