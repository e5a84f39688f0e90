//! Use cases of the ledger itself.

pub mod reverse;
