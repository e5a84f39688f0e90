//! Why a report breaks off.

/// Why a report breaks off.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The rows can't be had.
    #[error("the rows could not be read")]
    Rows(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row has another number of cells than the table has columns.
    #[error("a row has {found} cells and the table {expected} columns")]
    Shape {
        /// The table's columns.
        expected: usize,
        /// The row's cells.
        found: usize,
    },
    /// What was summed up is not what was read: opening and lines do not make the closing.
    #[error("the rows add up to {found} where {expected} was announced")]
    Sum {
        /// What the head said.
        expected: i64,
        /// What the rows made.
        found: i64,
    },
    /// The rows are not those that the head of the report sums up.
    #[error("the rows are not those that the report's totals say")]
    Totals,
    /// A part of the document can't be read or written as JSON.
    #[error("a part of the report is no JSON")]
    Json(#[from] serde_json::Error),
    /// The rows can't be written as CSV.
    #[error("the rows could not be written")]
    Csv(#[from] csv::Error),
    /// The workbook can't be made.
    #[error("the workbook could not be made")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// The pages can't be made.
    #[error("the pages could not be made: {0}")]
    Pdf(String),
    /// More rows came than were announced.
    #[error("more rows came than the {announced} that were announced")]
    TooLong {
        /// For how many there is room.
        announced: u64,
    },
    /// The archive of parts can't be made.
    #[error("the archive could not be made")]
    Archive(#[from] zip::result::ZipError),
    /// The temporary file can't be written or read.
    #[error("the temporary file failed")]
    File(#[from] std::io::Error),
    /// The client took nothing for too long.
    #[error("the client took nothing for too long")]
    Stalled,
    /// The whole took too long.
    #[error("the download took too long")]
    TookTooLong,
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The task that makes the report broke down.
    #[error("the task that makes the report broke down")]
    Task(#[from] tokio::task::JoinError),
    /// The process makes no more reports.
    #[error("this process is stopping")]
    Stopping(#[from] tokio::sync::AcquireError),
}

impl ReportError {
    /// What kept the rows from being read.
    #[must_use]
    pub fn rows(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Rows(Box::new(error))
    }
}
