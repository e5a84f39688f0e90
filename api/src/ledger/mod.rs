//! The ledger itself (row C5).

pub mod reverse_journal;

use crate::access::SUPER_ADMINS;
use crate::route::{Route, route};

/// `/v1/ledger/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![route!(SUPER_ADMINS, reverse_journal, [AlreadyReversed, NotReversible, InsufficientQuota, ReadModelBehind])]
}
