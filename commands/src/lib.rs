//! The write side: the event log with group commit, the unit of work, receipts, the aggregate cache, and one file per
//! use case.
//!
//! Every change of Quotary goes through [`EventLog::execute`](event_log::EventLog::execute); nothing else writes the log.

pub mod account;
pub mod bill;
pub mod cache;
pub mod callback;
pub mod case;
pub mod clock;
pub mod context;
pub mod event_log;
pub mod fault_point;
pub mod ledger;
pub mod license;
pub mod license_batch;
pub mod license_key;
pub mod log;
pub mod order;
pub mod password;
pub mod project;
pub mod proposal;
pub mod quota;
pub mod reconciliation;
pub mod refusal;
pub mod risk;
pub mod session;
pub mod snapshot;
pub mod stock;
pub mod tenant;
pub mod unit;
pub mod use_case;
pub mod vault;
pub mod withdrawal;

pub use context::{Context, Idempotency};
pub use event_log::{CommandError, Done, EventLog};
pub use log::committer::Limits;
pub use refusal::Refusal;
pub use unit::{Handle, Plan, Unit};
pub use use_case::{Commands, Outcome};
pub use vault::{Vault, VaultError};
