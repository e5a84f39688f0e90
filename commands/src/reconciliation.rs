//! Use cases of reconciliation runs.

pub mod abandon;
pub mod complete;
pub mod request;
