//! [`cqrs_es::EventStore`] over the log: `CqrsFramework` works with group commit, and with the cache of aggregates.
//!
//! The framework's `handle` works on the context's own copy. The aggregate's lock is held from load to commit, so that
//! the next command decides on what this one has decided.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use cqrs_es::{AggregateContext, AggregateError, EventEnvelope, EventStore};
use quotary_domain::{EventName as _, Metadata, TenantId};
use sqlx::Row as _;
use uuid::Uuid;

use crate::cache::{Held, Locked, Stored, lock, settled};
use crate::clock;
use crate::event_log::EventLog;
use crate::log::append::{Append, AppendError, NewEvent, StreamCheck};
use crate::log::committer::outcome;

/// The log of one tenant as a `cqrs-es` event store.
#[derive(Clone, Debug)]
pub struct LogEventStore<A> {
    log: EventLog,
    tenant_id: TenantId,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> LogEventStore<A> {
    /// The store of a tenant's aggregates.
    #[must_use]
    pub fn new(log: EventLog, tenant_id: TenantId) -> Self {
        Self { log, tenant_id, aggregate: PhantomData }
    }
}

/// A locked aggregate with the copy that `handle` works on.
#[derive(Debug)]
pub struct LogContext<A: Stored> {
    id: Uuid,
    working: A,
    locked: Locked<A>,
}

impl<A: Stored> AggregateContext<A> for LogContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.working
    }
}

impl<A: Stored> EventStore<A> for LogEventStore<A> {
    type AC = LogContext<A>;

    async fn load_events(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let rows = sqlx::query(
            "select sequence, payload::text, metadata::text from events \
             where aggregate_type = $1 and aggregate_id = $2 and tenant_id = $3 order by sequence",
        )
        .bind(A::TYPE)
        .bind(aggregate_id)
        .bind(self.tenant_id.0)
        .fetch_all(self.log.pool())
        .await
        .map_err(|error| AggregateError::DatabaseConnectionError(error.into()))?;
        let envelope = |row: sqlx::postgres::PgRow| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            Ok(EventEnvelope {
                aggregate_id: aggregate_id.to_owned(),
                sequence: usize::try_from(row.try_get::<i64, _>(0)?)?,
                payload: serde_json::from_str(row.try_get(1)?)?,
                metadata: serde_json::from_str(row.try_get(2)?)?,
            })
        };
        rows.into_iter().map(envelope).collect::<Result<_, _>>().map_err(AggregateError::DeserializationError)
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<LogContext<A>, AggregateError<A::Error>> {
        let unexpected = |error: Box<dyn std::error::Error + Send + Sync>| AggregateError::UnexpectedError(error);
        let id = Uuid::parse_str(aggregate_id).map_err(|error| unexpected(error.into()))?;
        let locked = lock::<A>(self.log.caches(), self.log.pool(), id, false)
            .await
            .map_err(|error| AggregateError::DatabaseConnectionError(error.into()))?;
        let held = locked.held.as_ref().ok_or_else(|| unexpected("a locked slot holds no state".into()))?;
        if held.tenant_id.is_some_and(|owner| owner != self.tenant_id) {
            return Err(unexpected("the aggregate belongs to another tenant".into()));
        }
        Ok(LogContext { id, working: A::clone(&held.aggregate), locked })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: LogContext<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let LogContext { id, working, locked: Locked { mut held, poison } } = context;
        let (expected, pending) = held.as_ref().map_or((0, None), |held| (held.sequence, held.pending.clone()));
        if events.is_empty() {
            drop(held);
            let durable = match pending {
                Some(ticket) => settled(ticket).await,
                None => true,
            };
            return if durable { Ok(vec![]) } else { Err(AggregateError::AggregateConflict) };
        }
        let envelopes: Vec<EventEnvelope<A>> = (expected + 1..)
            .zip(events)
            .map(|(sequence, payload)| EventEnvelope {
                aggregate_id: id.to_string(),
                sequence: usize::try_from(sequence).unwrap_or(usize::MAX),
                payload,
                metadata: metadata.clone(),
            })
            .collect();
        let added = envelopes.len() as u64;
        let check = StreamCheck {
            aggregate_type: A::TYPE.into(),
            aggregate_id: id.to_string(),
            expected,
            added,
            is_glance: false,
            poison,
        };
        let append = append(self.tenant_id, check, &envelopes, &metadata)
            .map_err(|error| AggregateError::UnexpectedError(error.into()))?;
        let ticket = self.log.committer().enqueue(append).await.map_err(refused)?;
        *held = Some(Held {
            aggregate: Arc::new(working),
            sequence: expected + added,
            tenant_id: Some(self.tenant_id),
            pending: Some(ticket.clone()),
        });
        drop(held);
        outcome(ticket).await.map_err(refused)?;
        Ok(envelopes)
    }
}

fn append<A: Stored>(
    tenant_id: TenantId,
    check: StreamCheck,
    envelopes: &[EventEnvelope<A>],
    metadata: &HashMap<String, String>,
) -> Result<Append, serde_json::Error> {
    let event = |(sequence, envelope): (u64, &EventEnvelope<A>)| {
        Ok(NewEvent {
            stream: 0,
            sequence,
            event_id: clock::new_id(),
            event_type: envelope.payload.name().into(),
            event_version: envelope.payload.version().into(),
            payload: serde_json::to_string(&envelope.payload)?,
        })
    };
    Ok(Append {
        tenant_id,
        events: (check.expected + 1..).zip(envelopes).map(event).collect::<Result<_, serde_json::Error>>()?,
        streams: vec![check],
        metadata: if metadata.is_empty() {
            serde_json::to_string(&Metadata::default())?
        } else {
            serde_json::to_string(metadata)?
        },
        receipt: None,
        claims: vec![],
    })
}

fn refused<E: std::error::Error>(error: AppendError) -> AggregateError<E> {
    match error {
        AppendError::Conflict | AppendError::ReceiptTaken | AppendError::ClaimTaken(_) => {
            AggregateError::AggregateConflict
        }
        AppendError::Unavailable(_) | AppendError::Stopping => AggregateError::DatabaseConnectionError(error.into()),
    }
}
