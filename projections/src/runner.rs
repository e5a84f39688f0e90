//! Runners keep read models up to date: one task per projection, from its source to its serving generation.
//!
//! Every event takes effect exactly once, because rows and checkpoint commit together and only on top of the run before. An
//! event that can't be read stops its projection for all to see and is never skipped; whatever can pass by itself (the
//! database or the bus is away) is tried again with growing pauses, for as long as it takes: nothing piles up meanwhile.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crate::apply::RunError;
use crate::apply::{self, ReadAhead, WriteError};
use crate::generation::{self, Generation, GenerationError, Leftover};
use crate::projection::Projection;
use crate::rebuild::{RebuildError, rebuild};
use crate::source::{OpenEvents, database_passes};
use crate::wait::Checkpoints;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a runner works.
#[derive(Clone, Copy, Debug)]
pub struct RunnerOptions {
    /// Events in one transaction at most.
    pub max_run: usize,
    /// How long a transaction of a runner that is frozen or cut off keeps others from the read model's checkpoint.
    pub silent_at_most: Duration,
    /// Awaited between the writing of a run's rows and their commit; `None` but under test.
    pub before_commit: Option<BeforeCommit>,
}

/// Something to await before a commit.
pub type BeforeCommit = fn() -> BoxFuture<'static, ()>;

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { max_run: 10_000, silent_at_most: generation::SILENT_AT_MOST, before_commit: None }
    }
}

/// How a runner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Keeps its read model up to date.
    Running,
    /// Fills a generation of a newer shape beside the one that serves.
    Building,
    /// Something is away; tries again.
    Retrying,
    /// Was told to stop.
    Stopped,
    /// Gave up: its read model moves no more until someone looks.
    Failed,
}

/// Where a runner stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The read model.
    pub name: &'static str,
    /// The generation that serves; 0 before it is known.
    pub generation: i32,
    /// The last position that the rows contain.
    pub checkpoint: u64,
    /// When the event at that position was recorded; `None` until this runner has written one.
    pub recorded_at: Option<DateTime<Utc>>,
    /// Events written by this runner.
    pub written: u64,
    /// How it is.
    pub health: Health,
    /// What went wrong last, with its causes; `None` once it went well again.
    pub last_error: Option<String>,
}

impl Status {
    /// How many events of a log that ends at `head` are missing.
    #[must_use]
    pub fn lag(&self, head: u64) -> u64 {
        head.saturating_sub(self.checkpoint)
    }
}

