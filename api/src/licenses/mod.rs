//! Licences of agents: shown, and changed by those who sold them or stand above (rows L5–L7).

mod body;
pub mod change;
pub mod explain;
pub mod get;
pub mod list;

pub use body::LicenseBody;
use change::{disable, enable, move_to_plan, renew, revoke, transfer, unbind};

use crate::access::{Access, QUOTA_HOLDERS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/licenses…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(Access::Account, explain, []),
        route!(QUOTA_HOLDERS, unbind, [WrongStatus, LimitReached]),
        route!(QUOTA_HOLDERS, disable, [WrongStatus]),
        route!(QUOTA_HOLDERS, enable, [WrongStatus, BatchRefunded]),
        route!(QUOTA_HOLDERS, revoke, [WrongStatus]),
        route!(QUOTA_HOLDERS, transfer, [WrongStatus, LimitReached]),
        route!(SUPER_ADMINS, renew, [WrongStatus]),
        route!(SUPER_ADMINS, move_to_plan, [WrongStatus, LimitReached]),
    ]
}
