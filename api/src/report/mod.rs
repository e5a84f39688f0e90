//! Reports as downloads: a head of facts and a table of any length, as CSV, XLSX or PDF.
//!
//! What must always hold: rows are taken as they come and none is kept, so that memory does not grow with their number; a
//! report that fails on its way breaks the connection off, so that nobody takes a part for all; text of users is never taken
//! for a formula; amounts are whole numbers of minor units, and every document says so.

mod csv_rows;
mod delivery;
mod error;
mod pdf;
mod typeset;
mod xlsx;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use error::ReportError;

/// What a document says about its amounts.
pub const UNIT: &str = "whole numbers of minor units (e.g. cents)";

/// The most rows of a PDF: about 250 pages. A longer report is an archive of such parts.
pub const PDF_ROWS: u64 = 10_000;

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values (RFC 4180), UTF-8, a header line.
    #[default]
    Csv,
    /// An Excel workbook.
    Xlsx,
    /// Pages to print; a ZIP archive of documents if there are too many rows for one.
    Pdf,
}

impl Format {
    /// The ending of a file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Pdf => "pdf",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pdf => "application/pdf",
        })
    }
}

/// The form of a report that programs read as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataFormat {
    /// JSON.
    #[default]
    Json,
    /// See [`Format::Csv`].
    Csv,
    /// See [`Format::Xlsx`].
    Xlsx,
    /// See [`Format::Pdf`].
    Pdf,
}

impl DataFormat {
    /// The form of its table; nothing for JSON, which has none.
    #[must_use]
    pub fn table(self) -> Option<Format> {
        match self {
            Self::Json => None,
            Self::Csv => Some(Format::Csv),
            Self::Xlsx => Some(Format::Xlsx),
            Self::Pdf => Some(Format::Pdf),
        }
    }
}

/// What a column holds, which says how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// A plain number: a position, a count.
    Number,
    /// An amount in minor units; by convention the column's name ends in `_minor`.
    Minor,
    /// A time of UTC.
    Time,
    /// An id.
    Id,
}

/// A column of a report's table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name for programs, the first line of a CSV.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its share of a page's width; a column with 0 is left out of a PDF.
    pub width: u16,
}

impl Column {
    /// A column.
    #[must_use]
    pub const fn new(name: &'static str, title: &'static str, kind: Kind, width: u16) -> Self {
        Self { name, title, kind, width }
    }
}

/// One value of a row.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text, of users or ours.
    Text(String),
    /// Text that leaves no copy in memory.
    Secret(Zeroizing<String>),
    /// A number or an amount.
    Number(i64),
    /// A time.
    Time(DateTime<Utc>),
    /// An id.
    Id(Uuid),
}

impl Cell {
    /// Text, or nothing.
    #[must_use]
    pub fn text(text: Option<String>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }

    /// An id, or nothing.
    #[must_use]
    pub fn id(id: Option<Uuid>) -> Self {
        id.map_or(Self::Empty, Self::Id)
    }

    /// As characters, without regard to formulas.
    fn plain(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Secret(text) => text.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Time(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            Self::Id(id) => id.to_string(),
        })
    }
}

/// A row of a report's table: as many cells as the table has columns.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its values.
    pub cells: Vec<Cell>,
    /// Whether it sums others up (an opening, a closing, a total).
    pub sum: bool,
}

impl Row {
    /// A usual row.
    #[must_use]
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, sum: false }
    }

    /// A row that sums others up.
    #[must_use]
    pub fn sum(cells: Vec<Cell>) -> Self {
        Self { cells, sum: true }
    }
}

/// Rows as they come, some at a time. What feeds it is dropped with it.
pub type Rows = BoxStream<'static, Result<Vec<Row>, ReportError>>;

/// What stands between a first and a last row, with both.
pub fn between(
    first: Row,
    last: Row,
    rows: impl Stream<Item = Result<Vec<Row>, ReportError>> + Send + 'static,
) -> Rows {
    let alone = |row| stream::once(std::future::ready(Ok(vec![row])));
    alone(first).chain(rows).chain(alone(last)).boxed()
}

/// A document's bytes as they come, some at a time. What feeds it is dropped with it.
pub type Ready = BoxStream<'static, Result<Bytes, ReportError>>;

/// A report.
pub struct Report {
    /// Its title.
    pub title: String,
    /// The name of its file, without the ending: lower-case letters, digits and hyphens.
    pub file_name: String,
    /// The name of the workbook's sheet of rows, e.g. `lines`.
    pub sheet: &'static str,
    /// What stands above the table, by name: whose it is, which period, what it opens and closes with. A CSV leaves it out.
    pub facts: Vec<(String, String)>,
    /// The table's columns.
    pub columns: &'static [Column],
    /// How many rows will come at most. Only a PDF asks, which comes in parts if these are too many for one.
    pub row_count: u64,
    /// The table's rows.
    pub rows: Rows,
}

impl Report {
    /// The answer to a request for this report in `format`.
    #[must_use]
    pub fn into_answer(self, format: Format) -> Response {
        let parts = if format == Format::Pdf { self.row_count.div_ceil(PDF_ROWS).max(1) } else { 1 };
        let (extension, media_type) = match parts {
            1 => (format.extension(), format.media_type()),
            _ => ("zip", HeaderValue::from_static("application/zip")),
        };
        let name = format!("{}.{extension}", self.file_name);
        attachment(delivery::body(self, format, parts), &name, media_type)
    }
}

/// The answer to a request for a document that is JSON already; `file_name` has no ending.
#[must_use]
pub fn json_answer(file_name: &str, bytes: Ready) -> Response {
    let media_type = HeaderValue::from_static("application/json");
    attachment(delivery::ready(bytes), &format!("{file_name}.json"), media_type)
}

fn attachment(body: Body, name: &str, media_type: HeaderValue) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}
