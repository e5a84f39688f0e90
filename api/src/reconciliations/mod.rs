//! Reconciliations: what we say, compared with the log or with a provider (rows Q7, Q8).

pub mod answer;
pub mod differences;
pub mod get;
pub mod list;
pub mod request;

use crate::access::AUDITORS;
use crate::route::{Route, route};

/// `/v1/reconciliations…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(AUDITORS, request, []),
        route!(AUDITORS, list, []),
        route!(AUDITORS, get, []),
        route!(AUDITORS, differences, []),
    ]
}
