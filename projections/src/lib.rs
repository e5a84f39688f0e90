//! projections

pub mod bus;
pub mod feed;
pub mod log_reader;
pub mod log_signal;
pub mod projection;
pub mod freshness;
pub mod licenses;
pub mod projects;
mod rows;
mod visibility;
pub mod page;
mod apply;
mod copy_rows;
pub mod generation;
pub mod ledger;
pub mod moment;
pub mod rebuild;
pub mod runner;
pub mod source;
pub mod statements;
pub mod wait;
pub mod license_stats;
