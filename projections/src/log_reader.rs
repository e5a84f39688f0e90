//! Reads the event log, and nothing else.
//!
//! What always holds: events come in the order of their positions and without a gap; a gap is an error and not a short
//! answer, since positions are dense and an event that is committed never goes away.

use quotary_domain::{Metadata, RecordedEvent, TenantId};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

/// The most events that one read returns.
pub const MAX_READ: usize = 100_000;

/// Why the log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// PostgreSQL refused or is out of reach.
    #[error("the log can't be reached")]
    Database(#[from] sqlx::Error),
    /// A position is missing. Nothing after it may be used.
    #[error("the log has position {found} where {expected} should stand")]
    Gap {
        /// What should stand there.
        expected: u64,
        /// What does.
        found: u64,
    },
    /// A number of the log is below zero.
    #[error("the log has the impossible number {0}")]
    Negative(i64),
}

/// Reads the log through a pool.
#[derive(Clone, Debug)]
pub struct LogReader {
    pool: PgPool,
}

pub(crate) const COLUMNS: &str = "position, event_id, tenant_id, aggregate_type, aggregate_id, sequence, event_type, \
                       event_version, payload, metadata, recorded_at";

impl LogReader {
    /// A reader over `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The position of the newest event; 0 for an empty log.
    ///
    /// # Errors
    /// [`LogError`] if the log can't be read.
    pub async fn head(&self) -> Result<u64, LogError> {
        // log_head, not max(position): one row, and the row that an append holds until it commits.
        let position: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&self.pool).await?;
        number(position)
    }

    /// Up to `limit` (at most [`MAX_READ`]) events after `position`, in order and without a gap.
    ///
    /// # Errors
    /// [`LogError`] if the log can't be read or has a gap.
    pub async fn read_after(&self, position: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let mut connection = self.pool.acquire().await?;
        read_after(&mut connection, position, limit).await
    }

    /// The whole stream of an aggregate, in order and without a gap.
    ///
    /// # Errors
    /// [`LogError`] if the log can't be read or the stream has a gap.
    pub async fn stream(&self, aggregate_type: &str, aggregate_id: Uuid) -> Result<Vec<RecordedEvent>, LogError> {
        let query =
            format!("select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = $2 order by sequence");
        let rows =
            sqlx::query(&query).bind(aggregate_type).bind(aggregate_id.to_string()).fetch_all(&self.pool).await?;
        let events = rows.iter().map(recorded_event).collect::<Result<Vec<_>, _>>()?;
        check_dense(events.iter().map(|event| event.sequence), 0)?;
        Ok(events)
    }

    /// The id of the event at `position`, if there is one.
    ///
    /// # Errors
    /// [`LogError`] if the log can't be read.
    pub async fn event_id(&self, position: u64) -> Result<Option<Uuid>, LogError> {
        let id = sqlx::query_scalar("select event_id from events where position = $1")
            .bind(position.cast_signed())
            .fetch_optional(&self.pool)
            .await?;
        Ok(id)
    }
}

/// [`LogReader::read_after`] on a connection of the caller's, for those who hold a lock by it.
///
/// # Errors
/// [`LogError`] if the log can't be read or has a gap.
pub async fn read_after(
    connection: &mut PgConnection,
    position: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, LogError> {
    // A range of the primary key from its lower end: reads exactly the rows that it returns. The upper bound keeps the
    // planner from any other plan and can hide nothing, since positions are dense.
    let query = format!("select {COLUMNS} from events where position > $1 and position <= $2 order by position");
    let limit = limit.min(MAX_READ) as u64;
    let rows = sqlx::query(&query)
        .bind(position.cast_signed())
        .bind(position.saturating_add(limit).cast_signed())
        .fetch_all(connection)
        .await?;
    let events = rows.iter().map(recorded_event).collect::<Result<Vec<_>, _>>()?;
    check_dense(events.iter().map(|event| event.position), position)?;
    Ok(events)
}

/// The streams of some aggregates as far as they stand at or before position `until`, one after the other, each in order, without
/// the events of the types `except`.
///
/// # Errors
/// [`LogError`] if the log can't be read.
pub async fn streams(
    connection: &mut PgConnection,
    aggregate_type: &str,
    ids: &[Uuid],
    until: u64,
    except: &[&str],
) -> Result<Vec<Vec<RecordedEvent>>, LogError> {
    let query = format!(
        "select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = any($2) and position <= $3
           and event_type <> all($4)
         order by aggregate_id, sequence"
    );
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let rows = sqlx::query(&query)
        .bind(aggregate_type)
        .bind(ids)
        .bind(until.cast_signed())
        .bind(except)
        .fetch_all(connection)
        .await?;
    let mut streams: Vec<Vec<RecordedEvent>> = Vec::new();
    for row in &rows {
        let event = recorded_event(row)?;
        match streams.last_mut().filter(|stream| stream[0].aggregate_id == event.aggregate_id) {
            Some(stream) => stream.push(event),
            None => streams.push(vec![event]),
        }
    }
    Ok(streams)
}

fn check_dense(numbers: impl Iterator<Item = u64>, after: u64) -> Result<(), LogError> {
    let mut last = after;
    for found in numbers {
        if found != last + 1 {
            return Err(LogError::Gap { expected: last + 1, found });
        }
        last = found;
    }
    Ok(())
}

pub(crate) fn recorded_event(row: &PgRow) -> Result<RecordedEvent, LogError> {
    let aggregate_id: &str = row.try_get("aggregate_id")?;
    let aggregate_id = Uuid::parse_str(aggregate_id)
        .map_err(|source| sqlx::Error::ColumnDecode { index: "aggregate_id".to_owned(), source: source.into() })?;
    let Json(payload): Json<Box<RawValue>> = row.try_get("payload")?;
    let Json(metadata): Json<Metadata> = row.try_get("metadata")?;
    Ok(RecordedEvent {
        position: number(row.try_get("position")?)?,
        event_id: row.try_get("event_id")?,
        tenant_id: TenantId(row.try_get("tenant_id")?),
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id,
        sequence: number(row.try_get("sequence")?)?,
        event_type: row.try_get("event_type")?,
        event_version: row.try_get("event_version")?,
        payload,
        metadata,
        recorded_at: row.try_get("recorded_at")?,
    })
}

fn number(signed: i64) -> Result<u64, LogError> {
    u64::try_from(signed).map_err(|_| LogError::Negative(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_position_is_an_error_and_not_a_short_answer() {
        assert!(check_dense([4, 5, 6].into_iter(), 3).is_ok());
        assert!(matches!(check_dense([5].into_iter(), 3), Err(LogError::Gap { expected: 4, found: 5 })));
        assert!(matches!(check_dense([4, 4].into_iter(), 3), Err(LogError::Gap { expected: 5, found: 4 })));
    }
}
