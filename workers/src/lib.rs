//! What runs by itself: the relay to the bus, the seal of the log, the workers of read models, and process managers.
//!
//! Table of contents of all workers: each is safe to run in any number of processes.

pub mod deliver_callbacks;
pub mod disable_refunded;
pub mod erase_keys;
pub mod expire_holds;
pub mod expire_licenses;
pub mod issue_batches;
pub mod leader;
pub mod reconcile;
pub mod reconcile_bills;
pub mod relay;
pub mod seal;
