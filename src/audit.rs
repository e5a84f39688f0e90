//! The auditor's tools: they only read, and they share the log's format with the product, not its projections.

pub mod bundle;
pub mod cross_check;
pub mod export;
pub mod replay;
pub mod verify;
pub mod verify_bundle;
