//! `POST /v1/reconciliations/bills`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use quotary_commands::bill::{MOST_BYTES, Upload, UploadError};
use quotary_commands::clock;
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::Authed;
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// How many come in at a time; each holds a connection to the database.
const AT_A_TIME: usize = 2;

static UPLOADS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// A bill that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptBill {
    /// SHA-256 of its bytes in hexadecimal; names it in a reconciliation.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// When it came for the first time.
    pub uploaded_at: DateTime<Utc>,
    /// Who brought it.
    pub uploaded_by: Uuid,
}

/// Keeps a provider's bill: the file's bytes as they are, at most 64 MiB, as `text/csv` or `application/octet-stream`. The same
/// content is kept once, and a repeat answers 200 with what is there; a bill never changes.
///
/// # Errors
/// `payload-too-large`, `unsupported-media-type`, `validation-failed` if it is empty.
#[utoipa::path(post, path = "/v1/reconciliations/bills", tag = "reconciliations",
    request_body(content((Vec<u8> = "text/csv"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 201, description = "The bill", body = KeptBill),
        (status = 200, description = "It was there before", body = KeptBill)))]
pub async fn handle(
    State(state): State<AppState>,
    Extension(Authed { actor, .. }): Extension<Authed>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_media_type(&headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MOST_BYTES) {
        return Err(refused(UploadError::TooLarge));
    }
    let _permit = UPLOADS.acquire().await.map_err(|error| Problem::internal(&error))?;
    let mut upload = Upload::begin(&state.pool, clock::new_id()).await.map_err(refused)?;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Problem::new(Code::MalformedJson, "the body could not be read to its end"))?;
        upload.push(&part).await.map_err(refused)?;
    }
    let bill = upload.finish(actor.tenant_id, actor.account_id, clock::now()).await.map_err(refused)?;
    let answer = KeptBill {
        sha256: hex(&bill.sha256),
        size: bill.size,
        uploaded_at: bill.uploaded_at,
        uploaded_by: bill.uploaded_by.0,
    };
    let status = if bill.known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(answer)).into_response())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(essence.as_str(), "text/csv" | "application/octet-stream") {
        Ok(())
    } else {
        Err(Problem::new(Code::UnsupportedMediaType, "the content-type must be text/csv or application/octet-stream"))
    }
}

fn refused(error: UploadError) -> Problem {
    match error {
        UploadError::TooLarge => Problem::new(Code::PayloadTooLarge, error.to_string()),
        UploadError::Empty => Problem::new(Code::ValidationFailed, error.to_string()).with_error("", error.to_string()),
        UploadError::Database(error) => error.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS[usize::from(value)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
