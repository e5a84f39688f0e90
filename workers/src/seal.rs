//! Seals the log: hashes every event into a tree, and signs the tree's head so that nobody, whoever runs this, can change
//! what stands in the log without being found out.
//!
//! What always holds:
//! - At most one sealer works (a session lock in PostgreSQL); even two could not sign two histories, because tiles grow
//!   only where they ended and the last head is swapped, not written.
//! - A head is signed only after its consistency with the last signed one was proved from the tiles as they are stored, and
//!   it is published only after it was kept outside of PostgreSQL ([`heads`]).
//! - A log that is shorter than a head, or another than the one that was sealed, is never signed. The sealer refuses, says
//!   so, and goes on asking until somebody has found out why.
//! - Nothing waits for the seal. It runs behind the commits and takes them in bulk.

pub mod heads;
mod status;
mod store;
mod term;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use quotary_audit::finding::Finding;
use quotary_audit::keys::KeysError;
use quotary_audit::note::{Checkpoint, NoteError, SignerKey, VerifierKey};
use quotary_audit::tree::{MissingTile, ProofError};
use quotary_projections::log_signal::LogSignal;
use quotary_projections::raw_log::RawLogError;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::leader::Leader;
use heads::{HeadError, Heads};
pub use status::{SealReport, SealStatus};
pub use store::StoreError;
use term::Term;
pub use witness::WitnessError;

/// The lock of the one sealer. A log is one, so is its seal: the name has no prefix.
const JOB: &str = "quotary seal";
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How the sealer works.
#[derive(Debug)]
pub struct SealOptions {
    /// The keys that sign; all have the name of the log. During a rotation there are two.
    pub keys: Vec<SignerKey>,
    /// Where the last head is kept outside of PostgreSQL.
    pub heads: Heads,
    /// A second signer.
    pub witness: Option<Witness>,
    /// The least time from one checkpoint to the next. What is committed is sealed about this long after.
    pub interval: Duration,
    /// The most events of one checkpoint.
    pub batch: u64,
    /// How often the log is looked at when nothing is announced.
    pub poll: Duration,
    /// The head of the log as the committer of this process knows it.
    pub log_head: Option<watch::Receiver<u64>>,
    /// Where the sealer tells how it is doing.
    pub status: Arc<SealStatus>,
}

/// A second signer on another host.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Its submission prefix; `/add-checkpoint` is appended.
    pub url: String,
    /// Its key, of cosignatures.
    pub key: VerifierKey,
    /// How long a checkpoint waits for it.
    pub within: Duration,
}

impl SealOptions {
    /// Options that are right for one log on one machine.
    #[must_use]
    pub fn new(keys: Vec<SignerKey>, heads: Heads) -> Self {
        Self {
            keys,
            heads,
            witness: None,
            interval: Duration::from_millis(400),
            batch: 50_000,
            poll: Duration::from_millis(200),
            log_head: None,
            status: Arc::default(),
        }
    }
}

