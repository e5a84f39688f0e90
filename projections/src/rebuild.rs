//! Rebuild: a new generation is filled from the log beside the serving one and switched to without a gap.
//!
//! The old one serves, and is kept up to date by its runner, until the switch. The switch locks it, adds to the new one
//! what is still missing, moves the views, and commits all that as one step. An interrupted build leaves tables that
//! nobody reads; the next one goes on with them or drops them.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgPool};

use crate::apply::{self, Folded, ReadAhead, RunError, WriteConnection, WriteError, source_error};
use crate::generation::{self, Generation, GenerationError, GenerationState, Leftover};
use crate::projection::Projection;
use crate::runner::RunnerOptions;
use crate::source::{OpenEvents, RunSource as _};

/// Events in one transaction of a build.
const BUILD_RUN: usize = 20_000;
/// How far behind the serving generation the new one may be when the switch begins.
const SWITCH_GAP: u64 = 5_000;
/// How often a switch is tried that queries in progress keep from their views.
const SWITCH_TRIES: u32 = 60;

/// Why a rebuild did not come to its end. The old generation serves on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody else builds this read model.
    #[error("the read model {0} is being built by another process")]
    Busy(String),
    /// The tables can't be managed.
    #[error("the generations can't be managed")]
    Generation(#[from] GenerationError),
    /// The events can't be had.
    #[error("the build has no next run")]
    Run(#[from] RunError),
    /// The database refused.
    #[error("the build can't write")]
    Database(#[from] sqlx::Error),
    /// Another build wrote into the new generation, or dropped it.
    #[error("the generation being built is not where this build left it")]
    Overtaken,
    /// Queries that take too long kept the switch from the views.
    #[error("queries in progress kept the views from being switched")]
    ViewsInUse(#[source] sqlx::Error),
}

impl From<WriteError> for RebuildError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Overtaken => Self::Overtaken,
            WriteError::Database(error) => Self::Database(error),
        }
    }
}

/// Builds a new generation of a read model from the whole log and switches to it; the new generation.
///
/// Safe to interrupt at any moment, and while the serving generation's runner works in this or another process.
///
/// # Errors
/// [`RebuildError`]; the old generation serves on.
pub async fn rebuild<P: Projection, O: OpenEvents>(
    pool: &PgPool,
    projection: &Arc<P>,
    events: &Arc<O>,
    leftover: Leftover,
) -> Result<Generation, RebuildError>
where
    P::Rows: 'static,
{
    // One build at a time, for as long as this connection lives. That is a courtesy: the checkpoint's guard is what keeps
    // two builds apart.
    let mut turn = pool.begin().await?;
    let mine: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtext('quotary rebuild'), hashtext($1))")
        .bind(projection.name())
        .fetch_one(&mut *turn)
        .await?;
    if !mine {
        return Err(RebuildError::Busy(projection.name().to_owned()));
    }
    generation::ensure(pool, &**projection).await?;
    let mut building = generation::building(pool, &**projection, leftover).await?;
    tracing::info!(
        projection = building.name,
        generation = building.generation,
        from = building.checkpoint,
        "building"
    );
    loop {
        let serving = generation::ensure(pool, &**projection).await?;
        let head: i64 = sqlx::query_scalar("select position from public.log_head").fetch_one(pool).await?;
        catch_up(pool, projection, events, &mut building, head.cast_unsigned().max(serving.checkpoint)).await?;
        if let Some(switched) = try_switch(pool, &**projection, &**events, &building).await? {
            generation::drop_unused(pool, &**projection, Leftover::Resume).await?;
            turn.commit().await?;
            tracing::info!(projection = switched.name, generation = switched.generation, "switched");
            return Ok(switched);
        }
    }
}

/// Fills `building` up to `target`, a position that the log has.
async fn catch_up<P: Projection, O: OpenEvents>(
    pool: &PgPool,
    projection: &Arc<P>,
    events: &Arc<O>,
    building: &mut Generation,
    target: u64,
) -> Result<(), RebuildError>
where
    P::Rows: 'static,
{
    if building.checkpoint >= target {
        return Ok(());
    }
    let mut ahead = ReadAhead::start(projection.clone(), events.clone(), building.checkpoint, BUILD_RUN);
    while building.checkpoint < target {
        let run = ahead.next().await?;
        let last = run.last;
        apply::write(pool, &**projection, building, run, RunnerOptions::default()).await?;
        building.checkpoint = last;
    }
    Ok(())
}

/// Switches to `building`; `None` if it has fallen too far behind meanwhile.
async fn try_switch<P: Projection, O: OpenEvents>(
    pool: &PgPool,
    projection: &P,
    events: &O,
    building: &Generation,
) -> Result<Option<Generation>, RebuildError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match switch(pool, projection, events, building).await {
            Err(RebuildError::Generation(GenerationError::Database(error))) if is_lock_timeout(&error) => {
                if tries == SWITCH_TRIES {
                    return Err(RebuildError::ViewsInUse(error));
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn switch<P: Projection, O: OpenEvents>(
    pool: &PgPool,
    projection: &P,
    events: &O,
    building: &Generation,
) -> Result<Option<Generation>, RebuildError> {
    let mut connection = WriteConnection::acquire(pool).await?;
    let mut transaction = connection.pooled.begin().await?;
    generation::become_projector(&mut transaction, generation::SILENT_AT_MOST).await?;
    // Its runner stands still from here on: it takes the same lock for every run.
    let Some(old) = generation::serving(&mut transaction, projection.name()).await? else {
        return Ok(None);
    };
    let Some(goal) = apply::lock(&mut transaction, &old).await? else {
        return Ok(None);
    };
    if apply::lock(&mut transaction, building).await? != Some(building.checkpoint) {
        return Err(RebuildError::Overtaken);
    }
    if goal.saturating_sub(building.checkpoint) > SWITCH_GAP {
        return Ok(None);
    }
    // This commit waits for the disk, and with it all that was written before: from then on it is read.
    let mut switched = Generation { state: GenerationState::Serving, ..building.clone() };
    if let Some(rest) = collect(projection, events, building.checkpoint, goal).await? {
        switched.checkpoint = rest.last;
        apply::write_locked(&mut transaction, projection, &switched, rest).await?;
    }
    generation::set_state(&mut transaction, &old, "retired").await?;
    generation::set_state(&mut transaction, building, "serving").await?;
    // A query that reads two views may hold one and want the other while this transaction does the reverse. Giving up
    // before PostgreSQL looks for deadlocks (1 s) means that never a query is the one to fail.
    transaction.execute("set local lock_timeout to '400ms'").await.map_err(GenerationError::from)?;
    generation::point_views(&mut transaction, projection, building).await?;
    transaction.commit().await?;
    connection.intact = true;
    Ok(Some(switched))
}

/// The rows of the events after `after` up to `goal`, which the log has; `None` if there are none.
async fn collect<P: Projection, O: OpenEvents>(
    projection: &P,
    events: &O,
    after: u64,
    goal: u64,
) -> Result<Option<Folded<P::Rows>>, RunError> {
    if goal <= after {
        return Ok(None);
    }
    let mut source = events.open(after).await.map_err(source_error::<O::Source>)?;
    let mut run = Vec::new();
    while (run.len() as u64) < goal - after {
        let missing = goal - after - run.len() as u64;
        run.extend(
            source.next(usize::try_from(missing).unwrap_or(usize::MAX)).await.map_err(source_error::<O::Source>)?,
        );
    }
    apply::fold(projection, after + 1, &run).await
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("55P03")
}
