//! Whether the stream is a copy of the log's beginning.
//!
//! What always holds: nobody publishes to a stream, or trusts what it delivers, without having found that its last
//! message is the log's event of the same position. A database restored from an older backup makes them differ, even
//! after the log has grown past the stream again; that is for people to solve.

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{InfoError, LastRawMessageErrorKind, RawMessageError};
use async_nats::jetstream::{self, stream::Stream};
use uuid::Uuid;

use super::cloud_event;
use super::subjects::Names;
use crate::log_reader::{LogError, LogReader};

/// How stream and log stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// There is no stream.
    NoStream,
    /// The stream has the log's events up to `last`.
    Agrees {
        /// The stream's last sequence; 0 if nothing was ever published.
        last: u64,
    },
    /// The stream goes beyond the log's end.
    Ahead {
        /// The stream's last sequence.
        last: u64,
        /// The log's head, read after it.
        head: u64,
    },
    /// The stream has another event than the log at `position`.
    Differs {
        /// Where.
        position: u64,
    },
}

/// Why stream and log could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// The stream can't be looked up.
    #[error("the stream can't be looked up")]
    Stream(#[source] GetStreamError),
    /// The stream's state can't be read.
    #[error("the stream's state can't be read")]
    Info(#[source] InfoError),
    /// The stream's last message can't be read.
    #[error("the stream's last message can't be read")]
    Message(#[source] RawMessageError),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] LogError),
}

/// The stream of `names`, if there is one.
///
/// # Errors
/// [`AgreementError::Stream`] if JetStream does not answer.
pub async fn find(nats: &jetstream::Context, names: &Names) -> Result<Option<Stream>, AgreementError> {
    const STREAM_NOT_FOUND: u64 = 10_059;
    match nats.get_stream(names.stream()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal) if refusal.error_code().0 == STREAM_NOT_FOUND => Ok(None),
            _ => Err(AgreementError::Stream(error)),
        },
    }
}

/// Compares the stream's end with the log.
///
/// # Errors
/// [`AgreementError`] if either can't be read.
pub async fn compare(nats: &jetstream::Context, names: &Names, log: &LogReader) -> Result<Agreement, AgreementError> {
    let Some(stream) = find(nats, names).await? else { return Ok(Agreement::NoStream) };
    let state = &stream.cached_info().state;
    let last = state.last_sequence;
    // Read after the stream's state: what was published before must stand in the log by now.
    let head = log.head().await?;
    if last > head {
        return Ok(Agreement::Ahead { last, head });
    }
    if state.messages == 0 {
        // Empty, or all its messages have grown too old: there is nothing to compare.
        return Ok(Agreement::Agrees { last });
    }
    let published = match stream.get_raw_message(last).await {
        Ok(message) => message.headers.get(cloud_event::ID).and_then(|id| Uuid::parse_str(id.as_str()).ok()),
        // The last message was removed since, so again there is nothing to compare.
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
            return Ok(Agreement::Agrees { last });
        }
        Err(error) => return Err(AgreementError::Message(error)),
    };
    if published.is_some() && published == log.event_id(last).await? {
        Ok(Agreement::Agrees { last })
    } else {
        Ok(Agreement::Differs { position: last })
    }
}
