//! Checks on set-based writes.
//!
//! An event about something that the read model does not know must stop the run, not vanish.

use sqlx::postgres::PgQueryResult;

/// Refuses a write that touched other than `expected` rows.
pub(crate) fn expect_rows(table: &'static str, done: &PgQueryResult, expected: usize) -> Result<(), sqlx::Error> {
    if done.rows_affected() == expected as u64 {
        return Ok(());
    }
    let found = done.rows_affected();
    Err(sqlx::Error::Protocol(format!("{expected} rows of {table} were to change, but {found} are known")))
}
