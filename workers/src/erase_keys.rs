//! Finishes erasures of personal data that were cut off between their event and the deletion of the key (row O7).
//!
//! Its work list is the intentions beside the log, and the log alone says whether a key has to go: a second worker, a late
//! or a repeated look change nothing.

use std::time::Duration;

use quotary_commands::{Commands, clock};
use tokio_util::sync::CancellationToken;

/// How often the list is read; it is nearly always empty.
const POLL: Duration = Duration::from_secs(5);

/// Finishes erasures until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(commands: Commands, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        match commands.finish_erasures(clock::now()).await {
            Ok(0) => {}
            Ok(finished) => tracing::info!(finished, "erasures that were cut off are finished"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "erasures were not finished; trying again");
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}
