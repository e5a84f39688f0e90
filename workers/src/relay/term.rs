//! One term of a relay: from taking the lock to the first thing that goes wrong.
//!
//! What always holds: the log is read through the connection that holds the lock, so a relay that lost its lock has
//! nothing left to publish.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::IntoFuture;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use quotary_commands::fault_point;
use quotary_domain::RecordedEvent;
use quotary_projections::bus::{Agreement, agreement, cloud_event};
use quotary_projections::log_reader;
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Relay, RelayError, RelayOptions};
use crate::leader::Leader;

/// A relay while it holds the lock.
pub(super) struct Term<'a> {
    relay: &'a Relay,
    leader: Leader,
    acks: VecDeque<(u64, PublishAckFuture)>,
    verified_at: Instant,
}

impl<'a> Term<'a> {
    /// Waits for the lock, publishes, and returns what ended it.
    pub(super) async fn serve(relay: &'a Relay) -> RelayError {
        match Self::publish_for_ever(relay).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn publish_for_ever(relay: &'a Relay) -> Result<Infallible, RelayError> {
        let leader = lead(relay).await.map_err(RelayError::Connection)?;
        let mut term = Self { relay, leader, acks: VecDeque::new(), verified_at: Instant::now() };
        let mut position = term.find_place().await?;
        tracing::info!(stream = relay.names.stream(), position, "the relay publishes");
        let mut events = term.read(position).await?;
        loop {
            if events.is_empty() {
                term.settle(0).await?;
                term.wait(position).await?;
                events = term.read(position).await?;
                continue;
            }
            let last = events.last().map_or(position, |event| event.position);
            relay.options.status.knows_head(last.max(relay.announced.announced()));
            events = term.publish_and_read(events, last).await?;
            position = last;
        }
    }

    /// The stream's end, after making sure that it is a copy of the log so far.
    async fn find_place(&mut self) -> Result<u64, RelayError> {
        self.relay.ensure_stream().await?;
        match agreement::compare(&self.relay.nats, &self.relay.names, &self.relay.log).await? {
            Agreement::Agrees { last } => {
                self.relay.options.status.leads_from(last);
                Ok(last)
            }
            // Whoever deletes it wants it made anew; that is no contradiction.
            Agreement::NoStream => Err(RelayError::Gone),
            other @ (Agreement::Ahead { .. } | Agreement::Differs { .. }) => Err(RelayError::Diverged(other)),
        }
    }

    async fn read(&mut self, after: u64) -> Result<Vec<RecordedEvent>, RelayError> {
        read(self.leader.connection(), after, &self.relay.options).await
    }

    /// Publishes a run while the next one is read.
    async fn publish_and_read(
        &mut self,
        events: Vec<RecordedEvent>,
        last: u64,
    ) -> Result<Vec<RecordedEvent>, RelayError> {
        let publishing = publish(self.relay, &mut self.acks, events);
        let (published, next) = tokio::join!(publishing, read(self.leader.connection(), last, &self.relay.options));
        published?;
        next
    }

    async fn settle(&mut self, left: usize) -> Result<(), RelayError> {
        settle(self.relay, &mut self.acks, left).await
    }

    /// Waits until there may be more, and looks at the stream now and then.
    async fn wait(&mut self, position: u64) -> Result<(), RelayError> {
        let Relay { announced, committed, options, .. } = self.relay;
        let (mut announced, mut committed) = (announced.clone(), committed.clone());
        let committed = async {
            match committed.as_mut() {
                Some(committed) => committed.beyond(position).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = announced.beyond(position) => {}
            () = committed => {}
            () = tokio::time::sleep(options.poll) => {
                if self.verified_at.elapsed() >= options.verify_every {
                    self.verified_at = Instant::now();
                    return self.verify(position).await;
                }
            }
        }
        Ok(())
    }

    async fn verify(&self, position: u64) -> Result<(), RelayError> {
        let stream = agreement::find(&self.relay.nats, &self.relay.names).await?;
        let found = stream.map_or(0, |stream| stream.cached_info().state.last_sequence);
        if found == position { Ok(()) } else { Err(RelayError::Moved { expected: position, found }) }
    }
}

/// Waits for the lock. The log is read through its connection, and often enough that the lock is never silent.
async fn lead(relay: &Relay) -> Result<Leader, sqlx::Error> {
    let options = relay.options.leader;
    let never = CancellationToken::new();
    let leader = Leader::wait_with(&relay.pool, &relay.names.relay_lock(), options, &never).await?;
    leader.ok_or(sqlx::Error::PoolClosed)
}

async fn read(
    connection: &mut PgConnection,
    after: u64,
    options: &RelayOptions,
) -> Result<Vec<RecordedEvent>, RelayError> {
    let reading = log_reader::read_after(connection, after, options.batch);
    Ok(tokio::time::timeout(options.read_within, reading).await.map_err(|_| RelayError::LogTooSlow)??)
}

async fn publish(
    relay: &Relay,
    acks: &mut VecDeque<(u64, PublishAckFuture)>,
    events: Vec<RecordedEvent>,
) -> Result<(), RelayError> {
    let options = &relay.options;
    let client = relay.nats.client();
    let count = events.len();
    for (index, event) in events.into_iter().enumerate() {
        let position = event.position;
        let mut message = cloud_event::encode(&relay.names, event)?;
        message.headers.insert(NATS_EXPECTED_LAST_SEQUENCE, (position - 1).to_string());
        if (index + 1) % options.ack_every == 0 || index + 1 == count {
            let outbound = PublishMessage::build().headers(message.headers).payload(message.payload.into());
            let sent = relay.nats.send_publish(message.subject, outbound).await;
            let ack = sent.map_err(|source| RelayError::Refused { position, source })?;
            acks.push_back((position, ack));
            settle(relay, acks, options.in_flight / options.ack_every).await?;
        } else {
            let sent = client.publish_with_headers(message.subject, message.headers, message.payload.into()).await;
            sent.map_err(|source| RelayError::Send { position, source: source.into() })?;
        }
    }
    Ok(())
}

/// Waits for acknowledgements until at most `left` are open.
async fn settle(relay: &Relay, acks: &mut VecDeque<(u64, PublishAckFuture)>, left: usize) -> Result<(), RelayError> {
    while acks.len() > left {
        let Some((position, ack)) = acks.pop_front() else { break };
        let answer = tokio::time::timeout(relay.options.ack_within, ack.into_future()).await;
        let answer = answer.unwrap_or_else(|_| Err(async_nats::jetstream::context::PublishErrorKind::TimedOut.into()));
        let stored = answer.map_err(|source| RelayError::Refused { position, source })?;
        if stored.sequence != position {
            return Err(RelayError::Misplaced { position, sequence: stored.sequence });
        }
        fault_point::reach(fault_point::AFTER_PUBLISH).await;
        relay.options.status.stored(position);
    }
    Ok(())
}
