//! Keys of a batch as a download: a [report](crate::report) of them, or one key a line.
//!
//! What must always hold: the download has exactly the keys that the recorded export counts, or it breaks off visibly;
//! memory stays bounded for a batch of any size.

mod source;
mod stream;

pub(crate) use source::open_key;
pub use source::{ExportError, KeySource};
pub use stream::answer;

use axum::http::HeaderValue;
use quotary_domain::BatchId;
use zeroize::Zeroizing;

use crate::report::{Column, Kind};

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

/// The columns of a table of keys.
pub(crate) const COLUMNS: [Column; 3] = [
    Column::new("number", "Number", Kind::Number, 1),
    Column::new("key", "Key", Kind::Text, 3),
    Column::new("license_id", "Licence", Kind::Id, 3),
];

/// The media type of a list of one key a line.
fn content_type() -> HeaderValue {
    HeaderValue::from_static("text/plain; charset=utf-8")
}

/// The `Content-Disposition` of such a list.
fn content_disposition(batch_id: BatchId) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("attachment; filename=\"licenses-{batch_id}.txt\"")).ok()
}
