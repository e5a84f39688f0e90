//! The crash harness at length, for `make fault`: as many rounds as `QUOTARY_FAULT_ROUNDS` says, from a seed of chance,
//! and the stock crates as a second reader at the end. Short in `make test`, where the variable is not set.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

#[path = "crash/mod.rs"]
mod harness;
mod support;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

#[tokio::test(flavor = "multi_thread")]
async fn the_promises_hold_over_many_kills() {
    let rounds = support::number_from_environment("QUOTARY_FAULT_ROUNDS").unwrap_or(3);
    let chance = RandomState::new().hash_one(0);
    let seed = support::number_from_environment("QUOTARY_FAULT_SEED").unwrap_or(chance);
    harness::run(harness::Options { seed, rounds, cross_check: true }).await;
}
