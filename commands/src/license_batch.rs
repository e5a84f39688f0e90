//! Use cases of licence batches.

pub mod cancel;
pub mod disable_chunk;
pub mod issue_chunk;
pub mod issue_history;
pub mod record_export;
pub mod refund;
pub mod request;
