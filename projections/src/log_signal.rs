//! Wakes readers when the log grows, by PostgreSQL's `listen`.
//!
//! What always holds: a signal is a hint and never a truth. Announcements may be lost with a connection, so whoever waits
//! for one polls as well; what was announced is committed.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bus::subjects::LOG_CHANNEL;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The newest announced head of the log; cheap to clone, one connection for all clones.
#[derive(Clone, Debug)]
pub struct LogSignal {
    announced: watch::Receiver<u64>,
}

impl LogSignal {
    /// Listens on a connection of its own, beside the pool, until `cancel` or until all clones are dropped.
    #[must_use]
    pub fn listen(pool: &PgPool, cancel: CancellationToken) -> Self {
        // A listener keeps its connection for ever. One out of the caller's pool would starve the queries.
        let options = (*pool.connect_options()).clone();
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LAST_RETRY)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options);
        let (sender, announced) = watch::channel(0);
        tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = sender.closed() => {}
                () = forward(&own, &sender) => {}
            }
        });
        Self { announced }
    }

    /// A signal that somebody else sends, e.g. the committer of this process.
    #[must_use]
    pub fn sent_by(announced: watch::Receiver<u64>) -> Self {
        Self { announced }
    }

    /// The newest announced head; 0 before the first announcement.
    #[must_use]
    pub fn announced(&self) -> u64 {
        *self.announced.borrow()
    }

    /// Returns when a head beyond `position` is announced; never, if nobody announces any more.
    pub async fn beyond(&mut self, position: u64) {
        if self.announced.wait_for(|head| *head > position).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn forward(own: &PgPool, sender: &watch::Sender<u64>) {
    let mut retry = FIRST_RETRY;
    loop {
        let error = match listen(own).await {
            Ok(mut listener) => {
                retry = FIRST_RETRY;
                announce_all(&mut listener, sender).await
            }
            Err(error) => error,
        };
        tracing::warn!(%error, retry_ms = retry.as_millis(), "not listening to the log, readers poll");
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

async fn listen(own: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(LOG_CHANNEL).await?;
    Ok(listener)
}

async fn announce_all(listener: &mut PgListener, sender: &watch::Sender<u64>) -> sqlx::Error {
    loop {
        match listener.recv().await {
            Ok(notification) => {
                // Anything but a number comes from somebody who is not the log.
                let Ok(head) = notification.payload().parse::<u64>() else { continue };
                sender.send_if_modified(|known| {
                    let newer = head > *known;
                    *known = head.max(*known);
                    newer
                });
            }
            Err(error) => return error,
        }
    }
}
