//! Use cases of withdrawals.

pub mod approve;
pub mod cancel;
pub(crate) mod decide;
pub mod mark_paid;
pub mod refuse;
pub mod release;
pub mod request;
