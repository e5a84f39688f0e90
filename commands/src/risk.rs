//! Use cases of a tenant's risk rules.

pub mod set_rules;
