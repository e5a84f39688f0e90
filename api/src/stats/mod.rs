//! Statistics over what an account may see (rows S1, S4).

pub mod activity;
pub mod funnel;
pub mod licenses;
mod period;
pub mod quota;

use crate::access::Access;
use crate::route::{Route, route};

/// `/v1/stats/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(Access::Account, licenses, []),
        route!(Access::Account, quota, []),
        route!(Access::Account, activity, []),
        route!(Access::Account, funnel, []),
    ]
}
