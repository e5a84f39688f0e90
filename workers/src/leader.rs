//! One process at a time does a job: a PostgreSQL session lock on a connection of its own.
//!
//! A connection that breaks gives up the lock, and [`Leader::is_lost`] tells, so that nobody goes on without it. Jobs are
//! safe under two leaders all the same; the lock only spares the work.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// How often a process that is not the leader asks again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The right to do a job.
#[derive(Debug)]
pub struct Leader {
    connection: PgConnection,
}

impl Leader {
    /// Waits until the job is this process'; `None` if `cancel` comes first.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached.
    pub async fn wait(pool: &PgPool, job: &str, cancel: &CancellationToken) -> Result<Option<Self>, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
        loop {
            let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
                .bind(job)
                .fetch_one(&mut connection)
                .await?;
            if is_ours {
                return Ok(Some(Self { connection }));
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                () = tokio::time::sleep(ASK_AGAIN) => {}
            }
        }
    }

    /// Whether the connection, and the lock with it, is gone.
    pub async fn is_lost(&mut self) -> bool {
        self.connection.ping().await.is_err()
    }

    /// Gives the job up.
    ///
    /// # Errors
    /// If the connection is broken; the lock is gone then too.
    pub async fn resign(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}
