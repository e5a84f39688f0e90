//! Use cases of tenants.

pub mod create;
