//! One run of events into one generation: folded on the way, then rows and checkpoint in one transaction.
//!
//! The guard makes it exactly once: the run is written only if the checkpoint, locked, is the position before the run. A
//! second runner, or one that was frozen and wakes up, finds another value and writes nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quotary_domain::{DecodeError, RecordedEvent};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Postgres, Row};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::generation::{self, Generation, GenerationState};
use crate::projection::Projection;
use crate::runner::RunnerOptions;
use crate::source::{OpenEvents, RunSource};

/// After how many events a fold lets others have the thread.
const YIELD_EVERY: u64 = 256;

/// A run's rows, ready to be written.
pub(crate) struct Folded<R> {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) rows: R,
}

/// Why there is no next run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source failed; asking again may help.
    #[error("the event source failed")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The source failed for good.
    #[error("the event source can't go on")]
    SourceEnded(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The source left positions out or repeated some.
    #[error("the source gave position {found} where {expected} should come")]
    Gap {
        /// The position after the last.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The task that reads ahead broke down.
    #[error("reading ahead broke down")]
    Reader,
    /// An event can't be read; skipping it would make the read model wrong.
    #[error("an event of the log can't be read")]
    Decode(#[from] DecodeError),
}

/// Why a run was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The checkpoint moved without us, or the generation serves no longer.
    #[error("the generation is not where this runner left it")]
    Overtaken,
    #[error("the run can't be written")]
    Database(#[from] sqlx::Error),
}

/// Decodes and folds a run whose first position must be `expected`; `None` for an empty run.
pub(crate) async fn fold<P: Projection>(
    projection: &P,
    expected: u64,
    run: &[RecordedEvent],
) -> Result<Option<Folded<P::Rows>>, RunError> {
    let Some(last) = run.last() else {
        return Ok(None);
    };
    let mut rows = P::Rows::default();
    for (next, recorded) in (expected..).zip(run) {
        if recorded.position != next {
            return Err(RunError::Gap { expected: next, found: recorded.position });
        }
        if projection.concerns(&recorded.aggregate_type) {
            projection.fold(&mut rows, recorded, &recorded.decode()?);
        }
        if next % YIELD_EVERY == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(Some(Folded { first: expected, last: last.position, recorded_at: last.recorded_at, rows }))
}

/// Runs that are read and folded while the one before is being written. Reading ends when this is dropped.
pub(crate) struct ReadAhead<R> {
    runs: mpsc::Receiver<Result<Folded<R>, RunError>>,
    _reader: AbortOnDropHandle<()>,
}

impl<R: Default + Send + 'static> ReadAhead<R> {
    pub(crate) fn start<P, O>(projection: Arc<P>, events: Arc<O>, after: u64, max_run: usize) -> Self
    where
        P: Projection<Rows = R>,
        O: OpenEvents,
    {
        // One run waits, one is written, one is read: what memory holds at most.
        let (sender, runs) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            if let Err(error) = read_on(&*projection, &*events, after, max_run, &sender).await {
                // Nobody listens any more: then the error concerns nobody either.
                drop(sender.send(Err(error)).await);
            }
        });
        Self { runs, _reader: AbortOnDropHandle::new(reader) }
    }

    /// The next run; waits until there is one.
    pub(crate) async fn next(&mut self) -> Result<Folded<R>, RunError> {
        // The reader says why it ends, unless it panics.
        self.runs.recv().await.unwrap_or(Err(RunError::Reader))
    }
}

async fn read_on<P: Projection, O: OpenEvents>(
    projection: &P,
    events: &O,
    mut after: u64,
    max_run: usize,
    sender: &mpsc::Sender<Result<Folded<P::Rows>, RunError>>,
) -> Result<(), RunError> {
    let mut source = events.open(after).await.map_err(source_error::<O::Source>)?;
    loop {
        let run = source.next(max_run).await.map_err(source_error::<O::Source>)?;
        if let Some(folded) = fold(projection, after + 1, &run).await? {
            after = folded.last;
            if sender.send(Ok(folded)).await.is_err() {
                return Ok(());
            }
        }
    }
}

pub(crate) fn source_error<S: RunSource>(error: S::Error) -> RunError {
    if S::passes(&error) { RunError::Source(error.into()) } else { RunError::SourceEnded(error.into()) }
}

/// Writes a run into `generation` and moves its checkpoint, in one transaction.
pub(crate) async fn write<P: Projection>(
    pool: &PgPool,
    projection: &P,
    into: &Generation,
    run: Folded<P::Rows>,
    options: RunnerOptions,
) -> Result<(), WriteError> {
    let mut connection = WriteConnection::acquire(pool).await?;
    let mut transaction = connection.pooled.begin().await?;
    generation::become_projector(&mut transaction, options.silent_at_most).await?;
    if lock(&mut transaction, into).await? != Some(run.first - 1) {
        transaction.rollback().await?;
        connection.intact = true;
        return Err(WriteError::Overtaken);
    }
    write_locked(&mut transaction, projection, into, run).await?;
    if let Some(before_commit) = options.before_commit {
        before_commit().await;
    }
    transaction.commit().await?;
    connection.intact = true;
    Ok(())
}

/// A connection that goes back to the pool only after a write that came to its end.
///
/// A COPY that is dropped on its way (its task was aborted) leaves answers of the server unread, and sqlx would give them
/// to the connection's next user. Closing it rolls everything back.
pub(crate) struct WriteConnection {
    pub(crate) pooled: PoolConnection<Postgres>,
    pub(crate) intact: bool,
}

impl WriteConnection {
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { pooled: pool.acquire().await?, intact: false })
    }
}

impl Drop for WriteConnection {
    fn drop(&mut self) {
        if !self.intact {
            self.pooled.close_on_drop();
        }
    }
}

/// Locks the generation's row; its checkpoint, or `None` if its state is another by now.
pub(crate) async fn lock(connection: &mut PgConnection, generation: &Generation) -> Result<Option<u64>, sqlx::Error> {
    let row = sqlx::query(
        "select checkpoint from public.projections where name = $1 and generation = $2 and state = $3 for update",
    )
    .bind(&generation.name)
    .bind(generation.generation)
    .bind(generation.state.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.try_get::<i64, _>("checkpoint").map(i64::cast_unsigned)).transpose()
}

/// The writing itself, under the lock of [`lock`].
pub(crate) async fn write_locked<P: Projection>(
    connection: &mut PgConnection,
    projection: &P,
    generation: &Generation,
    run: Folded<P::Rows>,
) -> Result<(), sqlx::Error> {
    // Whoever was told that a position is there must find it there after a crash too, so what is read is durable before it
    // is visible. A generation that is only being built need not wait for the disk: a crash may lose its last runs, but
    // rows and checkpoint together, and the commit that begins to serve it makes all of it durable.
    let commit = if generation.state == GenerationState::Serving { "on" } else { "off" };
    let settings =
        format!("set local search_path to {}; set local synchronous_commit to {commit}", generation.schema());
    connection.execute(settings.as_str()).await?;
    projection.write(run.rows, connection).await?;
    sqlx::query("update public.projections set checkpoint = $3 where name = $1 and generation = $2")
        .bind(&generation.name)
        .bind(generation.generation)
        .bind(run.last.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}
