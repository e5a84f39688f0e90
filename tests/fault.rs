//! Faults of every kind while money moves, and every promise checked afterwards: at length for `make fault`, a few of each
//! kind in `make test`. `docs/faults.md` says what is done, how a run is repeated, and how its table is read.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(clippy::print_stdout, reason = "the table is what this is for")]

#[path = "fault/mod.rs"]
mod harness;
mod support;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_any_kind_breaks_a_promise() {
    let asked_for = support::number_from_environment("QUOTARY_FAULTS");
    let chance = RandomState::new().hash_one(0) % 1_000_000_000;
    let seed = support::number_from_environment("QUOTARY_FAULT_SEED").unwrap_or(chance);
    let only = support::words_from_environment("QUOTARY_FAULT_ONLY");
    let report = asked_for.is_some() && only.is_empty();
    harness::run(harness::Options { seed, faults: asked_for.unwrap_or(2), report, only }).await;
}
