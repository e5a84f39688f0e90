//! `GET /v1/reconciliations/{id}/report`: what a reconciliation found, as a download.
//!
//! What must always hold: run, rows and cases come from one snapshot, and every row comes or the download breaks off visibly;
//! a run that was not completed never looks like a pass; the JSON of a bill's run has the SHA-256 that the log has of it,
//! however often it is asked for.

mod external;
mod internal;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::Stream;
use futures::future::ready;
use futures::stream::{self, StreamExt as _};
use quotary_audit::matching::JSON_END;
use quotary_domain::reconciliation::RunKind;
use quotary_domain::{Actor, CaseId, ReconciliationId};
use quotary_projections::cases;
use quotary_projections::reconciliation_walk::{CaseThen, RunWalk};
use quotary_projections::reconciliations::{INSTALLATION, NAME, Run, RunStatus};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::Reconciliation;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition};
use crate::problem::{Code, Problem};
use crate::report::{Cell, DataFormat, Ready, ReportError};
use crate::state::AppState;

/// In what form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `json`, `csv`, `xlsx` or `pdf`; `json` if absent.
    #[param(value_type = Option<String>, example = "json")]
    format: Option<DataFormat>,
}

/// The whole report of a run that has ended, as a download.
///
/// Of a bill's run: inputs with their digests, options, totals by class, and every finding with its lines and orders. Of an
/// internal run: what it compared, how it ended, and every difference that concerns the tenant, with its case.
///
/// # Errors
/// `not-found`; `wrong-status` if the run has not ended, or is a bill's that could not be completed.
#[utoipa::path(get, path = "/v1/reconciliations/{id}/report", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The run"), ReportQuery),
    responses((status = 200, description = "The report; a PDF of more than 10,000 lines is a ZIP archive of parts", content(
        (Object = "application/json"), (String = "text/csv"), (Vec<u8> = "application/pdf"), (Vec<u8> = "application/zip"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<ReportQuery>,
) -> Result<Response, Problem> {
    let id = ReconciliationId(id);
    // What the log has of the run, the answer has: who saw its end there need not wait and ask again.
    let known = last_position(&state, &actor, id).await?;
    MinPosition(position.0.max(Some(known))).wait(&state, &[NAME, cases::NAME]).await?;
    let walk = RunWalk::begin(&state.pool, actor.tenant_id, id).await?;
    let walk = walk.ok_or_else(|| Problem::not_found("reconciliation"))?;
    let format = query.format.unwrap_or_default();
    let mut answer = match (walk.run.status, walk.run.request.subject.kind()) {
        (RunStatus::Requested, _) => Err(Problem::new(Code::WrongStatus, "the reconciliation has not ended yet")),
        (RunStatus::Completed | RunStatus::Incomplete, RunKind::Internal) => {
            internal::answer(walk.differences().await?, format)
        }
        (RunStatus::Incomplete, RunKind::External) => {
            let reason = walk.run.reason.unwrap_or_default();
            let detail = format!("the reconciliation could not be completed ({reason}), so it has no report");
            Err(Problem::new(Code::WrongStatus, detail))
        }
        (RunStatus::Completed, RunKind::External) => match walk.findings().await? {
            Some(walk) => external::answer(walk, format),
            None => Err(Problem::new(Code::NotFound, "the report of the reconciliation is not kept")),
        },
    }?;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// The position of a run's last event.
async fn last_position(state: &AppState, actor: &Actor, id: ReconciliationId) -> Result<u64, Problem> {
    let position: Option<i64> = sqlx::query_scalar(
        "select max(position) from events where aggregate_type = 'Reconciliation' and aggregate_id = $1 \
         and tenant_id in ($2, $3)",
    )
    .bind(id.to_string())
    .bind(actor.tenant_id.0)
    .bind(INSTALLATION.0)
    .fetch_one(&state.pool)
    .await?;
    position.map(i64::cast_unsigned).ok_or_else(|| Problem::not_found("reconciliation"))
}

/// A JSON document up to its rows, the rows, and its end.
fn document(head: String, rows: impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static) -> Ready {
    let alone = |bytes| stream::once(ready(Ok(bytes)));
    alone(Bytes::from(head)).chain(rows).chain(alone(Bytes::from_static(JSON_END.as_bytes()))).boxed()
}

/// The name of a run's file, without the ending.
fn file_name(run: &Run) -> String {
    format!("reconciliation-{}", run.id)
}

/// What every report says of its run.
fn facts(run: &Reconciliation, made_at: DateTime<Utc>) -> Vec<(String, String)> {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut facts = vec![
        ("Run".to_owned(), run.id.to_string()),
        ("Kind".to_owned(), run.kind.to_owned()),
        ("Asked for".to_owned(), time(run.requested_at)),
    ];
    let more = [
        ("Asked for by", run.requested_by.map(|id| id.to_string())),
        ("Ended", run.ended_at.map(time)),
        ("Events after position", run.from_position.map(|position| position.to_string())),
        ("Up to position", run.position.map(|position| position.to_string())),
        ("SHA-256 of the log", run.log_digest.clone()),
        ("Report made", Some(time(made_at))),
    ];
    facts.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    facts
}

/// The case about a row, as it stands when the report is made.
#[derive(Debug, Default, Serialize)]
struct CaseNow {
    #[serde(rename = "case_status", skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// Since when it is, or was, open.
    #[serde(rename = "case_opened_at", skip_serializing_if = "Option::is_none")]
    opened_at: Option<DateTime<Utc>>,
    /// How long it is, or was, open, in whole hours.
    #[serde(rename = "case_age_hours", skip_serializing_if = "Option::is_none")]
    age_hours: Option<i64>,
}

impl CaseNow {
    fn of(case: Option<CaseThen>, made_at: DateTime<Utc>) -> Self {
        let Some(case) = case else { return Self::default() };
        let end = case.closed_at.unwrap_or(made_at);
        Self {
            status: Some(case.status.as_str()),
            opened_at: Some(case.opened_at),
            age_hours: Some((end - case.opened_at).num_hours()),
        }
    }

    /// Its cells after that of its id: status, since when, how long.
    fn cells(&self, id: Option<CaseId>) -> [Cell; 4] {
        [
            Cell::id(id.map(|id| id.0)),
            self.status.map_or(Cell::Empty, |status| Cell::Text(status.to_owned())),
            self.opened_at.map_or(Cell::Empty, Cell::Time),
            self.age_hours.map_or(Cell::Empty, Cell::Number),
        ]
    }
}
