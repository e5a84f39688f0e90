//! The write side: the event log with group commit, the unit of work, receipts, the aggregate cache, and one file per
//! use case.
//!
//! Every change of Quotary goes through [`EventLog::execute`](event_log::EventLog::execute); nothing else writes the log.

pub mod cache;
pub mod clock;
pub mod context;
pub mod event_log;
pub mod license_key;
pub mod log;
pub mod snapshot;
pub mod unit;
pub mod vault;

pub use context::{Context, Idempotency};
pub use event_log::{CommandError, Done, EventLog};
pub use log::committer::Limits;
pub use unit::{Handle, Plan, Unit};
pub use vault::{Vault, VaultError};
