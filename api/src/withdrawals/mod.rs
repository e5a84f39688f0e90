//! Withdrawals: quota turned into money (row Q3).

pub mod answer;
pub mod approve;
pub mod get;
pub mod list;
pub mod mark_paid;
pub mod payee;
pub mod refuse;
pub mod request;

use crate::access::{ADMINS, Access, QUOTA_HOLDERS};
use crate::route::{Route, route};

/// `/v1/withdrawals…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(QUOTA_HOLDERS, request, [InsufficientQuota, LimitReached]),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(ADMINS, approve, [WrongStatus, OwnRequest]),
        route!(ADMINS, refuse, [WrongStatus, OwnRequest]),
        route!(ADMINS, mark_paid, [WrongStatus, OwnRequest]),
    ]
}
