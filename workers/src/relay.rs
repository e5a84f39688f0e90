//! Copies the event log to JetStream, in lock-step: the stream's sequence is the log's position.
//!
//! What always holds: at most one relay publishes (a session lock in PostgreSQL), and even two could do no harm, because
//! every message names the sequence that it has to follow. Whatever goes wrong ends the term: the lock is given up, and the
//! next term asks the stream for its end and goes on from there, so the loss of its tail or of all of it heals by itself.
//! A stream that has what the log does not have is never continued.

mod status;
mod stream;
mod term;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use quotary_projections::bus::cloud_event::CloudEventError;
use quotary_projections::bus::{Agreement, AgreementError, Names};
use quotary_projections::log_reader::{LogError, LogReader};
use quotary_projections::log_signal::LogSignal;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use status::{RelayReport, RelayStatus};
use term::Term;

use crate::leader::LeaderOptions;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How the relay works; [`RelayOptions::default`] is right for one machine.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Events read from the log at a time.
    pub batch: usize,
    /// Each so many messages one is acknowledged, and the last of each read. An acknowledged message proves that all
    /// before it are stored, because each names the one it follows.
    pub ack_every: usize,
    /// The most messages on their way to the server; it refuses more than 10,000 waiting.
    pub in_flight: usize,
    /// How long the server may take to acknowledge.
    pub ack_within: Duration,
    /// How often the log is looked at when nothing is announced.
    pub poll: Duration,
    /// How long PostgreSQL may take to give a batch.
    pub read_within: Duration,
    /// How the right to publish is taken and kept.
    pub leader: LeaderOptions,
    /// How often the stream is looked at when there is nothing to publish, so that its loss heals without a new event.
    pub verify_every: Duration,
    /// The position at which a new stream begins.
    pub first_sequence: u64,
    /// Copies of the stream in a NATS cluster.
    pub replicas: usize,
    /// The stream's size limit in bytes, oldest messages going first; `None` is the server's own limit.
    pub max_bytes: Option<i64>,
    /// How long messages are kept; zero is for ever.
    pub max_age: Duration,
    /// The head of the log as the committer of this process knows it, quicker than any announcement.
    pub log_head: Option<watch::Receiver<u64>>,
    /// Where the relay tells how it is doing.
    pub status: Arc<RelayStatus>,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            batch: 2_000,
            ack_every: 100,
            in_flight: 4_000,
            ack_within: Duration::from_secs(5),
            poll: Duration::from_millis(200),
            read_within: Duration::from_secs(30),
            leader: LeaderOptions::default(),
            verify_every: Duration::from_secs(2),
            first_sequence: 1,
            replicas: 1,
            max_bytes: None,
            max_age: Duration::ZERO,
            log_head: None,
            status: Arc::default(),
        }
    }
}

/// Why the relay's term ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// An option makes no sense; the only error that [`run`] returns.
    #[error("the relay's option {0} must be more than zero")]
    InvalidOption(&'static str),
    /// The connection that holds the lock is lost or can't be made.
    #[error("the relay's connection to PostgreSQL failed")]
    Connection(#[source] sqlx::Error),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] LogError),
    /// PostgreSQL did not answer in time.
    #[error("the log did not answer in time")]
    LogTooSlow,
    /// The stream can't be compared with the log.
    #[error("the stream can't be compared with the log")]
    Compare(#[from] AgreementError),
    /// The stream has what the log does not have. Somebody has to find out which is right; deleting the stream lets the
    /// relay make it anew from the log.
    #[error("the stream is no copy of the log: {0:?}")]
    Diverged(Agreement),
    /// The stream was deleted in the moment after it was found or made.
    #[error("the stream is gone")]
    Gone,
    /// The stream of that name is not ours.
    #[error("the stream has another {0} than it should have")]
    ForeignStream(&'static str),
    /// The stream can't be made.
    #[error("the stream can't be made")]
    Create(#[source] jetstream::context::CreateStreamError),
    /// The stream's limits can't be changed.
    #[error("the stream's limits can't be changed")]
    Update(#[source] jetstream::context::UpdateStreamError),
    /// An event can't be expressed as a message.
    #[error("the event can't be published")]
    Encode(#[from] CloudEventError),
    /// A message could not be sent.
    #[error("the message for position {position} could not be sent")]
    Send {
        /// Which.
        position: u64,
        /// Why.
        #[source]
        source: async_nats::Error,
    },
    /// The server refused a message or did not answer.
    #[error("the message for position {position} was not stored")]
    Refused {
        /// Which.
        position: u64,
        /// Why.
        #[source]
        source: jetstream::context::PublishError,
    },
    /// A message was stored at another place.
    #[error("the message for position {position} was stored at {sequence}")]
    Misplaced {
        /// Which.
        position: u64,
        /// Where.
        sequence: u64,
    },
    /// The stream's end moved without us.
    #[error("the stream ends at {found} and not at {expected}")]
    Moved {
        /// Where we left it.
        expected: u64,
        /// Where it is.
        found: u64,
    },
}

/// Publishes the log until `cancel`; trouble is told by tracing and [`RelayStatus`], and tried again.
///
/// # Errors
/// [`RelayError::InvalidOption`], at once.
pub async fn run(
    pool: PgPool,
    nats: jetstream::Context,
    names: Names,
    options: RelayOptions,
    cancel: CancellationToken,
) -> Result<(), RelayError> {
    check(&options)?;
    let status = Arc::clone(&options.status);
    let relay = Relay {
        announced: LogSignal::listen(&pool, cancel.clone()),
        committed: options.log_head.clone().map(LogSignal::sent_by),
        log: LogReader::new(pool.clone()),
        pool,
        nats,
        names,
        options,
    };
    let mut retry = FIRST_RETRY;
    loop {
        let before = status.report().published;
        let error = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            error = Term::serve(&relay) => error,
        };
        status.ended(&error);
        if status.report().published != before {
            retry = FIRST_RETRY;
        }
        report(&relay.names, &error, retry);
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(retry) => {}
        }
        retry = (retry * 2).min(LAST_RETRY);
    }
    status.stopped();
    Ok(())
}

/// What all terms of a relay share.
struct Relay {
    pool: PgPool,
    log: LogReader,
    nats: jetstream::Context,
    names: Names,
    announced: LogSignal,
    committed: Option<LogSignal>,
    options: RelayOptions,
}

fn check(options: &RelayOptions) -> Result<(), RelayError> {
    let must_be_positive = [
        ("batch", options.batch > 0),
        ("ack_every", options.ack_every > 0),
        ("in_flight", options.in_flight > 0),
        ("first_sequence", options.first_sequence > 0),
        ("replicas", options.replicas > 0),
    ];
    match must_be_positive.into_iter().find(|(_, is_positive)| !is_positive) {
        Some((name, _)) => Err(RelayError::InvalidOption(name)),
        None => Ok(()),
    }
}

fn report(names: &Names, error: &RelayError, retry: Duration) {
    let stream = names.stream();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let retry_ms = retry.as_millis();
    if matches!(error, RelayError::Diverged(_) | RelayError::ForeignStream(_)) {
        tracing::error!(stream, %error, cause, retry_ms, "the relay must not publish");
    } else {
        tracing::warn!(stream, %error, cause, retry_ms, "the relay tries again");
    }
}
