//! Where a runner's events come from: dense runs after a position.
//!
//! A source never skips: what it yields first follows the position it was opened at, and each run follows the one before.
//! Runners check that and stop if it is not so.

use std::error::Error;
use std::time::Duration;

use quotary_domain::RecordedEvent;

use crate::log_reader::{LogError, LogReader};

/// Events in log order, from the position that it was opened at.
pub trait EventSource: Send + 'static {
    /// Why events can't be had.
    type Error: Error + Send + Sync + 'static;

    /// The next 1 to `max` events; waits when there are none yet.
    fn next(&mut self, max: usize) -> impl Future<Output = Result<Vec<RecordedEvent>, Self::Error>> + Send;
}

/// Something that can be read from any position on.
pub trait OpenEvents: Send + Sync + 'static {
    /// What it opens.
    type Source: EventSource;

    /// The events after position `after`.
    fn open(
        &self,
        after: u64,
    ) -> impl Future<Output = Result<Self::Source, <Self::Source as EventSource>::Error>> + Send;
}

/// The log itself as a source: reads runs and asks again while there is nothing new.
#[derive(Debug)]
pub struct LogTail {
    log: LogReader,
    position: u64,
}

/// How long a source that reached the end of the log waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl EventSource for LogTail {
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
}

impl OpenEvents for LogReader {
    type Source = LogTail;

    async fn open(&self, after: u64) -> Result<LogTail, LogError> {
        Ok(LogTail { log: self.clone(), position: after })
    }
}
