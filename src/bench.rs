//! Measurements, each beside a rival in the same run on the same machine, so that a noisy machine moves both.
//!
//! Results go to `target/bench.jsonl`, one line each, and to a table.

pub mod commands;
pub mod load;
pub mod report;
pub mod scene;
pub mod transfers;