/// Why the sealer's term ended.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key, or the keys are of different logs; the only error that [`run`] returns.
    #[error("the sealer needs keys of one name")]
    Keys,
    /// PostgreSQL is out of reach.
    #[error("the sealer's connection to PostgreSQL failed")]
    Connection(#[source] sqlx::Error),
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] RawLogError),
    /// Tiles or checkpoints can't be read or written.
    #[error("the seal can't be read or written")]
    Store(#[from] StoreError),
    /// The head outside of PostgreSQL can't be read or written.
    #[error("the head outside of the database can't be read or written")]
    Heads(#[from] HeadError),
    /// A step hung.
    #[error("the seal did not come forward in time")]
    TooSlow,
    /// The log must not be signed.
    #[error("the log must not be signed")]
    Refused(#[from] Refused),
}

/// Why a log must not be signed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The log has fewer events than were sealed: it was truncated, or the database was restored to an older point.
    #[error("the log ends at {found} and {sealed} events were sealed")]
    Shortened {
        /// Sealed.
        sealed: u64,
        /// There.
        found: u64,
    },
    /// The head outside is of a tree that the tiles here do not have: the database was restored, or is another one.
    #[error("the head kept outside ({outside} events) is not of the log here")]
    NotOurs {
        /// Its size.
        outside: u64,
    },
    /// There are checkpoints, and no head outside.
    #[error("{0} events were sealed and no head is kept outside of the database")]
    NoHead(u64),
    /// What stands in the log is not what was sealed.
    #[error("the log is not the one that was sealed")]
    Altered(#[source] Finding),
    /// The tiles do not have the root of the last head.
    #[error("the tiles are not those of the last head")]
    Tiles(#[source] ProofError),
    /// A tile is missing.
    #[error("the tiles are incomplete")]
    Missing(#[from] MissingTile),
    /// A checkpoint is not signed by a key of the log.
    #[error("the checkpoint of {size} events is not signed by this log")]
    Signature {
        /// Its size.
        size: u64,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// The list of keys is not to be trusted.
    #[error("the list of keys is not to be trusted")]
    KeyList(#[source] KeysError),
    /// The keys are of another log.
    #[error("this log is sealed as {0}")]
    OtherOrigin(String),
    /// The witness has seen what the log here does not have.
    #[error("the witness has seen {seen} events of another history")]
    Witness {
        /// How many it has seen.
        seen: u64,
    },
}

/// Seals the log until `cancel`; trouble is told by tracing and [`SealStatus`], and tried again.
///
/// # Errors
/// [`SealError::Keys`], at once.
pub async fn run(pool: PgPool, options: SealOptions, cancel: CancellationToken) -> Result<(), SealError> {
    let origin = options.keys.first().ok_or(SealError::Keys)?.name().to_owned();
    if options.keys.iter().any(|key| key.name() != origin) {
        return Err(SealError::Keys);
    }
    let status = Arc::clone(&options.status);
    let sealer = Sealer {
        announced: LogSignal::listen(&pool, cancel.clone()),
        committed: options.log_head.clone().map(LogSignal::sent_by),
        http: witness::client(),
        pool,
        origin,
        options,
    };
    let mut retry = FIRST_RETRY;
    while !cancel.is_cancelled() {
        let before = status.report().size;
        let ended = async {
            let leader = Leader::wait(&sealer.pool, JOB, &cancel).await.map_err(SealError::Connection)?;
            match leader {
                Some(leader) => Term::serve(&sealer, leader, &cancel).await,
                None => Ok(()),
            }
        };
        let Err(error) = ended.await else { break };
        status.ended(&error);
        if status.report().size != before {
            retry = FIRST_RETRY;
        }
        report(&sealer.origin, &error, retry);
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(retry) => {}
        }
        retry = (retry * 2).min(LAST_RETRY);
    }
    status.stopped();
    Ok(())
}

/// What all terms of a sealer share.
struct Sealer {
    pool: PgPool,
    origin: String,
    announced: LogSignal,
    committed: Option<LogSignal>,
    http: reqwest::Client,
    options: SealOptions,
}

/// Keeps the last published checkpoint as the head outside, where none is kept: what somebody does who has moved the
/// sealer to a new place and knows that this log is the right one.
///
/// # Errors
/// [`SealError`] if a head is kept already, or there is nothing to keep.
pub async fn adopt(pool: &PgPool, heads: &Heads) -> Result<Checkpoint, SealError> {
    let mut connection = pool.acquire().await.map_err(SealError::Connection)?;
    let note = store::last_checkpoint(&mut connection).await?.ok_or(HeadError::Nothing)?;
    let checkpoint = note.text().parse().map_err(|_| HeadError::Unreadable)?;
    heads.swap(None, &note).await?;
    Ok(checkpoint)
}

fn report(origin: &str, error: &SealError, retry: Duration) {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let cause = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let retry_ms = retry.as_millis();
    if matches!(error, SealError::Refused(_)) {
        tracing::error!(origin, %error, cause, retry_ms, "THE LOG IS NOT SEALED: somebody has to find out why");
    } else {
        tracing::warn!(origin, %error, cause, retry_ms, "the sealer tries again");
    }
}
