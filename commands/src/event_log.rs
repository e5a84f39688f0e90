//! The front door to the log: decides a command on opened aggregates and answers when the outcome is durable.
//!
//! Nothing decided on a tentative or an old state is answered, refusals and "already applied" included: what writes
//! nothing goes through the committer all the same, so that the database checks what it was decided on. A command whose
//! state turned out to be old is decided again, a bounded number of times.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use quotary_domain::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::cache::{Caches, Stored, lock};
use crate::context::{Context, Idempotency};
use crate::fault_point;
use crate::log::append::{AppendError, NewReceipt};
use crate::log::committer::{Committer, Limits, outcome};
use crate::log::stream::{LoadError, load};
use crate::snapshot::Snapshots;
use crate::unit::{Plan, Unit};
use crate::vault::{Vault, VaultError};

/// How often a command is decided again when others were faster.
const MAX_ATTEMPTS: usize = 8;

/// The write side's log.
#[derive(Clone, Debug)]
pub struct EventLog {
    pool: PgPool,
    caches: Caches,
    committer: Committer,
    snapshots: Snapshots,
    vault: Vault,
}

/// An answered command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// The answer.
    pub value: T,
    /// A position at which the answer's effects stand in the log.
    pub position: u64,
    /// Whether this is the stored answer of an earlier command with the same key.
    pub replayed: bool,
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<E: std::error::Error + 'static> {
    /// A rule forbids it.
    #[error("the command is refused")]
    Refused(#[source] E),
    /// It names something of another tenant, which for this one does not exist.
    #[error("there is no such thing in this tenant")]
    OtherTenant,
    /// A value belongs to another already.
    #[error("the {0} is taken")]
    Taken(&'static str),
    /// The idempotency key was used for another content.
    #[error("the idempotency key was used for another content")]
    KeyReused,
    /// `If-Match` named another sequence.
    #[error("the resource has changed: it is at {actual}")]
    Changed {
        /// Its sequence.
        actual: u64,
    },
    /// Others were faster every time; trying again later helps.
    #[error("the command met too many others on the same aggregates")]
    Contention,
    /// The log could not be written or read; with an idempotency key, trying again is safe.
    #[error("the log is not available")]
    Unavailable(#[source] AppendError),
    /// An aggregate could not be read.
    #[error("an aggregate could not be read")]
    Load(#[from] LoadError),
    /// Sealing or opening failed.
    #[error("a sealed value could not be handled")]
    Vault(#[from] VaultError),
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
}

impl EventLog {
    /// Starts the log's tasks. The returned handle ends when all clones are dropped and the queue is drained.
    #[must_use]
    pub fn start(pool: PgPool, vault: Vault, limits: Limits, cache_capacity: u64) -> (Self, JoinHandle<()>) {
        let (committer, task) = Committer::start(pool.clone(), limits);
        let snapshots = Snapshots::start(pool.clone());
        (Self { pool, caches: Caches::new(cache_capacity), committer, snapshots, vault }, task)
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The vault for sealed values.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Now, by the clock that dates the log and ends what nobody decided on, never before its last event; this process' own may
    /// be wrong.
    ///
    /// # Errors
    /// If the database can't be asked.
    pub async fn time(&self) -> Result<DateTime<Utc>, sqlx::Error> {
        let now = "select greatest(clock_timestamp(), (select recorded_at from log_head))";
        sqlx::query_scalar(now).fetch_one(&self.pool).await
    }

    /// The last position that this process has appended.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.committer.head()
    }

    /// The way of requests into the log.
    #[must_use]
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Decides a command on the aggregates of `plan` and appends what it decides.
    ///
    /// `decide` is called again when its state turned out to be old, so it must do nothing but decide.
    ///
    /// # Errors
    /// [`CommandError`]: refused by a rule, or not possible now. Nothing is written then, except perhaps for
    /// [`CommandError::Unavailable`].
    ///
    /// # Panics
    /// Never: metadata are plain strings.
    pub async fn execute<T, E>(
        &self,
        context: &Context,
        plan: &Plan,
        mut decide: impl FnMut(&mut Unit) -> Result<T, E> + Send,
    ) -> Result<Done<T>, CommandError<E>>
    where
        T: Serialize + DeserializeOwned + Send,
        E: std::error::Error + Send + 'static,
    {
        let metadata = serde_json::to_string(&context.metadata()).expect("metadata are plain strings");
        for attempt in 0..MAX_ATTEMPTS {
            let mut unit = Unit::open(self, plan, attempt == 0).await?;
            if unit.strays_from(context.tenant_id) {
                return Err(CommandError::OtherTenant);
            }
            let answer = match (context.if_match, unit.first_sequence()) {
                (Some(wanted), Some(actual)) if wanted != actual => Err(CommandError::Changed { actual }),
                _ => decide(&mut unit).map_err(CommandError::Refused),
            };
            let receipt = if let Ok(value) = &answer {
                self.receipt(context, value)?
            } else {
                unit.only_check();
                None
            };
            let (ticket, after) = match unit.enqueue(self, context.tenant_id, metadata.clone(), receipt).await {
                Ok(enqueued) => enqueued,
                Err(error) => return Err(CommandError::Unavailable(error)),
            };
            match outcome(ticket).await {
                Ok(appended) => {
                    fault_point::reach(fault_point::BEFORE_ACKNOWLEDGEMENT).await;
                    for step in after {
                        step(self);
                    }
                    return match answer {
                        Ok(value) => Ok(Done { value, position: appended.position, replayed: false }),
                        // A repeat of an answered command gets that answer, whatever has changed since.
                        Err(refusal) => self.replay(context).await?.ok_or(refusal),
                    };
                }
                Err(AppendError::Conflict) => {}
                Err(AppendError::ReceiptTaken) => {
                    if let Some(done) = self.replay(context).await? {
                        return Ok(done);
                    }
                }
                Err(AppendError::ClaimTaken(kind)) => {
                    return match self.replay(context).await? {
                        Some(done) => Ok(done),
                        None => Err(CommandError::Taken(kind)),
                    };
                }
                Err(error @ (AppendError::Unavailable(_) | AppendError::Stopping)) => {
                    return Err(CommandError::Unavailable(error));
                }
            }
        }
        Err(CommandError::Contention)
    }

    /// The state of an aggregate as the log has it now, and its sequence; `None` if it does not exist in the tenant.
    ///
    /// It is read from the log and not from the cache, which another process may have left behind.
    ///
    /// # Errors
    /// [`LoadError`] if it can't be read.
    pub async fn current<A: Stored>(
        &self,
        tenant_id: TenantId,
        id: impl Into<Uuid>,
    ) -> Result<Option<(A, u64)>, LoadError> {
        let loaded = load::<A>(&self.pool, id.into()).await?;
        Ok((loaded.tenant_id == Some(tenant_id)).then_some((loaded.aggregate, loaded.sequence)))
    }

    /// The state of an aggregate as this process knows it, perhaps old and perhaps never to be durable; `None` if it is
    /// not known in the tenant. Good for choosing what to open; what is decided is decided on what was opened.
    pub(crate) async fn glance<A: Stored>(
        &self,
        tenant_id: TenantId,
        id: impl Into<Uuid>,
    ) -> Result<Option<A>, LoadError> {
        let locked = lock::<A>(&self.caches, &self.pool, id.into(), false).await?;
        let known = locked.held.as_ref().filter(|held| held.tenant_id == Some(tenant_id));
        Ok(known.map(|held| A::clone(&held.aggregate)))
    }

    fn receipt<T: Serialize, E: std::error::Error + 'static>(
        &self,
        context: &Context,
        value: &T,
    ) -> Result<Option<NewReceipt>, CommandError<E>> {
        let Some(Idempotency { key_hash, request_hash }) = context.idempotency else { return Ok(None) };
        let answer = serde_json::to_vec(value).expect("answers are plain data and always serialise");
        let response = self.vault.seal_bytes(context.tenant_id, &key_hash, &answer)?;
        let request_hash = self.kept_request_hash(context.tenant_id, &request_hash);
        Ok(Some(NewReceipt { key_hash, request_hash, response }))
    }

    /// The hash of a request as receipts keep it: keyed, because a request can have bank details in it, and a plain hash of
    /// so little that is secret can be guessed, also after the person's data was erased.
    fn kept_request_hash(&self, tenant_id: TenantId, request_hash: &[u8; 32]) -> [u8; 32] {
        self.vault.hash_bytes(tenant_id, "request", &URL_SAFE_NO_PAD.encode(request_hash))
    }

    /// The stored answer of an earlier command with the same key.
    async fn replay<T: DeserializeOwned, E: std::error::Error + 'static>(
        &self,
        context: &Context,
    ) -> Result<Option<Done<T>>, CommandError<E>> {
        let Some(Idempotency { key_hash, request_hash }) = context.idempotency else { return Ok(None) };
        let found: Option<(Vec<u8>, i64, Vec<u8>)> = sqlx::query_as(
            "select request_hash, position, response from receipts where tenant_id = $1 and key_hash = $2",
        )
        .bind(context.tenant_id.0)
        .bind(key_hash.as_slice())
        .fetch_optional(&self.pool)
        .await?;
        let Some((known_request, position, response)) = found else { return Ok(None) };
        // Receipts from before the hashes were keyed have the plain one.
        if known_request != self.kept_request_hash(context.tenant_id, &request_hash) && known_request != request_hash {
            return Err(CommandError::KeyReused);
        }
        let answer = self.vault.open_bytes(context.tenant_id, &key_hash, &response)?;
        let value = serde_json::from_slice(&answer).map_err(|_| VaultError::Unreadable)?;
        Ok(Some(Done { value, position: position.cast_unsigned(), replayed: true }))
    }
}
