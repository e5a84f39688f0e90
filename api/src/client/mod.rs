//! The calls of client software: verify, deactivate and query, signed by RFC 9421.
//!
//! What must always hold: every call goes through [`ClientCalls::receive`](ClientCalls), which believes nothing before the
//! signature was verified; the usual verification touches neither PostgreSQL nor a lock that anyone holds for long.

pub mod answer;
mod call;
pub mod counts;
pub mod deactivate;
mod from_log;
pub mod keys;
pub mod query;
pub mod request;
pub mod timestamp;
pub mod verify;

pub use call::{ClientCalls, MAX_BODY_BYTES};
pub use counts::VerificationCounts;
pub use from_log::FromLogError;
pub use request::{DeactivateRequest, QueryRequest, VerifyRequest};
