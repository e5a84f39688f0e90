//! Rebuilds every aggregate through stock `cqrs-es` and `postgres-es` and compares it with our own fold.
//!
//! The stock replay ends quietly when the database fails, so it is not used: each stream is read by itself, and one that
//! is shorter than the log says is an error.

use cqrs_es::EventStore as _;
use cqrs_es::persist::PersistedEventStore;
use postgres_es::PostgresEventRepository;
use quotary_commands::log::stream::{LoadError, load};
use quotary_domain::Aggregate;
use quotary_domain::account::Account;
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::case::Case;
use quotary_domain::license::License;
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::order::Order;
use quotary_domain::project::Project;
use quotary_domain::proposal::Proposal;
use quotary_domain::reconciliation::Reconciliation;
use quotary_domain::reversal::Reversal;
use quotary_domain::risk::RiskPolicy;
use quotary_domain::tenant::Tenant;
use quotary_domain::transfer::Transfer;
use quotary_domain::withdrawal::Withdrawal;
use sqlx::PgPool;
use uuid::Uuid;

/// How many streams are listed at a time.
const PAGE: i64 = 1_000;

/// Why the two do not agree, or could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CrossCheckError {
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
    /// Our own fold failed.
    #[error("an aggregate can't be loaded")]
    Load(#[from] LoadError),
    /// The stock crates failed.
    #[error("the stock crates can't load {aggregate_type} {id}: {why}")]
    Stock {
        /// The aggregate's type.
        aggregate_type: &'static str,
        /// The aggregate.
        id: String,
        /// What they say.
        why: String,
    },
    /// The stock crates read fewer events than the log has.
    #[error("the stock crates read {read} of {there} events of {aggregate_type} {id}")]
    Short {
        /// The aggregate's type.
        aggregate_type: &'static str,
        /// The aggregate.
        id: String,
        /// What the log has.
        there: i64,
        /// What they read.
        read: usize,
    },
    /// The states differ.
    #[error("the state of {aggregate_type} {id} differs")]
    Differs {
        /// The aggregate's type.
        aggregate_type: &'static str,
        /// The aggregate.
        id: String,
    },
}

/// How many aggregates were compared and equal.
///
/// # Errors
/// The first [`CrossCheckError`].
pub async fn run(pool: &PgPool) -> Result<u64, CrossCheckError> {
    Ok(check::<Tenant>(pool).await?
        + check::<Account>(pool).await?
        + check::<Project>(pool).await?
        + check::<AgentQuota>(pool).await?
        + check::<LicenseBatch>(pool).await?
        + check::<License>(pool).await?
        + check::<Withdrawal>(pool).await?
        + check::<Transfer>(pool).await?
        + check::<RiskPolicy>(pool).await?
        + check::<Reversal>(pool).await?
        + check::<Order>(pool).await?
        + check::<Reconciliation>(pool).await?
        + check::<Case>(pool).await?
        + check::<Proposal>(pool).await?)
}

async fn check<A: Aggregate>(pool: &PgPool) -> Result<u64, CrossCheckError> {
    let stock = PersistedEventStore::<_, A>::new_event_store(PostgresEventRepository::new(pool.clone()));
    let (mut after, mut compared) = (String::new(), 0);
    loop {
        let page: Vec<(String, i64)> = sqlx::query_as(
            "select aggregate_id, max(sequence) from events where aggregate_type = $1 and aggregate_id > $2 \
             group by aggregate_id order by aggregate_id limit $3",
        )
        .bind(A::TYPE)
        .bind(&after)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let Some((last, _)) = page.last() else { return Ok(compared) };
        after.clone_from(last);
        for (id, there) in page {
            compare::<A>(pool, &stock, &id, there).await?;
            compared += 1;
        }
    }
}

async fn compare<A: Aggregate>(
    pool: &PgPool,
    stock: &PersistedEventStore<PostgresEventRepository, A>,
    id: &str,
    there: i64,
) -> Result<(), CrossCheckError> {
    let failed = |why: String| CrossCheckError::Stock { aggregate_type: A::TYPE, id: id.to_owned(), why };
    let events = stock.load_events(id).await.map_err(|error| failed(error.to_string()))?;
    let read = events.len();
    // The log may have grown since it was listed, never shrunk.
    if i64::try_from(read).unwrap_or(i64::MAX) < there {
        return Err(CrossCheckError::Short { aggregate_type: A::TYPE, id: id.to_owned(), there, read });
    }
    let mut theirs = A::default();
    for envelope in events {
        theirs.apply(envelope.payload);
    }
    let uuid = Uuid::parse_str(id).map_err(|error| failed(error.to_string()))?;
    let ours = load::<A>(pool, uuid).await?;
    if ours.sequence == read as u64 && ours.aggregate != theirs {
        return Err(CrossCheckError::Differs { aggregate_type: A::TYPE, id: id.to_owned() });
    }
    Ok(())
}
