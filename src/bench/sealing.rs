//! The seal beside a measurement: on the same two cores, as in a process that serves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quotary_audit::note::{Algorithm, SignerKey};
use quotary_workers::seal::heads::Heads;
use quotary_workers::seal::{self, SealError, SealOptions, SealStatus};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::scene::Failure;

/// A running sealer.
pub struct Sealing {
    status: Arc<SealStatus>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), SealError>>,
}

impl Sealing {
    /// Seals the log of `pool` and keeps its head in `folder`.
    ///
    /// # Errors
    /// Never: the key's name is a good one.
    pub fn start(pool: &PgPool, folder: &Path) -> Result<Self, Failure> {
        let key = SignerKey::from_seed("localhost/bench", Algorithm::Ed25519, &[7; 32])?;
        let options = SealOptions::new(vec![key], Heads::new().in_folder(folder));
        let (status, cancel) = (options.status.clone(), CancellationToken::new());
        let task = tokio::spawn(seal::run(pool.clone(), options, cancel.clone()));
        Ok(Self { status, cancel, task })
    }

    /// Waits until the log is sealed up to `position`; how long that took.
    ///
    /// # Errors
    /// If it is refused, or takes more than ten minutes.
    pub async fn reach(&self, position: u64) -> Result<Duration, Failure> {
        let start = Instant::now();
        while self.status.report().size < position {
            if self.status.report().is_refused || start.elapsed() > Duration::from_secs(600) {
                return Err(format!("the log is not sealed: {:?}", self.status.report()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(start.elapsed())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it had failed.
    pub async fn stop(self) -> Result<(), Failure> {
        self.cancel.cancel();
        Ok(self.task.await??)
    }
}
