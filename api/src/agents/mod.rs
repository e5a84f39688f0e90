//! Accounts below an admin (rows U1, U2, U7, O7).

pub mod answer;
pub mod create;
pub mod disable;
pub mod enable;
pub mod erase_personal_data;
pub mod get;
pub mod list;
pub mod set_commission_rates;
pub mod unlock;

use crate::access::{ADMINS, Access, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/agents…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(ADMINS, create, [Taken, InsufficientQuota, LimitReached, AlreadyExists]),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(ADMINS, disable, []),
        route!(ADMINS, enable, [WrongStatus]),
        route!(SUPER_ADMINS, erase_personal_data, [WrongStatus]),
        route!(ADMINS, unlock, []),
        route!(ADMINS, set_commission_rates, []),
    ]
}
