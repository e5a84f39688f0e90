//! The log, for auditors (row C6).

pub mod events;

use crate::access::AUDITORS;
use crate::route::{Route, route};

/// `/v1/audit/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![route!(AUDITORS, events, [])]
}
