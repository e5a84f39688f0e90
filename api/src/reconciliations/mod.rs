//! Reconciliations: what we say, compared with the log or with a provider (rows Q7, Q8).

pub mod answer;
mod bill_input;
pub mod differences;
pub mod findings;
pub mod get;
pub mod list;
pub mod report;
pub mod request;
pub mod upload_bill;

use crate::access::{AUDITORS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/reconciliations…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(AUDITORS, request, [MappingInvalid, BillUnreadable]),
        route!(AUDITORS, list, []),
        route!(AUDITORS, get, []),
        route!(AUDITORS, differences, []),
        route!(SUPER_ADMINS, upload_bill, []),
        route!(AUDITORS, findings, []),
        route!(AUDITORS, report, [WrongStatus]),
    ]
}
