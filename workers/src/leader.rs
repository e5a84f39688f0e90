//! One process at a time does a job: a PostgreSQL session lock on a connection of its own.
//!
//! What always holds: a leader that is gone, cut off or frozen loses the lock within bounded time, because the server ends a
//! session that is silent for longer than [`LeaderOptions::silent_at_most`]; and nobody waits without a bound for an answer
//! over the lock's connection, which may be half open. Jobs are safe under two leaders all the same; the lock only spares
//! the work.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How leadership is taken and kept.
#[derive(Clone, Copy, Debug)]
pub struct LeaderOptions {
    /// How often a process that is not the leader asks again.
    pub ask_again: Duration,
    /// How long the server may take for an answer; a connection without one counts as broken.
    pub answer_within: Duration,
    /// How long a leader may be silent before the server takes the lock from it. [`Leader::is_lost`] and every query on
    /// [`Leader::connection`] break the silence.
    pub silent_at_most: Duration,
}

impl Default for LeaderOptions {
    fn default() -> Self {
        Self {
            ask_again: Duration::from_millis(500),
            answer_within: Duration::from_secs(5),
            silent_at_most: Duration::from_secs(15),
        }
    }
}

/// The right to do a job.
#[derive(Debug)]
pub struct Leader {
    connection: PgConnection,
    answer_within: Duration,
}

impl Leader {
    /// Waits until the job is this process'; `None` if `cancel` comes first.
    ///
    /// # Errors
    /// If PostgreSQL can't be reached.
    pub async fn wait(pool: &PgPool, job: &str, cancel: &CancellationToken) -> Result<Option<Self>, sqlx::Error> {
        Self::wait_with(pool, job, LeaderOptions::default(), cancel).await
    }

    /// [`Leader::wait`] with other options.
    ///
    /// # Errors
    /// As [`Leader::wait`].
    pub async fn wait_with(
        pool: &PgPool,
        job: &str,
        options: LeaderOptions,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut leader = tokio::select! {
            connected = Self::connect(pool, options) => connected?,
            () = cancel.cancelled() => return Ok(None),
        };
        loop {
            let asked = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))").bind(job);
            let is_ours: bool = within(options.answer_within, asked.fetch_one(&mut leader.connection)).await?;
            if is_ours {
                return Ok(Some(leader));
            }
            tokio::select! {
                () = cancel.cancelled() => {
                    leader.resign().await?;
                    return Ok(None);
                }
                () = tokio::time::sleep(options.ask_again) => {}
            }
        }
    }

    async fn connect(pool: &PgPool, options: LeaderOptions) -> Result<Self, sqlx::Error> {
        let server = pool.connect_options();
        let mut connection = within(options.answer_within, PgConnection::connect_with(&server)).await?;
        // The first ends the session of a leader that is frozen or has lost its cable, the rest that of one whose host is
        // gone with a question of ours unanswered.
        let settings = format!(
            "set idle_session_timeout = {}; set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; \
             set tcp_keepalives_count = 3",
            options.silent_at_most.as_millis()
        );
        within(options.answer_within, connection.execute(settings.as_str())).await?;
        Ok(Self { connection, answer_within: options.answer_within })
    }

    /// Whether the connection, and the lock with it, is gone, or does not answer in time.
    pub async fn is_lost(&mut self) -> bool {
        within(self.answer_within, self.connection.ping()).await.is_err()
    }

    /// The connection that holds the lock: who works through it has nothing left to work with once the lock is lost.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives the job up.
    ///
    /// # Errors
    /// If the connection is broken; the lock is gone then too, or will be.
    pub async fn resign(self) -> Result<(), sqlx::Error> {
        within(self.answer_within, self.connection.close()).await
    }
}

/// Serves `term` after `term` until `cancel`. One that fails is told by tracing as `what`, and the next comes after a
/// pause; pauses double from the first to the last of `pauses` until a term ends well.
pub async fn again<E: Display, Term: Future<Output = Result<(), E>>>(
    what: &str,
    pauses: (Duration, Duration),
    cancel: &CancellationToken,
    mut term: impl FnMut() -> Term,
) {
    let mut pause = pauses.0;
    while !cancel.is_cancelled() {
        match term().await {
            Ok(()) => pause = pauses.0,
            Err(error) => {
                tracing::warn!(%error, "{what} was interrupted; trying again");
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(pauses.1);
            }
        }
    }
}

async fn within<T>(bound: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let none =
        |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "a lock's connection got no answer in time"));
    timeout(bound, answer).await.map_err(none)?
}
