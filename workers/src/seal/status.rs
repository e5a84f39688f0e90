//! How the seal is doing, for metrics.
//!
//! What always holds: reading it never waits for the sealer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::SealError;

/// The sealer's live figures; shared by reference.
#[derive(Debug, Default)]
pub struct SealStatus {
    leads: AtomicBool,
    refused: AtomicBool,
    size: AtomicU64,
    head: AtomicU64,
    witnessed: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// [`SealStatus`] at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Whether this sealer is the one that works.
    pub is_leader: bool,
    /// Whether the log must not be signed, until somebody decides.
    pub is_refused: bool,
    /// Events under the last checkpoint.
    pub size: u64,
    /// Events known to be in the log and not yet under a checkpoint.
    pub lag: u64,
    /// Events under the last checkpoint that the witness cosigned.
    pub witnessed: u64,
    /// Terms that ended by an error since the start.
    pub failures: u64,
    /// Why the last term ended; `None` when all is well again.
    pub last_error: Option<String>,
}

impl SealStatus {
    /// The figures now.
    #[must_use]
    pub fn report(&self) -> SealReport {
        let size = self.size.load(Ordering::Acquire);
        SealReport {
            is_leader: self.leads.load(Ordering::Acquire),
            is_refused: self.refused.load(Ordering::Acquire),
            size,
            lag: self.head.load(Ordering::Acquire).saturating_sub(size),
            witnessed: self.witnessed.load(Ordering::Acquire),
            failures: self.failures.load(Ordering::Acquire),
            last_error: self.last_error.lock().clone(),
        }
    }

    /// Log, tiles and heads were found to agree.
    pub(super) fn leads_from(&self, size: u64) {
        self.size.store(size, Ordering::Release);
        self.refused.store(false, Ordering::Release);
        *self.last_error.lock() = None;
        self.leads.store(true, Ordering::Release);
    }

    pub(super) fn knows_head(&self, head: u64) {
        self.head.store(head, Ordering::Release);
    }

    pub(super) fn sealed(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    pub(super) fn witnessed(&self, size: u64) {
        self.witnessed.store(size, Ordering::Release);
    }

    pub(super) fn ended(&self, error: &SealError) {
        self.leads.store(false, Ordering::Release);
        self.failures.fetch_add(1, Ordering::AcqRel);
        if let SealError::Refused(_) = error {
            self.refused.store(true, Ordering::Release);
        }
        *self.last_error.lock() = Some(error.to_string());
    }

    pub(super) fn stopped(&self) {
        self.leads.store(false, Ordering::Release);
    }
}
