//! Reads the log's rows as they are stored, in bulk and without decoding what is in them: for those who hash or check the
//! bytes themselves, so they are given in the auditor's shape.
//!
//! What always holds: rows come in the order of their positions, exactly as they stand there. Whether positions are dense
//! is for the reader to check; [`crate::log_reader`] is for those who want that done.

use futures::TryStreamExt as _;
use quotary_audit::entry::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

/// The most positions that one read may span.
pub const MAX_SPAN: u64 = 100_000;

/// 2000-01-01 in Unix microseconds: where PostgreSQL counts from.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const COLUMNS: usize = 11;

/// Why rows can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RawLogError {
    /// PostgreSQL refused or is out of reach.
    #[error("the log can't be reached")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL sent what is no row of the log.
    #[error("the row after position {after} is no row of the log")]
    Row {
        /// The last row that was read.
        after: u64,
    },
}

/// Calls `each` with every row at `after < position <= until` (at most [`MAX_SPAN`] positions); answers their number.
///
/// # Errors
/// [`RawLogError`]; some rows may have been given to `each` then.
pub async fn read(
    connection: &mut PgConnection,
    after: u64,
    until: u64,
    mut each: impl FnMut(Entry<'_>) + Send,
) -> Result<u64, RawLogError> {
    let until = until.min(after.saturating_add(MAX_SPAN));
    // COPY knows no parameters; these are numbers. Binary, so that texts come as the bytes that are stored.
    let statement = format!(
        "copy (select position, event_id, tenant_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
         payload, metadata, recorded_at from public.events where position > {after} and position <= {until} \
         order by position) to stdout (format binary)"
    );
    let mut rows = Rows { pending: vec![], is_begun: false, last: after, count: 0 };
    let mut chunks = connection.copy_out_raw(&statement).await?;
    let mut is_intact = true;
    // The answer is read to its end in any case: a connection in the middle of one is of no use.
    while let Some(chunk) = chunks.try_next().await? {
        is_intact = is_intact && rows.take(&chunk, &mut each);
    }
    if is_intact && rows.pending.is_empty() { Ok(rows.count) } else { Err(RawLogError::Row { after: rows.last }) }
}

/// Takes the answer apart, however it is cut into chunks. PostgreSQL sends a row a chunk.
struct Rows {
    pending: Vec<u8>,
    is_begun: bool,
    last: u64,
    count: u64,
}

impl Rows {
    /// `false` if the bytes can't be rows.
    fn take(&mut self, chunk: &[u8], each: &mut impl FnMut(Entry<'_>)) -> bool {
        if self.pending.is_empty() {
            match self.rows(chunk, each) {
                Some(used) => self.pending.extend_from_slice(&chunk[used..]),
                None => return false,
            }
        } else {
            let mut bytes = std::mem::take(&mut self.pending);
            bytes.extend_from_slice(chunk);
            match self.rows(&bytes, each) {
                Some(used) => self.pending = bytes.split_off(used),
                None => return false,
            }
        }
        true
    }

    /// Gives every whole row to `each`; answers how many bytes were used.
    fn rows(&mut self, bytes: &[u8], each: &mut impl FnMut(Entry<'_>)) -> Option<usize> {
        let mut rest = bytes;
        if !self.is_begun {
            // Signature, flags, and the length of an extension that nobody uses.
            let Some((head, after)) = rest.split_at_checked(SIGNATURE.len() + 8) else { return Some(0) };
            if !head.starts_with(SIGNATURE) || head[SIGNATURE.len()..] != [0; 8] {
                return None;
            }
            self.is_begun = true;
            rest = after;
        }
        loop {
            let used = bytes.len() - rest.len();
            let Some((count, after)) = rest.split_first_chunk() else { return Some(used) };
            match i16::from_be_bytes(*count) {
                -1 => return after.is_empty().then_some(bytes.len()),
                count if usize::try_from(count) == Ok(COLUMNS) => {}
                _ => return None,
            }
            rest = after;
            let mut fields = [[].as_slice(); COLUMNS];
            for field in &mut fields {
                let Some((length, after)) = rest.split_first_chunk() else { return Some(used) };
                // No column of the log may be null, which is -1.
                let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
                let Some((value, after)) = after.split_at_checked(length) else { return Some(used) };
                *field = value;
                rest = after;
            }
            let event = row(&fields)?;
            self.last = event.position;
            self.count += 1;
            each(event);
        }
    }
}

fn row<'a>(fields: &[&'a [u8]; COLUMNS]) -> Option<Entry<'a>> {
    let int8 = |index: usize| Some(i64::from_be_bytes(fields[index].try_into().ok()?));
    let number = |index: usize| u64::try_from(int8(index)?).ok();
    let uuid = |index: usize| Uuid::from_slice(fields[index]).ok();
    let text = |index: usize| std::str::from_utf8(fields[index]).ok();
    Some(Entry {
        position: number(0)?,
        event_id: uuid(1)?,
        tenant_id: uuid(2)?,
        aggregate_type: text(3)?,
        aggregate_id: text(4)?,
        sequence: number(5)?,
        event_type: text(6)?,
        event_version: text(7)?,
        payload: text(8)?,
        metadata: text(9)?,
        recorded_at: int8(10)?.checked_add(POSTGRES_EPOCH_US)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(positions: &[i64]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; 8]].concat();
        for position in positions {
            bytes.extend(11_i16.to_be_bytes());
            let fields: [&[u8]; COLUMNS] = [
                &position.to_be_bytes(),
                &[1; 16],
                &[2; 16],
                b"AgentQuota",
                "é".as_bytes(),
                &7_i64.to_be_bytes(),
                b"QuotaSent",
                b"1",
                b"{ }",
                b"{}",
                &0_i64.to_be_bytes(),
            ];
            for field in fields {
                bytes.extend(i32::try_from(field.len()).unwrap().to_be_bytes());
                bytes.extend(field);
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn positions(answer: &[u8], cut: usize) -> Option<Vec<u64>> {
        let mut rows = Rows { pending: vec![], is_begun: false, last: 0, count: 0 };
        let mut found = vec![];
        let is_intact = answer.chunks(cut).all(|chunk| {
            rows.take(chunk, &mut |event| {
                assert_eq!((event.aggregate_id, event.payload), ("é", "{ }"));
                assert_eq!(event.recorded_at, POSTGRES_EPOCH_US);
                found.push(event.position);
            })
        });
        (is_intact && rows.pending.is_empty()).then_some(found)
    }

    #[test]
    fn rows_are_found_however_the_answer_is_cut() {
        let answer = answer(&[1, 2, 3]);
        for cut in 1..=answer.len() {
            assert_eq!(positions(&answer, cut), Some(vec![1, 2, 3]), "{cut}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_or_is_no_answer_is_refused() {
        let answer = answer(&[1, -5]);
        assert_eq!(positions(&answer, 1_000), None);
        assert_eq!(positions(&answer[..60], 7), None);
        assert_eq!(positions(b"PGCOPY is something else entirely", 40), None);
    }
}
