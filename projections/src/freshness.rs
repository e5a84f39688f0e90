//! How current a model in memory is, and what an event did to it.
//!
//! A model is trusted only while its feed has confirmed within [`TRUST_FOR`] that it has seen the whole log. What is not
//! trusted may still be right, but nothing may be answered from it alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a confirmation of the feed holds.
pub const TRUST_FOR: Duration = Duration::from_secs(1);

/// What applying an event did to a model in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The model changed.
    Applied,
    /// The model knew it already: a repeat, or a command of this process was faster than the feed.
    Old,
    /// Events before it are missing; the entry is not trusted until its whole state is observed.
    Gap,
    /// The event does not concern the model.
    Unrelated,
}

/// Up to where, and when last, a feed has confirmed that a model is current.
#[derive(Debug)]
pub struct Freshness {
    start: Instant,
    position: AtomicU64,
    /// Nanoseconds from `start` to the last confirmation, plus one; zero is never.
    confirmed: AtomicU64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { start: Instant::now(), position: AtomicU64::new(0), confirmed: AtomicU64::new(0) }
    }
}

impl Freshness {
    /// Notes that at `at` the model held everything up to `position`, and that this was the end of the log.
    pub fn mark_fresh(&self, position: u64, at: Instant) {
        self.position.fetch_max(position, Ordering::Release);
        self.confirmed.fetch_max(self.nanos(at).saturating_add(1), Ordering::Release);
    }

    /// Whether the feed has confirmed within [`TRUST_FOR`] before `now`.
    #[must_use]
    pub fn is_trusted(&self, now: Instant) -> bool {
        let confirmed = self.confirmed.load(Ordering::Acquire);
        let limit = u64::try_from(TRUST_FOR.as_nanos()).unwrap_or(u64::MAX);
        confirmed > 0 && self.nanos(now).saturating_sub(confirmed - 1) <= limit
    }

    /// The last confirmed position.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The rule of order for one entry: what to do with the event of `sequence` on top of the state at `known`.
#[must_use]
pub(crate) fn step(known: u64, sequence: u64) -> Effect {
    if sequence <= known {
        Effect::Old
    } else if sequence == known + 1 {
        Effect::Applied
    } else {
        Effect::Gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_begins_with_the_first_confirmation_and_ends_a_second_after_the_last() {
        let freshness = Freshness::default();
        let now = Instant::now();
        assert!(!freshness.is_trusted(now));
        freshness.mark_fresh(7, now);
        assert!(freshness.is_trusted(now));
        assert!(freshness.is_trusted(now + TRUST_FOR));
        assert!(!freshness.is_trusted(now + TRUST_FOR + Duration::from_millis(1)));
        freshness.mark_fresh(5, now + TRUST_FOR);
        assert_eq!(freshness.position(), 7, "a late confirmation takes nothing back");
        assert!(freshness.is_trusted(now + TRUST_FOR + Duration::from_millis(1)));
    }

    #[test]
    fn events_apply_in_order_only() {
        assert_eq!(step(3, 3), Effect::Old);
        assert_eq!(step(3, 4), Effect::Applied);
        assert_eq!(step(3, 5), Effect::Gap);
    }
}
