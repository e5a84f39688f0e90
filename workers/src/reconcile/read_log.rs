//! Reads the log for a reconciliation: a reader of its own, over PostgreSQL's binary COPY, which shares nothing with the
//! one that feeds the read models.

use futures::TryStreamExt as _;
use quotary_audit::entry::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

/// 2000-01-01 in Unix microseconds: where PostgreSQL counts from.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// How many events are read by one statement.
const RUN: u64 = 50_000;
const HEADER: usize = 19;

/// Why the log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// PostgreSQL refused or is out of reach.
    #[error("the log can't be reached")]
    Database(#[from] sqlx::Error),
    /// The bytes are not those of a COPY.
    #[error("the log's rows can't be read")]
    Format,
    /// Fewer events came than there are: never a success.
    #[error("the log ends at {until} and was read up to {read}")]
    Short {
        /// Where it should end.
        until: u64,
        /// What came.
        read: u64,
    },
}

/// Calls `each` with every event after `after` up to `until`, in the order of positions.
///
/// # Errors
/// [`ReadError`]; a short read is one.
pub async fn read(
    connection: &mut PgConnection,
    after: u64,
    until: u64,
    mut each: impl FnMut(&Entry<'_>) + Send,
) -> Result<(), ReadError> {
    let mut start = after;
    let mut read = 0_u64;
    while start < until {
        let end = until.min(start + RUN);
        let statement = format!(
            "copy (select position, event_id, tenant_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, recorded_at from public.events where position > {start} and position <= {end} \
             order by position) to stdout (format binary)"
        );
        rows(connection, &statement, 11, |row| {
            each(&entry(row)?);
            read += 1;
            Ok(())
        })
        .await?;
        start = end;
        tokio::task::yield_now().await;
    }
    if read < until.saturating_sub(after) {
        return Err(ReadError::Short { until, read: after + read });
    }
    Ok(())
}

fn entry<'a>(row: &Row<'a>) -> Result<Entry<'a>, ReadError> {
    Ok(Entry {
        position: row.int8(0)?.cast_unsigned(),
        event_id: row.uuid(1)?,
        tenant_id: row.uuid(2)?,
        aggregate_type: row.text(3)?,
        aggregate_id: row.text(4)?,
        sequence: row.int8(5)?.cast_unsigned(),
        event_type: row.text(6)?,
        event_version: row.text(7)?,
        payload: row.text(8)?,
        metadata: row.text(9)?,
        recorded_at: row.time(10)?,
    })
}

/// The most columns of a row here.
const MAX_COLUMNS: usize = 20;

/// A row of a binary COPY, its values borrowed.
pub(super) struct Row<'a> {
    values: [Option<&'a [u8]>; MAX_COLUMNS],
}

impl<'a> Row<'a> {
    pub(super) fn bytes(&self, column: usize) -> Option<&'a [u8]> {
        self.values.get(column).copied().flatten()
    }

    pub(super) fn int8(&self, column: usize) -> Result<i64, ReadError> {
        let bytes = self.bytes(column).ok_or(ReadError::Format)?;
        Ok(i64::from_be_bytes(bytes.try_into().map_err(|_| ReadError::Format)?))
    }

    pub(super) fn uuid(&self, column: usize) -> Result<Uuid, ReadError> {
        Uuid::from_slice(self.bytes(column).ok_or(ReadError::Format)?).map_err(|_| ReadError::Format)
    }

    pub(super) fn uuid_or_null(&self, column: usize) -> Result<Option<Uuid>, ReadError> {
        self.bytes(column).map(|_| self.uuid(column)).transpose()
    }

    pub(super) fn text(&self, column: usize) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.bytes(column).ok_or(ReadError::Format)?).map_err(|_| ReadError::Format)
    }

    pub(super) fn text_or_null(&self, column: usize) -> Result<Option<&'a str>, ReadError> {
        self.bytes(column).map(|_| self.text(column)).transpose()
    }

    /// A `timestamptz` in microseconds since 1970.
    pub(super) fn time(&self, column: usize) -> Result<i64, ReadError> {
        Ok(self.int8(column)?.saturating_add(POSTGRES_EPOCH_US))
    }
}

/// Calls `each` with every row of a `copy … to stdout (format binary)`.
pub(super) async fn rows(
    connection: &mut PgConnection,
    statement: &str,
    columns: usize,
    mut each: impl FnMut(&Row<'_>) -> Result<(), ReadError> + Send,
) -> Result<(), ReadError> {
    let mut stream = connection.copy_out_raw(statement).await?;
    let mut buffer: Vec<u8> = Vec::with_capacity(1 << 16);
    let mut has_header = false;
    let mut has_ended = false;
    while let Some(chunk) = stream.try_next().await? {
        buffer.extend_from_slice(&chunk);
        let mut used = 0;
        if !has_header {
            if buffer.len() < HEADER {
                continue;
            }
            has_header = true;
            used = HEADER;
        }
        while let Some((row, length)) = next_row(&buffer[used..], columns)? {
            used += length;
            match row {
                Some(row) => each(&row)?,
                None => has_ended = true,
            }
        }
        if used == buffer.len() {
            buffer.clear();
        } else {
            buffer.drain(..used);
        }
    }
    // A COPY that was cut has no trailer.
    if has_ended && buffer.is_empty() { Ok(()) } else { Err(ReadError::Format) }
}

type NextRow<'a> = Option<(Option<Row<'a>>, usize)>;

/// The next row and its length, the end of all rows, or nothing if more bytes are needed.
fn next_row(bytes: &[u8], columns: usize) -> Result<NextRow<'_>, ReadError> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Some((None, 2)));
    }
    if usize::try_from(count).ok() != Some(columns) || columns > MAX_COLUMNS {
        return Err(ReadError::Format);
    }
    let mut row = Row { values: [None; MAX_COLUMNS] };
    for value in row.values.iter_mut().take(columns) {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        rest = after;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| ReadError::Format)?;
        if rest.len() < length {
            return Ok(None);
        }
        let (this, after) = rest.split_at(length);
        *value = Some(this);
        rest = after;
    }
    Ok(Some((Some(row), bytes.len() - rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_there_yet_is_waited_for_and_a_wrong_one_refused() {
        let mut bytes = vec![0, 2, 0, 0, 0, 3];
        bytes.extend_from_slice(b"abc");
        bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        for cut in 0..bytes.len() {
            assert!(next_row(&bytes[..cut], 2).unwrap().is_none(), "cut at {cut}");
        }
        let (row, length) = next_row(&bytes, 2).unwrap().unwrap();
        let row = row.unwrap();
        assert_eq!((row.text(0).unwrap(), row.text_or_null(1).unwrap(), length), ("abc", None, bytes.len()));
        assert!(next_row(&bytes, 3).is_err());
        assert!(matches!(next_row(&(-1_i16).to_be_bytes(), 2), Ok(Some((None, 2)))));
    }
}
