//! Callbacks of a project: where they go, what signs them, what became of each (row L11).

pub mod answer;
pub mod get;
pub mod get_delivery;
pub mod list_deliveries;
pub mod replay;
pub mod rotate_secret;
pub mod set;
pub mod test;

use crate::access::{OVERSEERS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/projects/{id}/callbacks…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(OVERSEERS, get, []),
        route!(SUPER_ADMINS, set, []),
        route!(SUPER_ADMINS, rotate_secret, []),
        route!(SUPER_ADMINS, test, [WrongStatus]),
        route!(OVERSEERS, list_deliveries, []),
        route!(OVERSEERS, get_delivery, []),
        route!(SUPER_ADMINS, replay, [WrongStatus]),
    ]
}