/// Why a projection stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no next run.
    #[error("the projection {name} has no next run")]
    Run {
        /// The read model.
        name: &'static str,
        /// Why.
        #[source]
        source: RunError,
    },
    /// The database refused what trying again can't change.
    #[error("the projection {name} can't write")]
    Database {
        /// The read model.
        name: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The generations can't be managed.
    #[error("the generations of {name} can't be managed")]
    Generation {
        /// The read model.
        name: &'static str,
        /// Why.
        #[source]
        source: GenerationError,
    },
    /// A generation of a newer shape can't be built.
    #[error("the next generation of {name} can't be built")]
    Rebuild {
        /// The read model.
        name: &'static str,
        /// Why.
        #[source]
        source: RebuildError,
    },
    /// A newer program took over; this one must not write into tables it does not know.
    #[error("the read model {name} has version {serving}, this program knows {own}")]
    Superseded {
        /// The read model.
        name: &'static str,
        /// What serves.
        serving: i32,
        /// What this program writes.
        own: i32,
    },
    /// The runner's own task broke down.
    #[error("the runner's task broke down")]
    Task(#[source] tokio::task::JoinError),
}

/// What a step of a runner ends with.
enum Step {
    /// Told to stop.
    Stopped,
    /// The generation changed or moved: look again where it stands.
    LookAgain,
}

/// Keeps one read model up to date.
pub struct Runner<P, O> {
    pool: PgPool,
    projection: Arc<P>,
    events: Arc<O>,
    checkpoints: Checkpoints,
    options: RunnerOptions,
    status: Arc<Mutex<Status>>,
}

impl<P: Projection, O: OpenEvents> Runner<P, O> {
    /// A runner of `projection`, fed from `events`; tells `checkpoints` where it stands.
    #[must_use]
    pub fn new(pool: PgPool, projection: P, events: Arc<O>, checkpoints: Checkpoints, options: RunnerOptions) -> Self {
        let status = Status {
            name: projection.name(),
            generation: 0,
            checkpoint: 0,
            recorded_at: None,
            written: 0,
            health: Health::Running,
            last_error: None,
        };
        Self {
            pool,
            projection: Arc::new(projection),
            events,
            checkpoints,
            options,
            status: Arc::new(Mutex::new(status)),
        }
    }

    /// Where it stands, now and later.
    #[must_use]
    pub fn status(&self) -> Arc<Mutex<Status>> {
        self.status.clone()
    }

    /// Works until `stop` is called; a run in progress is finished first.
    ///
    /// # Errors
    /// [`RunnerError`] for what trying again can't change.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunnerError> {
        let name = self.projection.name();
        let mut pause = FIRST_PAUSE;
        let outcome = loop {
            let written = self.status.lock().written;
            // Boxed, because the compiler can't see through so deep a future that it may be sent between threads.
            let error = match self.step(&stop).boxed().await {
                Ok(Step::Stopped) => break Ok(()),
                Ok(Step::LookAgain) => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                Err(error) => error,
            };
            if stop.is_cancelled() {
                // Its source was told to stop as well.
                break Ok(());
            }
            if !passes(&error) {
                break Err(error);
            }
            if self.status.lock().written > written {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(projection = name, error = chain(&error), "trying again");
            self.note(Health::Retrying, Some(&error));
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        self.checkpoints.forget(name);
        match &outcome {
            Ok(()) => self.note(Health::Stopped, None),
            Err(error) => {
                tracing::error!(projection = name, error = chain(error), "the projection stopped");
                self.note(Health::Failed, Some(error));
            }
        }
        outcome
    }

    async fn step(&self, stop: &CancellationToken) -> Result<Step, RunnerError> {
        let name = self.projection.name();
        let own = self.projection.version();
        let serving = generation::ensure(&self.pool, &*self.projection)
            .await
            .map_err(|source| RunnerError::Generation { name, source })?;
        if serving.version > own {
            return Err(RunnerError::Superseded { name, serving: serving.version, own });
        }
        if serving.version < own {
            self.note(Health::Building, None);
            let build = rebuild(&self.pool, &self.projection, &self.events, Leftover::Resume);
            return match stop.run_until_cancelled(build).await {
                None => Ok(Step::Stopped),
                Some(Ok(_)) => Ok(Step::LookAgain),
                Some(Err(source)) => Err(RunnerError::Rebuild { name, source }),
            };
        }
        self.follow(serving, stop).await
    }

    /// Writes run after run into the serving generation.
    async fn follow(&self, mut serving: Generation, stop: &CancellationToken) -> Result<Step, RunnerError> {
        let name = self.projection.name();
        self.at(&serving, None);
        self.note(Health::Running, None);
        let mut ahead =
            ReadAhead::start(self.projection.clone(), self.events.clone(), serving.checkpoint, self.options.max_run);
        loop {
            let Some(run) = stop.run_until_cancelled(ahead.next()).await else {
                return Ok(Step::Stopped);
            };
            let run = run.map_err(|source| RunnerError::Run { name, source })?;
            let (last, recorded_at) = (run.last, run.recorded_at);
            match apply::write(&self.pool, &*self.projection, &serving, run, self.options).await {
                Ok(()) => {}
                Err(WriteError::Overtaken) => {
                    // Another runner is at work, or a rebuild has switched. Whoever came first goes on undisturbed for
                    // a moment.
                    tracing::info!(projection = name, generation = serving.generation, last, "overtaken");
                    tokio::time::sleep(FIRST_PAUSE).await;
                    return Ok(Step::LookAgain);
                }
                Err(WriteError::Database(source)) => return Err(RunnerError::Database { name, source }),
            }
            self.status.lock().written += last - serving.checkpoint;
            serving.checkpoint = last;
            self.at(&serving, Some(recorded_at));
        }
    }

    fn at(&self, serving: &Generation, recorded_at: Option<DateTime<Utc>>) {
        {
            let mut status = self.status.lock();
            status.generation = serving.generation;
            status.checkpoint = serving.checkpoint;
            status.recorded_at = recorded_at.or(status.recorded_at);
        }
        self.checkpoints.publish(self.projection.name(), serving.checkpoint);
    }

    fn note(&self, health: Health, error: Option<&RunnerError>) {
        let mut status = self.status.lock();
        status.health = health;
        status.last_error = error.map(|error| chain(error));
    }
}

/// Whether trying again can help.
fn passes(error: &RunnerError) -> bool {
    match error {
        RunnerError::Run { source, .. } => matches!(source, RunError::Source(_)),
        RunnerError::Database { source, .. } => database_passes(source),
        RunnerError::Generation { source, .. } => generation_passes(source),
        RunnerError::Rebuild { source, .. } => match source {
            RebuildError::Busy(_)
            | RebuildError::Overtaken
            | RebuildError::ViewsInUse(_)
            | RebuildError::Run(RunError::Source(_)) => true,
            RebuildError::Database(source) => database_passes(source),
            RebuildError::Generation(source) => generation_passes(source),
            RebuildError::Run(_) => false,
        },
        RunnerError::Superseded { .. } | RunnerError::Task(_) => false,
    }
}

fn generation_passes(error: &GenerationError) -> bool {
    matches!(error, GenerationError::Database(source) if database_passes(source))
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The runners of one process.
pub struct Runners<O> {
    pool: PgPool,
    events: Arc<O>,
    checkpoints: Checkpoints,
    options: RunnerOptions,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), RunnerError>>,
    statuses: Vec<Arc<Mutex<Status>>>,
}

impl<O: OpenEvents> Runners<O> {
    /// No runners yet; all of them will be fed from `events` and stop with `stop`.
    #[must_use]
    pub fn new(pool: PgPool, events: Arc<O>, checkpoints: Checkpoints, stop: CancellationToken) -> Self {
        Self {
            pool,
            events,
            checkpoints,
            options: RunnerOptions::default(),
            stop,
            tasks: JoinSet::new(),
            statuses: Vec::new(),
        }
    }

    /// Works with other options from the next [`Runners::spawn`] on.
    #[must_use]
    pub fn with_options(mut self, options: RunnerOptions) -> Self {
        self.options = options;
        self
    }

    /// Starts to keep `projection` up to date.
    #[must_use]
    pub fn spawn<P: Projection>(mut self, projection: P) -> Self {
        let runner =
            Runner::new(self.pool.clone(), projection, self.events.clone(), self.checkpoints.clone(), self.options);
        self.statuses.push(runner.status());
        self.tasks.spawn(runner.run(self.stop.clone()));
        self
    }

    /// Handles to where each runner stands, for metrics; good after [`Runners::join`] too.
    #[must_use]
    pub fn statuses(&self) -> Vec<Arc<Mutex<Status>>> {
        self.statuses.clone()
    }

    /// Waits until all have ended. One that fails does not end the others.
    ///
    /// # Errors
    /// The first failure.
    pub async fn join(mut self) -> Result<(), RunnerError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(ended.map_err(RunnerError::Task).and_then(|ended| ended));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_passes_and_a_broken_rule_does_not() {
        assert!(database_passes(&sqlx::Error::PoolTimedOut));
        assert!(!database_passes(&sqlx::Error::RowNotFound));
        let gap = RunnerError::Run { name: "x", source: RunError::Gap { expected: 2, found: 3 } };
        assert!(!passes(&gap));
        assert_eq!(chain(&gap), "the projection x has no next run: the source gave position 3 where 2 should come");
    }
}
