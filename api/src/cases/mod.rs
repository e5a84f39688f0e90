//! Cases: differences that reconciliations found, until somebody explained them (rows Q7, Q8).

pub mod answer;
pub mod get;
pub mod list;
pub mod note;
pub mod resolve;

use crate::access::{AUDITORS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/cases…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(AUDITORS, list, []),
        route!(AUDITORS, get, []),
        route!(AUDITORS, note, [LimitReached]),
        route!(SUPER_ADMINS, resolve, [WrongStatus]),
    ]
}
