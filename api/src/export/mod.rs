//! Keys of a batch as a download: comma-separated values, an Excel workbook, or one key a line.
//!
//! What must always hold: the download has exactly the keys that the recorded export counts, or it breaks off visibly;
//! memory stays bounded for a batch of any size, except for the compressed workbook itself.

mod csv_rows;
mod source;
mod stream;
mod xlsx;

pub(crate) use source::open_key;
pub use source::{ExportError, KeySource};
pub use stream::body;

use axum::http::HeaderValue;
use quotary_domain::BatchId;
use quotary_domain::license_batch::ExportFormat;
use zeroize::Zeroizing;

/// One row of a download.
#[derive(Debug)]
pub struct KeyRow {
    /// Within the batch, from 1.
    pub number: i64,
    /// The licence.
    pub license_id: quotary_domain::LicenseId,
    /// Its key in the clear.
    pub key: Zeroizing<String>,
}

/// The names of the columns of a table.
pub(crate) const COLUMNS: [&str; 3] = ["number", "key", "license_id"];

/// The media type of a format.
#[must_use]
pub fn content_type(format: ExportFormat) -> HeaderValue {
    HeaderValue::from_static(match format {
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
        ExportFormat::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ExportFormat::Txt => "text/plain; charset=utf-8",
    })
}

/// The `Content-Disposition` of a batch's download.
#[must_use]
pub fn content_disposition(batch_id: BatchId, format: ExportFormat) -> Option<HeaderValue> {
    let extension = match format {
        ExportFormat::Csv => "csv",
        ExportFormat::Xlsx => "xlsx",
        ExportFormat::Txt => "txt",
    };
    HeaderValue::try_from(format!("attachment; filename=\"licenses-{batch_id}.{extension}\"")).ok()
}
