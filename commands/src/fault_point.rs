//! Named points at which the fault harness stops a process, and the clock that it moves. Debug builds alone have them.
//!
//! `QUOTARY_FAULT_DIRECTORY` names a directory. A process that comes to the point `p` and finds a file `p` in it renames that
//! to `p.reached` and waits until `p.reached` is gone: whoever put the file there can kill or freeze the process meanwhile, or
//! let it go on. A file stops one passage. The file `clock` there holds the milliseconds by which the process' clock is
//! wrong. What always holds: a release build has none of this, and without the variable a debug build does nothing.

use futures::future::BoxFuture;

/// Decided and queued, and not sent to the database yet.
pub const BEFORE_APPEND: &str = "before-append";
/// The database has committed a batch, and nobody who waits for it has been told.
pub const AFTER_APPEND: &str = "after-append";
/// A command is in the log for good, and its caller is about to be told.
pub const BEFORE_ACKNOWLEDGEMENT: &str = "before-acknowledgement";
/// `JetStream` has a run of events, and the relay does not know it yet.
pub const AFTER_PUBLISH: &str = "after-publish";
/// The rows of a read model are written, its checkpoint too, and nothing is committed.
pub const BEFORE_CHECKPOINT: &str = "before-checkpoint";

/// Waits at the point `name` if it is armed.
#[cfg(not(debug_assertions))]
#[expect(clippy::unused_async, reason = "a debug build waits here")]
#[inline]
pub async fn reach(_name: &'static str) {}

#[cfg(debug_assertions)]
pub use armed::reach;

/// What the runners of read models await before they commit, in debug builds.
#[must_use]
pub fn before_commit() -> Option<fn() -> BoxFuture<'static, ()>> {
    if cfg!(debug_assertions) { Some(|| Box::pin(reach(BEFORE_CHECKPOINT))) } else { None }
}

/// By how much the process' clock is wrong.
#[cfg(debug_assertions)]
pub(crate) use armed::clock_error;

#[cfg(debug_assertions)]
mod armed {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::time::Duration;

    use chrono::TimeDelta;

    const LOOK: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "not part of the configuration: it is there in debug builds alone")]
    static DIRECTORY: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("QUOTARY_FAULT_DIRECTORY").map(PathBuf::from));

    /// Waits at the point `name` if it is armed.
    pub async fn reach(name: &'static str) {
        let Some(directory) = &*DIRECTORY else { return };
        let reached = directory.join(format!("{name}.reached"));
        if std::fs::rename(directory.join(name), &reached).is_err() {
            return;
        }
        while reached.exists() {
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn clock_error() -> Option<TimeDelta> {
        let text = std::fs::read_to_string(DIRECTORY.as_ref()?.join("clock")).ok()?;
        text.trim().parse().ok().and_then(TimeDelta::try_milliseconds)
    }
}
