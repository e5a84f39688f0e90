//! Use cases of quota.

pub mod top_up;
pub mod transfer;
