//! Quota: top-ups, transfers and their review, balances, holds and statements (rows Q1, Q2, Q4, Q6).

pub mod account;
pub mod export_statement;
pub mod get_transfer;
pub mod holds;
pub mod list_transfers;
pub mod movement;
pub mod refuse_transfer;
pub mod release_transfer;
pub mod statement;
pub mod top_up;
pub mod transfer;

use crate::access::{ADMINS, Access, QUOTA_HOLDERS};
use crate::route::{Route, route};

/// `/v1/quota/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(ADMINS, top_up, [InsufficientQuota, AccountDisabled, LimitReached]),
        route!(QUOTA_HOLDERS, transfer, [InsufficientQuota, AccountDisabled, LimitReached]),
        route!(Access::Account, list_transfers, []),
        route!(Access::Account, get_transfer, []),
        route!(
            ADMINS,
            release_transfer,
            [TransferNotSuspended, ReviewOver, SecondPersonRequired, AccountDisabled, WrongStatus]
        ),
        route!(ADMINS, refuse_transfer, [TransferNotSuspended, SecondPersonRequired, WrongStatus]),
        route!(Access::Account, account, []),
        route!(Access::Account, holds, []),
        route!(Access::Account, statement, []),
        route!(Access::Account, export_statement, []),
    ]
}
