//! Reading one's own writes: a query waits until its read models contain a position, for a bounded time.
//!
//! A read model that is kept up to date in this process wakes its waiters; for one that another process keeps, the table
//! `projections` is asked with growing pauses. Either way the answer is true: the rows are visible.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The checkpoints of the read models that this process keeps up to date.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    watches: Arc<Mutex<HashMap<String, watch::Sender<u64>>>>,
}

/// Why a query can't be answered yet.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The time is over and the read model is not there yet.
    #[error("the read model {name} is at position {checkpoint}, {position} was asked for")]
    Behind {
        /// The read model.
        name: String,
        /// Where it was when last seen.
        checkpoint: u64,
        /// Where it should be.
        position: u64,
    },
    /// The database refused.
    #[error("the read models' checkpoints can't be read")]
    Database(#[from] sqlx::Error),
}

impl Checkpoints {
    /// Tells waiters where a read model stands: durable rows alone. May go back: a database can be restored.
    pub(crate) fn publish(&self, name: &str, checkpoint: u64) {
        let mut watches = self.watches.lock();
        match watches.get(name) {
            Some(sender) => {
                sender.send_if_modified(|known| std::mem::replace(known, checkpoint) != checkpoint);
            }
            None => {
                watches.insert(name.to_owned(), watch::Sender::new(checkpoint));
            }
        }
    }

    /// Forgets a read model that this process keeps no longer.
    pub(crate) fn forget(&self, name: &str) {
        self.watches.lock().remove(name);
    }

    /// The checkpoint of a read model as it moves; `None` if this process does not keep it.
    #[must_use]
    pub fn watch(&self, name: &str) -> Option<watch::Receiver<u64>> {
        self.watches.lock().get(name).map(watch::Sender::subscribe)
    }
}

/// Waits until each of the read models `names` contains `position`, at most for `bound`.
///
/// # Errors
/// [`WaitError::Behind`] when the time is over, [`WaitError::Database`] if the database refuses.
pub async fn wait_for(
    pool: &PgPool,
    checkpoints: &Checkpoints,
    names: &[&str],
    position: u64,
    bound: Duration,
) -> Result<(), WaitError> {
    let deadline = Instant::now() + bound;
    for name in names {
        let mut seen = 0;
        // Also ends a wait for a free connection.
        match timeout_at(deadline, wait_for_one(pool, checkpoints, name, position, &mut seen)).await {
            Ok(done) => done?,
            Err(_) => return Err(WaitError::Behind { name: (*name).to_owned(), checkpoint: seen, position }),
        }
    }
    Ok(())
}

async fn wait_for_one(
    pool: &PgPool,
    checkpoints: &Checkpoints,
    name: &str,
    position: u64,
    seen: &mut u64,
) -> Result<(), WaitError> {
    let mut watch = checkpoints.watch(name);
    if let Some(watch) = &mut watch {
        // Kept here: its word comes before anything the database could say.
        let heard = tokio::time::timeout(LONGEST_PAUSE, reached(watch, position, seen)).await;
        if heard == Ok(true) {
            return Ok(());
        }
    }
    let mut pause = if watch.is_some() { LONGEST_PAUSE } else { FIRST_PAUSE };
    loop {
        *seen = stored(pool, name).await?;
        if *seen >= position {
            return Ok(());
        }
        let next_look = Instant::now() + pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match &mut watch {
            Some(heard) => {
                if timeout_at(next_look, reached(heard, position, seen)).await == Ok(true) {
                    return Ok(());
                }
                sleep_until(next_look).await;
            }
            None => sleep_until(next_look).await,
        }
    }
}

/// True as soon as the watched checkpoint is at `position`; false if nobody moves it any more.
async fn reached(watch: &mut watch::Receiver<u64>, position: u64, seen: &mut u64) -> bool {
    loop {
        *seen = *watch.borrow_and_update();
        if *seen >= position {
            return true;
        }
        if watch.changed().await.is_err() {
            return false;
        }
    }
}

async fn stored(pool: &PgPool, name: &str) -> Result<u64, sqlx::Error> {
    let checkpoint: Option<i64> =
        sqlx::query_scalar("select checkpoint from public.projections where name = $1 and state = 'serving'")
            .bind(name)
            .fetch_optional(pool)
            .await?;
    Ok(checkpoint.unwrap_or(0).cast_unsigned())
}
