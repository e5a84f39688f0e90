//! `cqrs-es`'s [`PersistedEventRepository`] over the log's committer: users of the stock `PersistedEventStore` get dense
//! positions, group commit and several-writer safety. Only for event-sourced stores (`new_event_store`): snapshots are
//! the log's own business, and stock snapshot modes apply events twice.

use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot};
use quotary_domain::TenantId;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use crate::clock;
use crate::log::append::{Append, AppendError, NewEvent, Poison, StreamCheck};
use crate::log::committer::{Committer, outcome};

/// How many events a replay reads at a time.
const PAGE: i64 = 1_000;

/// The log of one tenant as a stock event repository.
#[derive(Clone, Debug)]
pub struct LogRepository {
    pool: PgPool,
    committer: Committer,
    tenant_id: TenantId,
}

impl LogRepository {
    /// The repository of a tenant.
    #[must_use]
    pub fn new(pool: PgPool, committer: Committer, tenant_id: TenantId) -> Self {
        Self { pool, committer, tenant_id }
    }

    async fn read<A: Aggregate>(
        &self,
        id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let rows = sqlx::query(
            "select aggregate_id, sequence, aggregate_type, event_type, event_version, payload, metadata from events \
             where aggregate_type = $1 and aggregate_id = $2 and tenant_id = $3 and sequence > $4 \
             order by sequence limit $5",
        )
        .bind(A::TYPE)
        .bind(id)
        .bind(self.tenant_id.0)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(connection)?;
        rows.iter().map(event).collect()
    }
}

impl PersistedEventRepository for LogRepository {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.read::<A>(aggregate_id, 0, i64::MAX).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let after = i64::try_from(last_sequence).map_err(|error| PersistenceError::UnknownError(error.into()))?;
        self.read::<A>(aggregate_id, after, i64::MAX).await
    }

    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(PersistenceError::UnknownError("the log keeps its own snapshots; use an event store".into()));
        }
        let Some(first) = events.first() else { return Ok(()) };
        let event = |event: &SerializedEvent| NewEvent {
            stream: 0,
            sequence: event.sequence as u64,
            event_id: clock::new_id(),
            event_type: event.event_type.clone().into(),
            event_version: event.event_version.clone().into(),
            payload: event.payload.to_string(),
        };
        let check = StreamCheck {
            aggregate_type: A::TYPE.into(),
            aggregate_id: first.aggregate_id.clone(),
            expected: first.sequence.saturating_sub(1) as u64,
            added: events.len() as u64,
            is_glance: false,
            poison: Poison::default(),
        };
        let append = Append {
            tenant_id: self.tenant_id,
            streams: vec![check],
            events: events.iter().map(event).collect(),
            metadata: first.metadata.to_string(),
            receipt: None,
            claims: vec![],
        };
        let ticket = self.committer.enqueue(append).await.map_err(refused)?;
        outcome(ticket).await.map(|_| ()).map_err(refused)
    }

    async fn stream_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<ReplayStream, PersistenceError> {
        let (mut feed, stream) = ReplayStream::new(usize::try_from(PAGE).unwrap_or(1_000));
        let (repository, id) = (self.clone(), aggregate_id.to_owned());
        tokio::spawn(async move {
            let mut after = 0;
            loop {
                // An error is sent on: a replay never ends early and says it is complete.
                let page = match repository.read::<A>(&id, after, PAGE).await {
                    Ok(page) => page,
                    Err(error) => return drop(feed.push(Err(error)).await),
                };
                let Some(last) = page.last() else { return };
                after = i64::try_from(last.sequence).unwrap_or(i64::MAX);
                for event in page {
                    if feed.push(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(stream)
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let (mut feed, stream) = ReplayStream::new(usize::try_from(PAGE).unwrap_or(1_000));
        let repository = Arc::new(self.clone());
        tokio::spawn(async move {
            let mut after = 0_i64;
            loop {
                let page = match repository.read_all::<A>(after).await {
                    Ok(page) => page,
                    Err(error) => return drop(feed.push(Err(error)).await),
                };
                let Some((last, _)) = page.last() else { return };
                after = *last;
                for (_, event) in page {
                    if feed.push(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(stream)
    }
}

impl LogRepository {
    /// Events of one aggregate type over all streams, in commit order.
    async fn read_all<A: Aggregate>(&self, after: i64) -> Result<Vec<(i64, SerializedEvent)>, PersistenceError> {
        let rows = sqlx::query(
            "select aggregate_id, sequence, aggregate_type, event_type, event_version, payload, metadata, position \
             from events where aggregate_type = $1 and tenant_id = $2 and position > $3 order by position limit $4",
        )
        .bind(A::TYPE)
        .bind(self.tenant_id.0)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await
        .map_err(connection)?;
        rows.iter().map(|row| Ok((row.try_get(7).map_err(connection)?, event(row)?))).collect()
    }
}

fn event(row: &PgRow) -> Result<SerializedEvent, PersistenceError> {
    let sequence: i64 = row.try_get(1).map_err(connection)?;
    Ok(SerializedEvent::new(
        row.try_get(0).map_err(connection)?,
        usize::try_from(sequence).map_err(|error| PersistenceError::UnknownError(error.into()))?,
        row.try_get(2).map_err(connection)?,
        row.try_get(3).map_err(connection)?,
        row.try_get(4).map_err(connection)?,
        row.try_get(5).map_err(connection)?,
        row.try_get(6).map_err(connection)?,
    ))
}

fn connection(error: sqlx::Error) -> PersistenceError {
    PersistenceError::ConnectionError(error.into())
}

fn refused(error: AppendError) -> PersistenceError {
    match error {
        AppendError::Conflict | AppendError::ReceiptTaken | AppendError::ClaimTaken(_) => {
            PersistenceError::OptimisticLockError
        }
        AppendError::Unavailable(_) | AppendError::Stopping => PersistenceError::ConnectionError(error.into()),
    }
}
