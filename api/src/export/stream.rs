//! A download as it goes out: part after part, each made when the client has taken the one before.
//!
//! What must always hold: an error in the middle breaks the connection off, so that a client never takes a part for all.

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use quotary_domain::BatchId;
use quotary_domain::license_batch::ExportFormat;

use super::source::{ExportError, KeySource};
use super::{COLUMNS, KeyRow, content_disposition, content_type};
use crate::report::{Cell, Format, Report, ReportError, Row};

/// The answer to a request for the keys of a batch.
#[must_use]
pub fn answer(source: KeySource, batch_id: BatchId, format: ExportFormat) -> Response {
    match format {
        ExportFormat::Csv => report(source, batch_id).into_answer(Format::Csv),
        ExportFormat::Xlsx => report(source, batch_id).into_answer(Format::Xlsx),
        ExportFormat::Txt => {
            let mut response = Response::new(txt(source));
            let headers = response.headers_mut();
            headers.insert(axum::http::header::CONTENT_TYPE, content_type());
            if let Some(disposition) = content_disposition(batch_id) {
                headers.insert(axum::http::header::CONTENT_DISPOSITION, disposition);
            }
            response
        }
    }
}

fn report(source: KeySource, batch_id: BatchId) -> Report {
    let row_count = source.count();
    let rows = pages(source).map_err(ReportError::rows).map_ok(|keys| keys.into_iter().map(row).collect());
    Report {
        title: format!("Licences of batch {batch_id}"),
        file_name: format!("licenses-{batch_id}"),
        sheet: "licenses",
        facts: Vec::new(),
        columns: &COLUMNS,
        row_count,
        rows: rows.boxed(),
    }
}

fn row(KeyRow { number, key, license_id }: KeyRow) -> Row {
    Row::new(vec![Cell::Number(number), Cell::Secret(key), Cell::Id(license_id.0)])
}

/// The keys of a batch, some at a time.
fn pages(source: KeySource) -> impl stream::Stream<Item = Result<Vec<KeyRow>, ExportError>> + Send + 'static {
    stream::try_unfold(source, |mut source| async move {
        let rows = source.next().await?;
        Ok(if rows.is_empty() { None } else { Some((rows, source)) })
    })
}

/// One key a line.
fn txt(source: KeySource) -> Body {
    let parts = pages(source).map_ok(|rows| {
        let mut text = Vec::with_capacity(rows.len() * 32);
        for row in rows {
            text.extend_from_slice(row.key.as_bytes());
            text.extend_from_slice(b"\n");
        }
        Bytes::from(text)
    });
    Body::from_stream(parts.inspect_err(|error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, "a download broke off");
    }))
}
