//! A tenant's rules about movements of quota (row Q4, and the limits of Q2 and Q3).

pub mod body;
pub mod get;
pub mod set;

use crate::access::{ADMINS, SUPER_ADMINS};
use crate::route::{Route, route};

/// `/v1/risk-rules`.
pub(crate) fn routes() -> Vec<Route> {
    vec![route!(ADMINS, get, []), route!(SUPER_ADMINS, set, [])]
}
