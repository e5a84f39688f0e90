//! Projects with their plans and grants (rows P1–P3, P5).

pub mod add_plan;
pub mod answer;
pub mod change;
pub mod change_plan;
pub mod create;
pub mod disable;
pub mod enable;
pub mod get;
pub mod grant;
pub mod key_set;
pub mod list;
pub mod list_grants;
pub mod list_plans;
pub mod revoke_grant;
pub mod rotate_credentials;
pub mod rotate_signing_key;

use crate::access::{ADMINS, Access, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/projects…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(SUPER_ADMINS, create, []),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(SUPER_ADMINS, change, []),
        route!(SUPER_ADMINS, disable, []),
        route!(SUPER_ADMINS, enable, []),
        route!(SUPER_ADMINS, rotate_credentials, []),
        route!(SUPER_ADMINS, rotate_signing_key, [LimitReached]),
        route!(Access::Anyone, key_set, [NotFound, InvalidParameter]),
        route!(SUPER_ADMINS, add_plan, [LimitReached]),
        route!(SUPER_ADMINS, change_plan, []),
        route!(Access::Account, list_plans, []),
        route!(ADMINS, grant, [LimitReached]),
        route!(ADMINS, revoke_grant, []),
        route!(Access::Account, list_grants, []),
    ]
}
