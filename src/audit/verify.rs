//! Checks the log event by event: order, streams, shapes, and the ledger at every position.
//!
//! The rules are the auditor's own, in `quotary_audit::replay`; here events are only brought to them.

use std::fmt::Write as _;

use quotary_audit::entry::Entry;
use quotary_audit::replay::{self, Replay, Summary};
use quotary_domain::{DecodeError, RecordedEvent};

use super::export::ExportError;

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log could not be read to its end: not a pass.
    #[error("the log could not be read to its end")]
    Incomplete(#[from] ExportError),
    /// An event can't be read.
    #[error("an event can't be read")]
    Unreadable(#[from] DecodeError),
    /// A rule is broken.
    #[error("{0} ({kind}, in {stream})", kind = .0.kind, stream = .0.stream)]
    Broken(#[from] replay::Finding),
}

/// Brings events to the replay.
#[derive(Default)]
pub struct Verifier {
    replay: Replay,
    aggregate_id: String,
}

impl Verifier {
    /// Checks the next event.
    ///
    /// # Errors
    /// The first [`VerifyError::Broken`].
    pub fn check(&mut self, event: &RecordedEvent) -> Result<(), VerifyError> {
        self.aggregate_id.clear();
        // Writing to a string can't fail.
        write!(self.aggregate_id, "{}", event.aggregate_id).unwrap_or_default();
        self.replay.check(&Entry {
            position: event.position,
            event_id: event.event_id,
            tenant_id: event.tenant_id.0,
            aggregate_type: &event.aggregate_type,
            aggregate_id: &self.aggregate_id,
            sequence: event.sequence,
            event_type: &event.event_type,
            event_version: &event.event_version,
            recorded_at: event.recorded_at.timestamp_micros(),
            payload: event.payload.get(),
            metadata: "",
        })?;
        Ok(())
    }

    /// What the log says as a whole.
    ///
    /// # Errors
    /// What the last step had to contain and does not.
    pub fn finish(self) -> Result<Summary, VerifyError> {
        Ok(self.replay.finish()?)
    }
}
