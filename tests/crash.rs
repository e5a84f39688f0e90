//! Kill -9 at any moment during load, restart: every acknowledged command is in the log once, nothing refused is, the
//! ledger sums to zero at every position, read models equal a replay, the stream's sequence is the log's position.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

#[path = "crash/mod.rs"]
mod harness;
mod support;

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_command_is_lost_or_doubled_by_kills_at_any_moment() {
    let seed = support::number_from_environment("QUOTARY_FAULT_SEED").unwrap_or(20_261_121);
    harness::run(harness::Options { seed, rounds: 12 }).await;
}
