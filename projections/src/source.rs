//! Where a runner's events come from: dense runs after a position.
//!
//! A source never skips: what it yields first follows the position it was opened at, and each run follows the one before.
//! Runners check that and stop if it is not so.

use std::error::Error;
use std::time::Duration;

use quotary_domain::RecordedEvent;

use crate::feed::{self, EventFeed, FeedError};
use crate::log_reader::{LogError, LogReader};

/// Events in log order, from the position that it was opened at.
pub trait RunSource: Send + 'static {
    /// Why events can't be had.
    type Error: Error + Send + Sync + 'static;

    /// The next 1 to `max` events; waits when there are none yet.
    fn next(&mut self, max: usize) -> impl Future<Output = Result<Vec<RecordedEvent>, Self::Error>> + Send;

    /// Whether opening the source again can help.
    fn passes(error: &Self::Error) -> bool;
}

/// Something that can be read from any position on.
pub trait OpenEvents: Send + Sync + 'static {
    /// What it opens.
    type Source: RunSource;

    /// The events after position `after`.
    fn open(&self, after: u64)
    -> impl Future<Output = Result<Self::Source, <Self::Source as RunSource>::Error>> + Send;
}

/// The log itself as a source: reads runs and asks again while there is nothing new.
#[derive(Debug)]
pub struct LogTail {
    log: LogReader,
    position: u64,
}

/// How long a source that reached the end of the log waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl RunSource for LogTail {
    type Error = LogError;

    async fn next(&mut self, max: usize) -> Result<Vec<RecordedEvent>, LogError> {
        loop {
            let run = self.log.read_after(self.position, max).await?;
            if let Some(last) = run.last() {
                self.position = last.position;
                return Ok(run);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn passes(error: &LogError) -> bool {
        log_passes(error)
    }
}

impl OpenEvents for LogReader {
    type Source = LogTail;

    async fn open(&self, after: u64) -> Result<LogTail, LogError> {
        Ok(LogTail { log: self.clone(), position: after })
    }
}

impl RunSource for EventFeed {
    type Error = FeedError;

    async fn next(&mut self, max: usize) -> Result<Vec<RecordedEvent>, FeedError> {
        loop {
            // Empty runs are signs of life, for readers that need to know how current they are.
            let run = EventFeed::next(self, max).await?;
            if !run.events.is_empty() {
                return Ok(run.events);
            }
        }
    }

    fn passes(error: &FeedError) -> bool {
        match error {
            FeedError::Stopped | FeedError::TooSlow(_) | FeedError::BrokenOff(_) => true,
            FeedError::Log(error) => log_passes(error),
            // What this read model contains is no longer in the log: only a rebuild makes it right.
            FeedError::WentBack { .. } => false,
        }
    }
}

impl OpenEvents for feed::EventSource {
    type Source = EventFeed;

    async fn open(&self, after: u64) -> Result<EventFeed, FeedError> {
        Ok(self.feed(after))
    }
}

fn log_passes(error: &LogError) -> bool {
    match error {
        LogError::Database(error) => database_passes(error),
        LogError::Gap { .. } | LogError::Negative(_) => false,
    }
}

/// Whether asking the database again can help: connections that break, and the SQLSTATE classes of a server that is away,
/// busy, full or asks to try again.
pub(crate) fn database_passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(refusal) => refusal
            .code()
            .is_some_and(|code| ["08", "25", "40", "53", "55", "57", "58"].iter().any(|c| code.starts_with(c))),
        _ => false,
    }
}
