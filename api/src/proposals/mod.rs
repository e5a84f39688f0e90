//! Proposals: what takes back more than one person may move alone, until a second super admin confirms it (row U12).

pub mod answer;
pub mod confirm;
pub mod decline;
pub mod get;
pub mod list;

use crate::access::{AUDITORS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/proposals…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(AUDITORS, list, []),
        route!(AUDITORS, get, []),
        route!(
            SUPER_ADMINS,
            confirm,
            [
                SecondPersonRequired,
                ReviewOver,
                WrongStatus,
                AlreadyReversed,
                AlreadyRefunded,
                BatchHasOrder,
                InsufficientQuota,
                AlreadyExists,
                LimitReached
            ]
        ),
        route!(SUPER_ADMINS, decline, [WrongStatus]),
    ]
}
