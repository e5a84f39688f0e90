//! The newest events as JetStream delivers them.
//!
//! What always holds: only a stream that agrees with the log is followed, each message is the event of its own place, and
//! whatever goes wrong ends the tail. The feed then reads the log, so nothing here needs to be repaired.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{OrderedConfig, OrderedError};
use async_nats::jetstream::consumer::{DeliverPolicy, StreamError};
use async_nats::jetstream::{self, stream::ConsumerError};
use futures::StreamExt;
use quotary_domain::RecordedEvent;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::bus::agreement::{self, Agreement, AgreementError};
use crate::bus::cloud_event::{self, CloudEventError};
use crate::bus::subjects::Names;
use crate::log_reader::LogReader;

/// How many events wait between JetStream and the feed.
const WAITING: usize = 1_024;
/// A stream that is further behind than this is not worth following: all it delivers is known already.
const WORTH_FOLLOWING: u64 = 1_024;
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// Why JetStream is not followed.
#[derive(Debug, thiserror::Error)]
enum TailError {
    #[error("stream and log can't be compared")]
    Compare(#[from] AgreementError),
    #[error("the stream does not agree with the log: {0:?}")]
    Disagreement(Agreement),
    #[error("the stream ends at {last}, long before {from}")]
    FarBehind { last: u64, from: u64 },
    #[error("JetStream did not answer in time")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error("there is no consumer")]
    Consumer(#[from] ConsumerError),
    #[error("the consumer can't be read")]
    Stream(#[from] StreamError),
    #[error("the consumer failed")]
    Delivery(#[from] OrderedError),
    #[error("the message has no place in the stream")]
    Place(#[source] async_nats::Error),
    #[error("the message is no event")]
    Message(#[from] CloudEventError),
}

/// Where to find the stream, and the log to compare it with.
#[derive(Clone, Debug)]
pub(super) struct Bus {
    pub(super) nats: jetstream::Context,
    pub(super) names: Names,
    pub(super) log: LogReader,
}

/// Events from JetStream; ends when anything is wrong.
pub(super) struct Tail {
    events: mpsc::Receiver<RecordedEvent>,
    _task: AbortOnDropHandle<()>,
}

impl Tail {
    /// Begins to follow the stream from the position `from`, without waiting for it.
    pub(super) fn open(bus: Bus, from: u64) -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            if let Err(error) = follow(&bus, from, &sender).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::info!(%error, cause, stream = bus.names.stream(), "not fed by JetStream, reading the log");
            }
        });
        Self { events, _task: AbortOnDropHandle::new(task) }
    }

    /// The next event, or `None` when the tail has ended. Loses nothing when dropped before it is ready.
    pub(super) async fn recv(&mut self) -> Option<RecordedEvent> {
        self.events.recv().await
    }

    /// An event that is here already.
    pub(super) fn try_recv(&mut self) -> Option<RecordedEvent> {
        self.events.try_recv().ok()
    }
}

async fn follow(bus: &Bus, from: u64, sender: &mpsc::Sender<RecordedEvent>) -> Result<(), TailError> {
    let mut messages = tokio::time::timeout(OPEN_WITHIN, subscribe(bus, from)).await??;
    loop {
        let message = tokio::select! {
            () = sender.closed() => return Ok(()),
            message = messages.next() => message,
        };
        let Some(message) = message.transpose()? else { return Ok(()) };
        let sequence = message.info().map_err(TailError::Place)?.stream_sequence;
        let none = async_nats::HeaderMap::new();
        let event = cloud_event::decode(message.headers.as_ref().unwrap_or(&none), &message.payload, sequence)?;
        if sender.send(event).await.is_err() {
            return Ok(());
        }
    }
}

async fn subscribe(bus: &Bus, from: u64) -> Result<jetstream::consumer::pull::Ordered, TailError> {
    match agreement::compare(&bus.nats, &bus.names, &bus.log).await? {
        Agreement::Agrees { last } if last + WORTH_FOLLOWING < from => {
            return Err(TailError::FarBehind { last, from });
        }
        Agreement::Agrees { .. } => {}
        other => return Err(TailError::Disagreement(other)),
    }
    let config = OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ..OrderedConfig::default()
    };
    let consumer = bus.nats.create_consumer_on_stream(config, bus.names.stream()).await?;
    Ok(consumer.messages().await?)
}
