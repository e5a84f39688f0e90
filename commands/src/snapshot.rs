//! Snapshots of long streams: the state as of a sequence, made off the hot path and never trusted over the log.
//!
//! A snapshot is read only if it has today's shape; otherwise the stream is folded from its start and a new one is made.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quotary_domain::{Aggregate, TenantId};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::log::stream::{LoadError, Loaded};

/// A stream gets a new snapshot each time it has grown by so many events.
pub const EVERY: u64 = 1_000;
/// How many snapshots wait to be written at most; more are made at the next occasion.
const QUEUE: usize = 64;

/// A state to be kept.
struct Snapshot {
    aggregate_type: &'static str,
    aggregate_id: Uuid,
    sequence: u64,
    shape: String,
    state: String,
}

/// Writes snapshots in the background.
#[derive(Clone, Debug)]
pub struct Snapshots {
    queue: mpsc::Sender<Arc<Snapshot>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} {} at {})", self.aggregate_type, self.aggregate_id, self.sequence)
    }
}

impl Snapshots {
    /// Starts the writer; it ends when all clones are dropped.
    #[must_use]
    pub fn start(pool: PgPool) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Arc<Snapshot>>(QUEUE);
        tokio::spawn(async move {
            while let Some(snapshot) = waiting.recv().await {
                if let Err(error) = write(&pool, &snapshot).await {
                    tracing::warn!(%error, ?snapshot, "a snapshot was not written; the next one will be");
                }
            }
        });
        Self { queue }
    }

    /// Keeps the state if the stream has just grown over a multiple of [`EVERY`]. A full queue skips it: the log has
    /// everything, only a later load reads more.
    pub fn offer<A: Aggregate>(&self, id: Uuid, before: u64, sequence: u64, aggregate: &A) {
        if before / EVERY == sequence / EVERY {
            return;
        }
        let Ok(state) = serde_json::to_string(aggregate) else { return };
        let snapshot = Snapshot { aggregate_type: A::TYPE, aggregate_id: id, sequence, shape: shape::<A>(), state };
        if self.queue.try_send(Arc::new(snapshot)).is_err() {
            tracing::debug!(aggregate = A::TYPE, %id, "the queue of snapshots is full");
        }
    }
}

/// Only durable states may be kept: a snapshot is written if its event is in the log.
async fn write(pool: &PgPool, snapshot: &Snapshot) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into snapshots (aggregate_type, aggregate_id, shape, sequence, state, tenant_id) \
         select $1, $2, $3, $4, $5::json, tenant_id from events \
         where aggregate_type = $1 and aggregate_id = $2 and sequence = $4 \
         on conflict (aggregate_type, aggregate_id) do update \
         set shape = excluded.shape, sequence = excluded.sequence, state = excluded.state \
         where snapshots.sequence < excluded.sequence or snapshots.shape <> excluded.shape",
    )
    .bind(snapshot.aggregate_type)
    .bind(snapshot.aggregate_id.to_string())
    .bind(&snapshot.shape)
    .bind(snapshot.sequence.cast_signed())
    .bind(&snapshot.state)
    .execute(pool)
    .await?;
    Ok(())
}

/// The latest snapshot of today's shape, or the empty state.
pub(crate) async fn latest<A: Aggregate>(pool: &PgPool, id: Uuid) -> Result<Loaded<A>, LoadError> {
    let found: Option<(i64, Value, Uuid)> = sqlx::query_as(
        "select sequence, state, tenant_id from snapshots where aggregate_type = $1 and aggregate_id = $2 and shape = $3",
    )
    .bind(A::TYPE)
    .bind(id.to_string())
    .bind(shape::<A>())
    .fetch_optional(pool)
    .await?;
    let read =
        found.and_then(|(sequence, state, tenant)| Some((sequence, serde_json::from_value(state).ok()?, tenant)));
    Ok(match read {
        Some((sequence, aggregate, tenant)) => {
            Loaded { aggregate, sequence: sequence.cast_unsigned(), tenant_id: Some(TenantId(tenant)) }
        }
        None => Loaded { aggregate: A::default(), sequence: 0, tenant_id: None },
    })
}

/// A digest of the names in the state's shape and of the program's version: a release may change what a field means.
fn shape<A: Aggregate>() -> String {
    let empty = serde_json::to_string(&A::default()).unwrap_or_default();
    let digest = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(empty).finalize();
    URL_SAFE_NO_PAD.encode(&digest[..8])
}
