//! Writes the log to a file, one JSON object a line, in log order, with the payload's exact bytes.

use std::io::{self, BufRead, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use quotary_domain::{Metadata, RecordedEvent, TenantId};
use quotary_projections::log_reader::{LogError, LogReader};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// How many events are read at a time.
pub(super) const PAGE: usize = 5_000;

/// Why the log could not be written out or read in.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log can't be read, or has a gap.
    #[error("the log can't be read")]
    Log(#[from] LogError),
    /// The file can't be written or read.
    #[error("the file can't be written or read")]
    File(#[from] io::Error),
    /// A line is no event.
    #[error("line {line} is no event")]
    Line {
        /// Which, counted from 1.
        line: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Fewer events came than the log's head says: a short read is never a success.
    #[error("the log ends at {head} and only {read} events came")]
    Short {
        /// What the head says.
        head: u64,
        /// What came.
        read: u64,
    },
}

/// An event as a line.
#[derive(Serialize, Deserialize)]
struct Line {
    position: u64,
    event_id: Uuid,
    tenant_id: TenantId,
    aggregate_type: String,
    aggregate_id: Uuid,
    sequence: u64,
    event_type: String,
    event_version: String,
    payload: Box<RawValue>,
    metadata: Metadata,
    recorded_at: String,
}

/// Calls `each` with every event from the log's start up to `until`, or up to the head as it is now.
///
/// # Errors
/// [`ExportError`]; a short read is one.
pub async fn walk<E: From<ExportError>>(
    log: &LogReader,
    until: Option<u64>,
    mut each: impl FnMut(RecordedEvent) -> Result<(), E>,
) -> Result<u64, E> {
    let head = log.head().await.map_err(ExportError::from)?;
    let end = until.map_or(head, |until| until.min(head));
    let mut read = 0;
    while read < end {
        let run = log.read_after(read, PAGE).await.map_err(ExportError::from)?;
        if run.is_empty() {
            return Err(ExportError::Short { head: end, read }.into());
        }
        for event in run.into_iter().take_while(|event| event.position <= end) {
            read = event.position;
            each(event)?;
        }
    }
    Ok(read)
}

/// Writes the log to `out`; answers the last position written.
///
/// # Errors
/// [`ExportError`].
pub async fn export(log: &LogReader, out: &mut impl Write) -> Result<u64, ExportError> {
    let last = walk(log, None, |event| {
        let line = Line {
            position: event.position,
            event_id: event.event_id,
            tenant_id: event.tenant_id,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            payload: event.payload,
            metadata: event.metadata,
            recorded_at: event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        Ok::<_, ExportError>(out.write_all(b"\n")?)
    })
    .await?;
    out.flush()?;
    Ok(last)
}

/// Calls `each` with every event of an exported file.
///
/// # Errors
/// [`ExportError`] if the file can't be read or a line is no event.
pub fn walk_file<E: From<ExportError>>(
    file: impl BufRead,
    mut each: impl FnMut(RecordedEvent) -> Result<(), E>,
) -> Result<u64, E> {
    let mut last = 0;
    for (number, text) in (1..).zip(file.lines()) {
        let text = text.map_err(ExportError::from)?;
        let line: Line = serde_json::from_str(&text).map_err(|source| ExportError::Line { line: number, source })?;
        let recorded_at: DateTime<Utc> = line.recorded_at.parse().map_err(|_| ExportError::Line {
            line: number,
            source: serde::de::Error::custom("recorded_at is no time"),
        })?;
        last = line.position;
        each(RecordedEvent {
            position: line.position,
            event_id: line.event_id,
            tenant_id: line.tenant_id,
            aggregate_type: line.aggregate_type,
            aggregate_id: line.aggregate_id,
            sequence: line.sequence,
            event_type: line.event_type,
            event_version: line.event_version,
            payload: line.payload,
            metadata: line.metadata,
            recorded_at,
        })?;
    }
    Ok(last)
}
