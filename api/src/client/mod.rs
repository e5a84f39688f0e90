//! The calls of client software, signed by RFC 9421.
//!
//! What must always hold: every call goes through `ClientCalls::receive`, which believes nothing before the
//! signature was verified; the usual verification touches neither PostgreSQL nor a lock that anyone holds for long.

pub mod activate;
pub mod answer;
mod call;
pub mod checkout;
pub mod counts;
pub mod deactivate;
mod decision;
mod from_log;
pub mod heartbeat;
pub mod keys;
pub mod lease;
pub mod query;
pub mod request;
pub mod timestamp;
pub mod usage;
pub mod verify;

pub use counts::VerificationCounts;
pub(crate) use decision::kept;
pub use from_log::FromLogError;
pub use keys::ClientKeys;
pub use request::{ActivateRequest, DeactivateRequest, HeartbeatRequest, QueryRequest, UsageRequest, VerifyRequest};

use crate::access::Access;
use crate::route::{Route, route};

/// `/v1/client/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(Access::Client, verify, [Contention]),
        route!(Access::Client, activate, [Contention]),
        route!(Access::Client, heartbeat, [Contention]),
        route!(Access::Client, usage, [NotFound, WrongStatus, ProjectDisabled, UsageLimitReached, Contention]),
        route!(Access::Client, deactivate, [NotFound, WrongStatus, ProjectDisabled, Contention]),
        route!(Access::Client, query, [NotFound]),
        route!(
            Access::Client,
            checkout,
            [
                NotFound,
                WrongStatus,
                LicenseExpired,
                LicenseSuspended,
                LicenseBanned,
                ProductScopeMismatch,
                FingerprintScopeMismatch,
                TooManyMachines,
                HeartbeatDead,
                EntitlementsMissing,
                ProjectDisabled,
                Contention
            ]
        ),
    ]
}
