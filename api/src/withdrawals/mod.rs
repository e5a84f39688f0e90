//! Withdrawals: quota turned into money (rows Q3, Q4).

pub mod answer;
pub mod approve;
pub mod cancel;
pub mod get;
pub mod list;
pub mod mark_paid;
pub mod payee;
pub mod refuse;
pub mod release;
pub mod request;

use crate::access::{ADMINS, Access, QUOTA_HOLDERS};
use crate::route::{Route, route};

/// `/v1/withdrawals…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(QUOTA_HOLDERS, request, [InsufficientQuota, LimitReached]),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(QUOTA_HOLDERS, cancel, [WrongStatus]),
        route!(ADMINS, release, [WrongStatus, ReviewOver, OwnRequest]),
        route!(ADMINS, approve, [WrongStatus, OwnRequest, SecondPersonRequired]),
        route!(ADMINS, refuse, [WrongStatus, OwnRequest]),
        route!(ADMINS, mark_paid, [WrongStatus, OwnRequest]),
    ]
}
