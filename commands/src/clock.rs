//! The write side's clock and source of ids: the only place that reads either.

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;
#[cfg(debug_assertions)]
use uuid::{NoContext, Timestamp};

/// Now, to the microsecond that PostgreSQL keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> DateTime<Utc> {
    #[cfg(debug_assertions)]
    if let Some(error) = crate::fault_point::clock_error() {
        return (Utc::now() + error).trunc_subsecs(6);
    }
    Utc::now().trunc_subsecs(6)
}

/// A new id: UUID version 7, so that ids made together stand together in an index.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the source of ids")]
pub fn new_id() -> Uuid {
    #[cfg(debug_assertions)]
    if let Some(error) = crate::fault_point::clock_error() {
        let wrong = Utc::now() + error;
        let seconds = u64::try_from(wrong.timestamp()).unwrap_or_default();
        return Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, wrong.timestamp_subsec_nanos()));
    }
    Uuid::now_v7()
}
