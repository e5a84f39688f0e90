//! What the whole-system tests share: the binary as real processes, over a database and a stream of a test's own.
//!
//! What always holds: tests wait for a condition with a bound, never for a time; a process that a test started ends with
//! the value that stands for it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod api;
pub mod derived;
pub mod dice;
pub mod installation;
pub mod process;
pub mod vendor;

use std::time::{Duration, Instant};

/// How often a condition is looked at that nothing announces.
const LOOK: Duration = Duration::from_millis(40);

/// Waits until `condition` gives a value, at most for `bound`.
pub async fn eventually<T>(what: &str, bound: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < bound, "{what}: not within {bound:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A variable of the environment that `make test` sets.
#[expect(clippy::disallowed_methods, reason = "the servers of the tests are given by the environment")]
pub fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `make test` sets it"))
}

/// A number of the environment, if it is set.
#[expect(clippy::disallowed_methods, reason = "the length of the fault harness is given by the environment")]
pub fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The words of a variable of the environment, with commas between; none if it is not set.
#[expect(clippy::disallowed_methods, reason = "what the fault harness does is given by the environment")]
pub fn words_from_environment(name: &str) -> Vec<String> {
    let text = std::env::var(name).unwrap_or_default();
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
