//! `GET /v1/license-batches/{id}/export`: the keys of a batch as a download.
//!
//! What must always hold: the hand-out is recorded in the log before the first byte is sent; only the owner gets keys.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use quotary_domain::BatchId;
use quotary_domain::license_batch::ExportFormat;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::export::{KeySource, answer};
use crate::extract::{ApiCommand, ApiPath, ApiQuery, MinPosition, NoBody};
use crate::problem::Problem;
use crate::reply::{POSITION, REPLAYED};
use crate::state::AppState;

const READ_MODELS: [&str; 1] = ["licenses"];

/// In what form.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Export {
    /// `csv`, `xlsx` or `txt` (one key a line); `csv` if absent.
    #[param(value_type = Option<String>, example = "csv")]
    pub format: Option<ExportFormat>,
}

/// The keys that are issued so far as a download, for the owner of the batch only. Every download is recorded; with
/// an `Idempotency-Key`, a repeat is not recorded again.
///
/// # Errors
/// If there is no such batch that the account may see, or it is another's.
#[utoipa::path(get, path = "/v1/license-batches/{id}/export", tag = "license-batches",
    params(("id" = Uuid, Path), Export),
    responses((status = 200, description = "The keys", content(
        (String = "text/csv"), (String = "text/plain"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<Export>,
    MinPosition(asked): MinPosition,
    command: ApiCommand<NoBody>,
) -> Result<Response, Problem> {
    let (batch_id, format) = (BatchId(id), query.format.unwrap_or(ExportFormat::Csv));
    // Before anything is recorded: a read model that is behind is no reason for a recorded hand-out of nothing.
    let known = *state.commands.log().head().borrow();
    MinPosition(Some(asked.unwrap_or_default().max(known))).wait(&state, &READ_MODELS).await?;
    let done = state.commands.record_export(&command.context("license_batch.export"), batch_id, format).await?;
    MinPosition(Some(done.position)).wait(&state, &READ_MODELS).await?;
    let (pool, vault) = (state.pool.clone(), state.commands.log().vault().clone());
    let source = KeySource::new(pool, vault, command.actor.tenant_id, batch_id, done.value.batch.issued);
    let mut response = answer(source, batch_id, format);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(POSITION, HeaderValue::from(done.position));
    if done.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
