//! Wires the crates into a process: the API, the workers, or both, over one database and one bus.
//!
//! Order at start: migrate, read models, write side, workers, memory of the API, listener. Order at the stop: no new
//! requests, then the workers, then the queue of the log is drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use quotary_api::tokens::{TokenKeys, TokenKeysError};
use quotary_api::{AppState, Parts};
use quotary_commands::{Commands, EventLog, Limits, Vault, VaultError, fault_point};
use quotary_projections::accounts::Accounts;
use quotary_projections::audit::Audit;
use quotary_projections::bus::connect::{ConnectError, connect};
use quotary_projections::bus::subjects::{InvalidToken, Names};
use quotary_projections::cases::Cases;
use quotary_projections::feed::EventSource;
use quotary_projections::generation::{self, GenerationError};
use quotary_projections::holds::Holds;
use quotary_projections::journals::Journals;
use quotary_projections::ledger::Ledger;
use quotary_projections::license_ends::LicenseEnds;
use quotary_projections::license_stats::LicenseStatistics;
use quotary_projections::licenses::Licenses;
use quotary_projections::movements::Movements;
use quotary_projections::notices::Notices;
use quotary_projections::orders::Orders;
use quotary_projections::projects::Projects;
use quotary_projections::proposals::Proposals;
use quotary_projections::reconciliations::Reconciliations;
use quotary_projections::runner::{Health, RunnerError, RunnerOptions, Runners};
use quotary_projections::wait::Checkpoints;
use quotary_projections::withdrawals::Withdrawals;
use quotary_workers::deliver_callbacks::{self, CallbackStatus, DeliverOptions};
use quotary_workers::leader::LeaderOptions;
use quotary_workers::reconcile::{self, ReconcileStatus, Schedule};
use quotary_workers::relay::{self, RelayError, RelayOptions, RelayStatus};
use quotary_workers::seal::heads::Heads;
use quotary_workers::seal::{self, SealError, SealOptions, SealStatus, Witness};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::database::{self, DatabaseError};

/// How long what has begun may take to end when a start fails.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Which halves a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// API and workers.
    Both,
    /// The API alone.
    Api,
    /// The workers alone, with health and metrics on the API's address.
    Worker,
}

