//! How the deliveries of callbacks are doing, for `/metrics`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use quotary_commands::clock;

/// Figures of this process; those of the queue are there while it delivers.
#[derive(Debug, Default)]
pub struct CallbackStatus {
    delivered: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    interrupted: AtomicU64,
    pending: AtomicU64,
    oldest: AtomicI64,
}

/// A look at a [`CallbackStatus`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallbackReport {
    /// Callbacks that were delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Callbacks that were given up.
    pub dead: u64,
    /// How often the delivery was interrupted.
    pub interrupted: u64,
    /// Callbacks on their way.
    pub pending: u64,
    /// For how many seconds the oldest of them has been; 0 if there is none.
    pub oldest_seconds: u64,
}

impl CallbackStatus {
    pub(super) fn attempted(&self, delivered: bool) {
        let counter = if delivered { &self.delivered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gave_up(&self, count: u64) {
        self.dead.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn interrupted(&self) {
        self.interrupted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn queue(&self, pending: u64) {
        self.pending.store(pending, Ordering::Relaxed);
    }

    pub(super) fn oldest(&self, at: Option<DateTime<Utc>>) {
        self.oldest.store(at.map_or(0, |at| at.timestamp()), Ordering::Relaxed);
    }

    /// A look at the figures.
    #[must_use]
    pub fn report(&self) -> CallbackReport {
        let oldest = self.oldest.load(Ordering::Relaxed);
        let age = if oldest == 0 { 0 } else { (clock::now().timestamp() - oldest).max(0) };
        CallbackReport {
            delivered: self.delivered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            interrupted: self.interrupted.load(Ordering::Relaxed),
            pending: self.pending.load(Ordering::Relaxed),
            oldest_seconds: age.cast_unsigned(),
        }
    }
}
