//! Reads one aggregate's stream and folds it.

use chrono::{DateTime, Utc};
use quotary_domain::{Aggregate, TenantId};
use sqlx::PgPool;
use uuid::Uuid;

/// Why an aggregate can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database can't be reached or answers with an error.
    #[error("the log could not be read")]
    Database(#[from] sqlx::Error),
    /// An event does not have its type's shape.
    #[error("event {sequence} of {aggregate_type} {aggregate_id} can't be read")]
    Payload {
        /// The aggregate's type.
        aggregate_type: &'static str,
        /// The aggregate.
        aggregate_id: Uuid,
        /// Which event.
        sequence: i64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A stream has a gap: the log is damaged.
    #[error("{aggregate_type} {aggregate_id} lacks event {missing}")]
    Gap {
        /// The aggregate's type.
        aggregate_type: &'static str,
        /// The aggregate.
        aggregate_id: Uuid,
        /// Which event.
        missing: i64,
    },
}

/// An aggregate and the sequence of its last event.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The state.
    pub aggregate: A,
    /// The sequence of the last event in it; 0 if there is none.
    pub sequence: u64,
    /// Whose it is; `None` if there is no event.
    pub tenant_id: Option<TenantId>,
}

/// The aggregate as the log has it now, from its latest snapshot if there is one.
///
/// # Errors
/// [`LoadError`] if the log can't be read or is damaged.
pub async fn load<A: Aggregate>(pool: &PgPool, id: Uuid) -> Result<Loaded<A>, LoadError> {
    let loaded = crate::snapshot::latest::<A>(pool, id).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select sequence, payload::text, tenant_id from events \
         where aggregate_type = $1 and aggregate_id = $2 and sequence > $3 order by sequence",
    )
    .bind(A::TYPE)
    .bind(id.to_string())
    .bind(loaded.sequence.cast_signed())
    .fetch_all(pool)
    .await?;
    fold(id, loaded, rows)
}

/// The aggregate as the log had it at a time of the past.
///
/// # Errors
/// [`LoadError`] if the log can't be read or is damaged.
pub async fn load_as_of<A: Aggregate>(pool: &PgPool, id: Uuid, at: DateTime<Utc>) -> Result<Loaded<A>, LoadError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select sequence, payload::text, tenant_id from events \
         where aggregate_type = $1 and aggregate_id = $2 and recorded_at <= $3 order by sequence",
    )
    .bind(A::TYPE)
    .bind(id.to_string())
    .bind(at)
    .fetch_all(pool)
    .await?;
    fold(id, Loaded { aggregate: A::default(), sequence: 0, tenant_id: None }, rows)
}

/// Sequence, payload, tenant.
type Row = (i64, String, Uuid);

fn fold<A: Aggregate>(id: Uuid, mut loaded: Loaded<A>, rows: Vec<Row>) -> Result<Loaded<A>, LoadError> {
    let mut last = loaded.sequence.cast_signed();
    for (sequence, payload, tenant) in rows {
        if sequence != last + 1 {
            return Err(LoadError::Gap { aggregate_type: A::TYPE, aggregate_id: id, missing: last + 1 });
        }
        let event = serde_json::from_str(&payload).map_err(|source| LoadError::Payload {
            aggregate_type: A::TYPE,
            aggregate_id: id,
            sequence,
            source,
        })?;
        loaded.aggregate.apply(event);
        last = sequence;
        loaded.tenant_id = Some(TenantId(tenant));
    }
    loaded.sequence = last.cast_unsigned();
    Ok(loaded)
}