/// Why a process can't start or has to end.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration lacks something.
    #[error("the configuration is incomplete")]
    Config(#[from] ConfigError),
    /// The database can't be used.
    #[error("the database can't be used")]
    Database(#[from] DatabaseError),
    /// A read model can't be made.
    #[error("the read models can't be made")]
    ReadModels(#[from] GenerationError),
    /// The master key is wrong.
    #[error("the master key can't be used")]
    Vault(#[from] VaultError),
    /// The token keys are wrong.
    #[error("the keys of access tokens can't be used")]
    TokenKeys(#[from] TokenKeysError),
    /// The NATS URL is wrong or the server refuses.
    #[error("the bus can't be used")]
    Bus(#[from] ConnectError),
    /// The prefix of NATS names is wrong.
    #[error("the prefix of stream names can't be used")]
    Names(#[from] InvalidToken),
    /// The address is taken or not ours.
    #[error("can't listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The licences and accounts can't be loaded into memory.
    #[error("the API's memory can't be loaded")]
    Load(#[from] quotary_api::feed::LoadError),
    /// The API's server failed.
    #[error("the API's server failed")]
    Serve(#[from] std::io::Error),
    /// A read model stopped.
    #[error("a read model stopped")]
    Runner(#[from] RunnerError),
    /// The relay could not be started.
    #[error("the relay could not be started")]
    Relay(#[from] RelayError),
    /// The seal of the log could not be started.
    #[error("the seal of the log could not be started")]
    Seal(#[from] SealError),
    /// The bucket of heads can't be opened.
    #[error("the bucket of heads can't be opened")]
    SealBucket(#[from] jetstream::context::CreateKeyValueError),
    /// A part of the process ended though nobody asked it to.
    #[error("{0} ended by itself")]
    Ended(&'static str),
}

/// A running process.
pub struct Service {
    /// Where the API listens.
    pub address: SocketAddr,
    /// The write side.
    pub commands: Commands,
    /// The database, as the service.
    pub pool: PgPool,
    cancel: CancellationToken,
    parts: JoinSet<Result<(), ServiceError>>,
    committer: JoinHandle<()>,
}

/// What the halves share.
struct Common {
    commands: Commands,
    pool: PgPool,
    events: Arc<EventSource>,
    checkpoints: Checkpoints,
    nats: Option<jetstream::Context>,
    names: Names,
    relay_status: Arc<RelayStatus>,
    seal_status: Arc<SealStatus>,
    reconcile_status: Arc<ReconcileStatus>,
    callback_status: Arc<CallbackStatus>,
    cancel: CancellationToken,
}

impl Service {
    /// Starts a process.
    ///
    /// # Errors
    /// [`ServiceError`]: nothing runs then.
    pub async fn start(config: &Config, halves: Halves) -> Result<Self, ServiceError> {
        let url = config.database_url()?;
        let owner = database::owner_pool(&url, 2).await?;
        database::migrate(&owner).await?;
        owner.close().await;
        let pool = database::service_pool_within(&url, config.connections, config.connection_within_ms.into()).await?;
        ensure_read_models(&pool).await?;
        let vault = Vault::from_base64(&config.master_key()?)?;
        let (log, committer) = EventLog::start(pool.clone(), vault, limits(config), config.cached_aggregates);
        let commands = Commands::new(log).with_callbacks(config.callbacks());
        let names = match &config.stream_prefix {
            Some(prefix) => Names::with_prefix(prefix)?,
            None => Names::default(),
        };
        let nats = match config.nats_url()? {
            Some(url) => Some(jetstream::new(connect(&url).await?)),
            None => None,
        };
        let cancel = CancellationToken::new();
        let events = EventSource::new(pool.clone(), nats.clone(), names.clone(), cancel.clone());
        let events = Arc::new(events.read_within(config.read_within_ms.into()));
        let common = Common {
            commands: commands.clone(),
            pool: pool.clone(),
            events,
            checkpoints: Checkpoints::default(),
            nats,
            names,
            relay_status: Arc::default(),
            seal_status: Arc::default(),
            reconcile_status: Arc::default(),
            callback_status: Arc::default(),
            cancel: cancel.clone(),
        };
        let mut parts = JoinSet::new();
        let runners = if halves == Halves::Api {
            vec![]
        } else {
            common.start_seal(config, &mut parts).await?;
            common.start_workers(config, &mut parts)
        };
        let address = match common.start_api(config, halves, &mut parts, runners).await {
            Ok(address) => address,
            Err(error) => {
                // What has begun ends in order: a runner whose reader is torn away says that its read model gave up.
                cancel.cancel();
                let ended = async { while parts.join_next().await.is_some() {} };
                if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
                    tracing::warn!("what had begun did not end in time");
                }
                return Err(error);
            }
        };
        Ok(Self { address, commands, pool, cancel, parts, committer })
    }

    /// Waits until `stop` or until a part fails, then stops everything in order.
    ///
    /// # Errors
    /// The first part's failure.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let first = tokio::select! {
            () = stop => Ok(()),
            Some(ended) = self.parts.join_next() => settled(ended).and(Err(ServiceError::Ended("a part"))),
        };
        self.cancel.cancel();
        let mut outcome = first;
        while let Some(ended) = self.parts.join_next().await {
            outcome = outcome.and(settled(ended));
        }
        drop(self.commands);
        // The committer ends when its queue is drained and nobody can enqueue any more.
        if tokio::time::timeout(Duration::from_secs(20), self.committer).await.is_err() {
            tracing::error!("the queue of the log was not drained in time");
        }
        self.pool.close().await;
        outcome
    }
}

fn limits(config: &Config) -> Limits {
    Limits { unreachable: config.append_within_ms.into(), ..Limits::default() }
}

fn settled(ended: Result<Result<(), ServiceError>, tokio::task::JoinError>) -> Result<(), ServiceError> {
    ended.unwrap_or(Err(ServiceError::Ended("a part that panicked")))
}

impl Common {
    fn start_workers(&self, config: &Config, parts: &mut JoinSet<Result<(), ServiceError>>) -> Vec<RunnerStatus> {
        let options = RunnerOptions {
            silent_at_most: config.silent_at_most_ms.into(),
            before_commit: fault_point::before_commit(),
            ..RunnerOptions::default()
        };
        let leader = LeaderOptions {
            answer_within: Duration::from(config.silent_at_most_ms) / 3,
            silent_at_most: config.silent_at_most_ms.into(),
            ..LeaderOptions::default()
        };
        let runners =
            Runners::new(self.pool.clone(), self.events.clone(), self.checkpoints.clone(), self.cancel.clone())
                .with_options(options)
                .spawn(Accounts)
                .spawn(Ledger)
                .spawn(Movements)
                .spawn(Journals)
                .spawn(Withdrawals)
                .spawn(Holds)
                .spawn(Notices)
                .spawn(Orders)
                .spawn(Audit)
                .spawn(Projects)
                .spawn(Licenses)
                .spawn(LicenseStatistics)
                .spawn(LicenseEnds)
                .spawn(Reconciliations)
                .spawn(Cases)
                .spawn(Proposals);
        let statuses = runners.statuses();
        // A read model that gave up is shown by /readyz and /metrics; the others and the API go on.
        parts.spawn(async move { Ok(runners.join().await?) });
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let (checkpoints, cancel) = (self.checkpoints.clone(), self.cancel.clone());
        parts.spawn(async move {
            quotary_workers::issue_batches::run(commands, pool, checkpoints, leader, cancel).await;
            Ok(())
        });
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let expiring = quotary_workers::expire_holds::run(commands, pool, leader, self.cancel.clone());
        parts.spawn(async move {
            expiring.await;
            Ok(())
        });
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let ending = quotary_workers::expire_licenses::run(commands, pool, leader, self.cancel.clone());
        parts.spawn(async move {
            ending.await;
            Ok(())
        });
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let delivering = DeliverOptions { status: self.callback_status.clone(), ..DeliverOptions::default() };
        let delivering = deliver_callbacks::run(commands, pool, delivering, leader, self.cancel.clone());
        parts.spawn(async move {
            delivering.await;
            Ok(())
        });
        let erasing = quotary_workers::erase_keys::run(self.commands.clone(), self.cancel.clone());
        parts.spawn(async move {
            erasing.await;
            Ok(())
        });
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let (checkpoints, cancel) = (self.checkpoints.clone(), self.cancel.clone());
        parts.spawn(async move {
            quotary_workers::disable_refunded::run(commands, pool, checkpoints, leader, cancel).await;
            Ok(())
        });
        let schedule = Schedule {
            incremental: Duration::from_secs(u64::from(config.reconcile_minutes) * 60),
            full: Duration::from_secs(u64::from(config.reconcile_full_hours) * 3_600),
        };
        let (commands, pool) = (self.commands.clone(), self.pool.clone());
        let (status, cancel) = (self.reconcile_status.clone(), self.cancel.clone());
        parts.spawn(async move {
            reconcile::run(commands, pool, schedule, leader, status, cancel).await;
            Ok(())
        });
        let (commands, pool, cancel) = (self.commands.clone(), self.pool.clone(), self.cancel.clone());
        parts.spawn(async move {
            quotary_workers::reconcile_bills::run(commands, pool, leader, cancel).await;
            Ok(())
        });
        if let Some(nats) = self.nats.clone() {
            let options = RelayOptions {
                log_head: Some(self.commands.log().head()),
                status: self.relay_status.clone(),
                ack_within: config.publish_within_ms.into(),
                read_within: config.read_within_ms.into(),
                leader,
                ..RelayOptions::default()
            };
            let relay = relay::run(self.pool.clone(), nats, self.names.clone(), options, self.cancel.clone());
            parts.spawn(async move { Ok(relay.await?) });
        }
        statuses
    }

    /// Starts the seal of the log if there is a key for it.
    async fn start_seal(
        &self,
        config: &Config,
        parts: &mut JoinSet<Result<(), ServiceError>>,
    ) -> Result<(), ServiceError> {
        let keys = config.seal_keys()?;
        if keys.is_empty() {
            tracing::warn!("the log is not sealed: there is no QUOTARY_SEAL_KEY_FILE");
            return Ok(());
        }
        let heads = seal_heads(config, self.nats.as_ref()).await?;
        let witness = config.witness()?.map(|(url, key)| Witness { url, key, within: Duration::from_millis(300) });
        let options = SealOptions {
            witness,
            log_head: Some(self.commands.log().head()),
            status: self.seal_status.clone(),
            ..SealOptions::new(keys, heads)
        };
        let seal = seal::run(self.pool.clone(), options, self.cancel.clone());
        parts.spawn(async move { Ok(seal.await?) });
        Ok(())
    }

    async fn start_api(
        &self,
        config: &Config,
        halves: Halves,
        parts: &mut JoinSet<Result<(), ServiceError>>,
        runners: Vec<RunnerStatus>,
    ) -> Result<SocketAddr, ServiceError> {
        let loaded = quotary_api::feed::load(&self.pool).await?;
        let state = AppState::new(Parts {
            commands: self.commands.clone(),
            pool: self.pool.clone(),
            license_index: loaded.license_index.clone(),
            directory: loaded.directory.clone(),
            checkpoints: self.checkpoints.clone(),
            token_keys: TokenKeys::from_json(&config.token_keys()?)?,
            nonces: quotary_api::state::DEFAULT_NONCES,
            migration: database::MIGRATIONS.iter().map(|migration| migration.version).max(),
            request_timeout: config.request_within_ms.into(),
        });
        self.add_figures(&state, runners);
        let feed = quotary_api::feed::run(self.events.feed(loaded.position), loaded, self.pool.clone());
        parts.spawn(async move {
            feed.await.map_err(|error| {
                tracing::error!(%error, "what is in memory is no longer true");
                ServiceError::Ended("the feed of the API")
            })
        });
        let address = config.listen;
        let listening = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            listening.await.map_err(|source| ServiceError::Listen { address: config.listen, source })?;
        let cancel = self.cancel.clone();
        if halves != Halves::Worker {
            let refusals = state.refusals.clone().run(self.pool.clone(), cancel.clone());
            parts.spawn(async move {
                refusals.await;
                Ok(())
            });
        }
        parts.spawn(async move {
            if halves == Halves::Worker {
                Ok(quotary_api::serve_operations(listener, state, cancel).await?)
            } else {
                Ok(quotary_api::serve(listener, state, cancel).await?)
            }
        });
        Ok(address)
    }

    /// What `/metrics` shows of the workers of this process.
    fn add_figures(&self, state: &AppState, runners: Vec<RunnerStatus>) {
        let (relay, seal) = (self.relay_status.clone(), self.seal_status.clone());
        let (reconcile, callbacks) = (self.reconcile_status.clone(), self.callback_status.clone());
        let refusals = state.refusals.clone();
        let figure = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        state.metrics.add_source(move || {
            let (report, seal, told) = (relay.report(), seal.report(), callbacks.report());
            let failed = runners.iter().filter(|status| status.lock().health == Health::Failed).count();
            vec![
                ("quotary_relay_published", "The last position published to the bus", figure(report.published)),
                ("quotary_relay_lag", "Events of the log that are not on the bus", figure(report.lag)),
                ("quotary_relay_failures", "How often the relay was interrupted", figure(report.failures)),
                ("quotary_relay_diverged", "Whether the stream is no copy of the log", i64::from(report.is_diverged)),
                ("quotary_seal_size", "Events under the last checkpoint", figure(seal.size)),
                ("quotary_seal_lag", "Events of the log that are not sealed", figure(seal.lag)),
                ("quotary_seal_refused", "Whether the log must not be signed", i64::from(seal.is_refused)),
                ("quotary_seal_failures", "How often the seal was interrupted", figure(seal.failures)),
                ("quotary_seal_witnessed", "Events under the last cosigned checkpoint", figure(seal.witnessed)),
                (
                    "quotary_reconcile_result",
                    "The last internal reconciliation: 0 none yet, 1 passed, 2 found differences, 3 could not be completed",
                    reconcile.result(),
                ),
                (
                    "quotary_reconcile_differences",
                    "Differences that the last completed internal reconciliation found",
                    reconcile.differences(),
                ),
                ("quotary_reconcile_position", "The last position that was proved", reconcile.position()),
                (
                    "quotary_reconcile_age_seconds",
                    "Seconds since the last position was proved; -1 if none was",
                    reconcile.age_seconds(),
                ),
                ("quotary_callbacks_delivered", "Callbacks that this process delivered", figure(told.delivered)),
                ("quotary_callbacks_failed", "Attempts of this process to deliver that failed", figure(told.failed)),
                ("quotary_callbacks_dead", "Callbacks that this process gave up", figure(told.dead)),
                ("quotary_callbacks_pending", "Callbacks on their way, if this process delivers", figure(told.pending)),
                (
                    "quotary_callbacks_oldest_seconds",
                    "For how long the oldest of them has been on its way",
                    figure(told.oldest_seconds),
                ),
                (
                    "quotary_callbacks_refusals_dropped",
                    "Refused verifications that this process did not tell for lack of room",
                    figure(refusals.dropped()),
                ),
                (
                    "quotary_callbacks_interrupted",
                    "How often the delivery of callbacks was interrupted",
                    figure(told.interrupted),
                ),
                ("quotary_projections_failed", "Read models that gave up", figure(failed as u64)),
            ]
        });
    }
}

/// Where the last sealed head is kept outside of PostgreSQL.
///
/// # Errors
/// [`ServiceError`] if there is no such place, or it can't be opened.
pub async fn seal_heads(config: &Config, nats: Option<&jetstream::Context>) -> Result<Heads, ServiceError> {
    let mut heads = Heads::new();
    if let Some(folder) = &config.seal_dir {
        heads = heads.in_folder(folder);
    }
    if let Some(bucket) = &config.seal_bucket {
        let nats = nats.ok_or(ConfigError::Missing("NATS_URL"))?;
        let config = jetstream::kv::Config { bucket: bucket.clone(), history: 8, ..Default::default() };
        heads = heads.in_bucket(nats.create_key_value(config).await?);
    }
    if heads.is_empty() {
        return Err(ConfigError::Missing("QUOTARY_SEAL_DIR").into());
    }
    Ok(heads)
}

type RunnerStatus = Arc<parking_lot::Mutex<quotary_projections::runner::Status>>;

/// Makes the first generation of every read model, so that queries find its views from the start.
///
/// # Errors
/// [`GenerationError`] if one can't be made.
pub async fn ensure_read_models(pool: &PgPool) -> Result<(), GenerationError> {
    generation::ensure(pool, &Accounts).await?;
    generation::ensure(pool, &Ledger).await?;
    generation::ensure(pool, &Movements).await?;
    generation::ensure(pool, &Journals).await?;
    generation::ensure(pool, &Withdrawals).await?;
    generation::ensure(pool, &Holds).await?;
    generation::ensure(pool, &Notices).await?;
    generation::ensure(pool, &Orders).await?;
    generation::ensure(pool, &Audit).await?;
    generation::ensure(pool, &Projects).await?;
    generation::ensure(pool, &Licenses).await?;
    generation::ensure(pool, &LicenseStatistics).await?;
    generation::ensure(pool, &LicenseEnds).await?;
    generation::ensure(pool, &Reconciliations).await?;
    generation::ensure(pool, &Cases).await?;
    generation::ensure(pool, &Proposals).await?;
    Ok(())
}
