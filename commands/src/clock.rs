//! The write side's clock and source of ids: the only place that reads either.

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;

/// Now, to the microsecond that PostgreSQL keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A new id: UUID version 7, so that ids made together stand together in an index.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the source of ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
