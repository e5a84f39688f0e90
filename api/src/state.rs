//! What all handlers share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use quotary_commands::Commands;
use quotary_commands::callback::refused::RefusalQueue;
use quotary_projections::directory::Directory;
use quotary_projections::license_index::LicenseIndex;
use quotary_projections::wait::Checkpoints;
use sqlx::PgPool;

use crate::client::lease::{DEFAULT_LEASES, Leases};
use crate::client::{ClientKeys, VerificationCounts};
use crate::client_signature::NonceStore;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::tokens::TokenKeys;

/// How many nonces of signed requests are remembered unless said otherwise.
pub const DEFAULT_NONCES: usize = 2_000_000;

/// What the API is built from.
#[derive(Debug)]
pub struct Parts {
    /// The write side.
    pub commands: Commands,
    /// The database, for queries.
    pub pool: PgPool,
    /// Licences and projects in memory; somebody must feed it.
    pub license_index: Arc<LicenseIndex>,
    /// Accounts in memory; somebody must feed it.
    pub directory: Arc<Directory>,
    /// Where the read models of this process stand.
    pub checkpoints: Checkpoints,
    /// The keys of access tokens.
    pub token_keys: TokenKeys,
    /// How many nonces of signed requests are remembered.
    pub nonces: usize,
    /// The migration that the database must have for this process to be ready.
    pub migration: Option<i64>,
    /// The longest that a request may take.
    pub request_timeout: Duration,
}

/// What all handlers share; cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

/// The parts behind [`AppState`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Shared {
    /// The write side.
    pub commands: Commands,
    /// The database, for queries.
    pub pool: PgPool,
    /// Licences and projects in memory.
    pub license_index: Arc<LicenseIndex>,
    /// Accounts in memory.
    pub directory: Arc<Directory>,
    /// Where the read models of this process stand.
    pub checkpoints: Checkpoints,
    /// The keys of access tokens; can be exchanged while the process runs.
    pub tokens: ArcSwap<TokenKeys>,
    /// From when on sessions are good.
    pub sessions: Sessions,
    /// Used nonces of signed requests.
    pub nonces: NonceStore,
    /// The opened secrets of projects.
    pub client_keys: ClientKeys,
    /// Leases that were handed out.
    pub leases: Leases,
    /// Refused verifications that vendors want to be told of; somebody must empty it.
    pub refusals: RefusalQueue,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The migration that the database must have.
    pub migration: Option<i64>,
    /// The longest that a request may take.
    pub request_timeout: Duration,
}

impl AppState {
    /// The state of these parts.
    ///
    /// # Panics
    /// Never: the names of metrics are fixed and each is there once.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (metrics, counts) = (Metrics::default(), VerificationCounts::default());
        metrics.registry().register(Box::new(counts.clone())).expect("the name is there once");
        Self(Arc::new(Shared {
            client_keys: ClientKeys::new(parts.commands.log().vault().clone(), counts),
            leases: Leases::new(DEFAULT_LEASES),
            commands: parts.commands,
            pool: parts.pool,
            license_index: parts.license_index,
            directory: parts.directory,
            checkpoints: parts.checkpoints,
            tokens: ArcSwap::from_pointee(parts.token_keys),
            sessions: Sessions::default(),
            nonces: NonceStore::new(parts.nonces),
            refusals: RefusalQueue::default(),
            metrics,
            migration: parts.migration,
            request_timeout: parts.request_timeout,
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
