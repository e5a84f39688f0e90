//! Rows in PostgreSQL's binary COPY format: the cheapest way to add many rows in one step.
//!
//! The columns of each row are given in the order of the statement's column list; PostgreSQL refuses the whole COPY when a
//! count or a length does not fit.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// 2000-01-01 in Unix microseconds: where PostgreSQL counts from.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// `value` as PostgreSQL can keep it: a text column has no room for U+0000, which JSON can carry, so that one is replaced. An
/// event is a fact; a remark in it must not be able to stop a read model.
pub(crate) fn storable(value: &str) -> Cow<'_, str> {
    if value.contains('\0') { Cow::Owned(value.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(value) }
}

/// Rows gathered for one COPY.
pub(crate) struct CopyRows {
    bytes: Vec<u8>,
    columns: i16,
}

impl CopyRows {
    /// Room for about `rows` rows of `columns` columns.
    pub(crate) fn new(columns: i16, rows: usize) -> Self {
        let mut bytes = Vec::with_capacity(SIGNATURE.len() + rows * 220);
        bytes.extend_from_slice(SIGNATURE);
        Self { bytes, columns }
    }

    /// Begins the next row; exactly as many values as columns must follow.
    pub(crate) fn row(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        self
    }

    pub(crate) fn int8(&mut self, value: i64) -> &mut Self {
        self.value(&value.to_be_bytes())
    }

    pub(crate) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.value(value.as_bytes())
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.value(storable(value).as_bytes())
    }

    pub(crate) fn time(&mut self, value: DateTime<Utc>) -> &mut Self {
        self.int8(value.timestamp_micros() - POSTGRES_EPOCH_US)
    }

    pub(crate) fn time_or_null(&mut self, value: Option<DateTime<Utc>>) -> &mut Self {
        match value {
            Some(value) => self.time(value),
            None => self.null(),
        }
    }

    pub(crate) fn uuid_or_null(&mut self, value: Option<Uuid>) -> &mut Self {
        match value {
            Some(value) => self.uuid(value),
            None => self.null(),
        }
    }

    pub(crate) fn text_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    fn value(&mut self, value: &[u8]) -> &mut Self {
        // Longer values than a COPY field can have do not fit an event either; PostgreSQL refuses the wrong length.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    /// Sends the rows by `statement`, a `copy … from stdin (format binary)`.
    pub(crate) async fn send(mut self, connection: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        let mut copy = connection.copy_in_raw(statement).await?;
        copy.send(self.bytes).await?;
        copy.finish().await?;
        Ok(())
    }
}
