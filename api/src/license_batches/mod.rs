//! Batches of licences: asked for, watched, shown and downloaded (rows L1–L3).

mod batch;
pub mod cancel;
pub mod create;
pub mod export;
pub mod get;
pub mod licenses;
pub mod list;
pub mod refund;

pub use batch::Batch;

use crate::access::{ADMINS, Access, QUOTA_HOLDERS};
use crate::route::{Route, route};

/// `/v1/license-batches…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(QUOTA_HOLDERS, create, [InsufficientQuota, ProjectDisabled, ProjectNotGranted, LimitReached]),
        route!(Access::Account, list, []),
        route!(Access::Account, get, []),
        route!(Access::Account, licenses, []),
        route!(QUOTA_HOLDERS, cancel, [WrongStatus, BatchHasOrder]),
        route!(ADMINS, refund, [AlreadyRefunded, BatchHasOrder]),
        // A command though it is a GET: it is recorded, and may have an empty body.
        route!(
            QUOTA_HOLDERS,
            export,
            [
                Contention,
                IdempotencyKeyReused,
                PreconditionFailed,
                MalformedJson,
                UnknownField,
                WrongType,
                PayloadTooLarge,
                UnsupportedMediaType,
            ]
        ),
    ]
}
