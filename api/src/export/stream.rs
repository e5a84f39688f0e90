//! A download as it goes out: part after part, each made when the client has taken the one before.
//!
//! What must always hold: an error in the middle breaks the connection off, so that a client never takes a part for all.

use axum::body::{Body, Bytes};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use quotary_domain::license_batch::ExportFormat;

use super::source::{ExportError, KeySource};
use super::{KeyRow, csv_rows, xlsx};

/// The body of a download.
pub fn body(source: KeySource, format: ExportFormat) -> Body {
    let parts = match format {
        ExportFormat::Csv => pages(source, csv_part),
        ExportFormat::Txt => pages(source, txt_part),
        ExportFormat::Xlsx => stream::once(xlsx::workbook(source)).map_ok(Bytes::from).boxed(),
    };
    Body::from_stream(parts.inspect_err(|error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, "a download broke off");
    }))
}

type WritePart = fn(&[KeyRow], bool) -> Result<Vec<u8>, ExportError>;

fn pages(source: KeySource, write: WritePart) -> BoxStream<'static, Result<Bytes, ExportError>> {
    stream::try_unfold(Some(source), move |source| async move {
        let Some(mut source) = source else { return Ok(None) };
        let first = source.at_start();
        let rows = source.next().await?;
        // The header goes out even if there is no row.
        if rows.is_empty() && !first {
            return Ok(None);
        }
        let part = Bytes::from(write(&rows, first)?);
        let rest = if rows.is_empty() { None } else { Some(source) };
        Ok(Some((part, rest)))
    })
    .boxed()
}

fn csv_part(rows: &[KeyRow], first: bool) -> Result<Vec<u8>, ExportError> {
    Ok(csv_rows::write(rows, first)?)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that both texts share")]
fn txt_part(rows: &[KeyRow], _first: bool) -> Result<Vec<u8>, ExportError> {
    let mut text = Vec::with_capacity(rows.len() * 32);
    for row in rows {
        text.extend_from_slice(row.key.as_bytes());
        text.extend_from_slice(b"\n");
    }
    Ok(text)
}
