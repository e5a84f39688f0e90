//! Use cases of withdrawals.

pub mod approve;
pub mod mark_paid;
pub mod refuse;
pub mod request;
