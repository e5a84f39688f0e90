//! How the relay is doing, for metrics and readiness.
//!
//! What always holds: reading it never waits for the relay.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::RelayError;

/// The relay's live figures; shared by reference.
#[derive(Debug, Default)]
pub struct RelayStatus {
    leads: AtomicBool,
    diverged: AtomicBool,
    published: AtomicU64,
    head: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// [`RelayStatus`] at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// Whether this relay is the one that publishes.
    pub is_leader: bool,
    /// Whether stream and log contradict each other, so that nothing is published until somebody decides.
    pub is_diverged: bool,
    /// The last position known to be stored by JetStream.
    pub published: u64,
    /// Events known to be in the log and not yet known to be stored by JetStream.
    pub lag: u64,
    /// Terms that ended by an error since the start.
    pub failures: u64,
    /// Why the last term ended; `None` when all is well again.
    pub last_error: Option<String>,
}

impl RelayStatus {
    /// The figures now.
    #[must_use]
    pub fn report(&self) -> RelayReport {
        let published = self.published.load(Ordering::Acquire);
        RelayReport {
            is_leader: self.leads.load(Ordering::Acquire),
            is_diverged: self.diverged.load(Ordering::Acquire),
            published,
            lag: self.head.load(Ordering::Acquire).saturating_sub(published),
            failures: self.failures.load(Ordering::Acquire),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The stream was found to agree with the log up to `last`.
    pub(super) fn leads_from(&self, last: u64) {
        self.diverged.store(false, Ordering::Release);
        self.published.store(last, Ordering::Release);
        self.head.store(last, Ordering::Release);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.leads.store(true, Ordering::Release);
    }

    pub(super) fn knows_head(&self, head: u64) {
        self.head.fetch_max(head, Ordering::AcqRel);
    }

    pub(super) fn stored(&self, position: u64) {
        self.published.store(position, Ordering::Release);
    }

    pub(super) fn ended(&self, error: &RelayError) {
        self.leads.store(false, Ordering::Release);
        self.diverged.store(matches!(error, RelayError::Diverged(_)), Ordering::Release);
        self.failures.fetch_add(1, Ordering::AcqRel);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    pub(super) fn stopped(&self) {
        self.leads.store(false, Ordering::Release);
    }
}
