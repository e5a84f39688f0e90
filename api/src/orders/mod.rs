//! Orders: payments at providers, and their refunds (rows Q8, Q9).

pub mod answer;
pub mod get;
pub mod list;
pub mod record;
pub mod refund;

use crate::access::{Access, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/orders…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(SUPER_ADMINS, record, [AlreadyExists, AccountDisabled, AlreadyRefunded, BatchHasOrder]),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(SUPER_ADMINS, refund, [AlreadyRefunded, AlreadyExists, LimitReached]),
    ]
}
