//! Delivers callbacks: reads the log, writes down what is to be told, and tells it until it is taken (row L11).
//!
//! What always holds:
//! - What is to be told stands in the tables in one transaction with the position that the log was read to, under ids that
//!   follow from the event and the project. A crash, or a day without workers, loses nothing and writes nothing twice.
//! - At least once: a crash between an answer and its record sends again, under the same `webhook-id`.
//! - Of one licence one callback is on its way at a time, in the order of the log; it is tried until it is taken or its life
//!   ends, and the next one waits so long. Other licences and other projects go on.
//! - One leader works, and everything that it writes goes over the connection that holds its lock.
//! - A project has few requests open at a time, fewer if it gives no answers, so a slow address keeps no other waiting.
//! - Nothing waits for this: not a verification, not a command.

mod endpoint;
mod intake;
pub mod outcome;
pub mod schedule;
pub mod send;
pub mod signature;
mod status;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use hashbrown::{HashMap, HashSet};
use quotary_commands::callback::secret::open_secret;
use quotary_commands::{Commands, Context, VaultError};
use quotary_domain::{DecodeError, ProjectId, TenantId};
use quotary_projections::log_reader::LogError;
use quotary_projections::log_signal::LogSignal;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio_rustls::rustls::RootCertStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::leader::{Leader, LeaderOptions, again};
use endpoint::Endpoint;
use outcome::Outcome;
use schedule::Schedule;
use send::{Answer, Message, Resolve, Sender, SystemResolver, trusted_by_the_host};
pub use status::{CallbackReport, CallbackStatus};
use store::{Attempt, DueDelivery};

/// The lock of the one who delivers.
const JOB: &str = "quotary/deliver-callbacks";
/// Pauses after trouble: from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often old deliveries are looked for, and the age of the oldest pending one.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How many deliveries are forgotten at a time.
const FORGET: i64 = 1_000;
/// How long a stop waits for answers; what has none then is sent again by whoever comes next.
const DRAIN: Duration = Duration::from_secs(5);

/// What the time is; the database's clock if `None`.
pub type Clock = Option<Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>>;

/// How callbacks are delivered.
#[derive(Clone)]
pub struct DeliverOptions {
    /// When a callback is tried again.
    pub schedule: Schedule,
    /// How long one that has ended is kept, and how old an event may be to be written down at all.
    pub keep: TimeDelta,
    /// How many callbacks of a project can be on their way; further ones are given up at once, for all to see.
    pub most_pending: u64,
    /// How many requests to a project are open at a time; one, if it gives no answers.
    pub per_project: usize,
    /// How many requests are open in all.
    pub at_once: usize,
    /// How long an address may take to answer.
    pub answer_within: Duration,
    /// How often the log and the time are looked at when nothing is announced.
    pub poll: Duration,
    /// Finds the addresses of names.
    pub resolver: Arc<dyn Resolve>,
    /// The certificates that are trusted; those of the host if `None`.
    pub roots: Option<RootCertStore>,
    /// What the time is.
    pub clock: Clock,
    /// Where it is told how this is doing.
    pub status: Arc<CallbackStatus>,
}

impl Default for DeliverOptions {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            keep: TimeDelta::days(30),
            most_pending: 100_000,
            per_project: 4,
            at_once: 256,
            answer_within: Duration::from_secs(15),
            poll: Duration::from_millis(250),
            resolver: Arc::new(SystemResolver),
            roots: None,
            clock: None,
            status: Arc::default(),
        }
    }
}

/// Why the delivery was interrupted.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The database refuses or is out of reach.
    #[error("the deliveries can't be read or written: {0}")]
    Database(#[from] sqlx::Error),
    /// The log can't be read.
    #[error("the log can't be read: {0}")]
    Log(#[from] LogError),
    /// An event can't be read. It is never skipped.
    #[error("an event can't be told: {0}")]
    Decode(#[from] DecodeError),
    /// A task that sent broke down; its callback is due still.
    #[error("a task that sent a callback broke down")]
    Task(#[from] tokio::task::JoinError),
}

/// Delivers callbacks until `cancel`. Trouble is told by tracing and tried again.
pub async fn run(
    commands: Commands,
    pool: PgPool,
    options: DeliverOptions,
    leader: LeaderOptions,
    cancel: CancellationToken,
) {
    let roots = options.roots.clone().unwrap_or_else(trusted_by_the_host);
    let sender = Sender::new(commands.callbacks(), options.resolver.clone(), roots, options.answer_within);
    again("the delivery of callbacks", PAUSES, &cancel, || async {
        let ended = term(&commands, &pool, &options, &sender, leader, &cancel).await;
        // The queue is another's to tell now.
        options.status.queue(0);
        options.status.oldest(None);
        if ended.is_err() {
            options.status.interrupted();
        }
        ended
    })
    .await;
}

/// One term as the leader.
async fn term(
    commands: &Commands,
    pool: &PgPool,
    options: &DeliverOptions,
    sender: &Sender,
    leading: LeaderOptions,
    cancel: &CancellationToken,
) -> Result<(), DeliverError> {
    let Some(mut leader) = Leader::wait_with(pool, JOB, leading, cancel).await? else { return Ok(()) };
    let mut deliverer = Deliverer::open(leader.connection(), commands.clone(), sender.clone(), options.clone()).await?;
    let mut signal = LogSignal::sent_by(commands.log().head());
    let mut housekeeping: Option<Instant> = None;
    while !cancel.is_cancelled() {
        if leader.is_lost().await {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let db = leader.connection();
        let now = deliverer.now(db).await?;
        let more = deliverer.take_in(db, now).await?;
        deliverer.start_due(db, now).await?;
        if housekeeping.is_none_or(|at| at.elapsed() >= HOUSEKEEPING) {
            housekeeping = Some(Instant::now());
            options.status.oldest(store::oldest(db).await?);
            store::forget(db, now - options.keep, FORGET).await?;
        }
        let position = deliverer.position;
        tokio::select! {
            () = cancel.cancelled() => {}
            () = std::future::ready(()), if more => {}
            () = signal.beyond(position), if !more => {}
            () = tokio::time::sleep(options.poll) => {}
            sent = deliverer.next_sent(), if !deliverer.sending.is_empty() => {
                deliverer.record(leader.connection(), sent?).await?;
            }
        }
    }
    deliverer.drain(leader.connection()).await?;
    Ok(leader.resign().await?)
}

/// The state of a term.
struct Deliverer {
    commands: Commands,
    sender: Sender,
    options: DeliverOptions,
    /// The position that the log was read to.
    position: u64,
    /// The last turn that was given.
    turn: i64,
    endpoints: HashMap<ProjectId, Endpoint>,
    sending: JoinSet<Sent>,
    in_flight: HashSet<Uuid>,
}

/// A delivery that was sent.
struct Sent {
    delivery: DueDelivery,
    url: String,
    at: DateTime<Utc>,
    took: Duration,
    answer: Answer,
}

impl Deliverer {
    /// Starts where the tables stand.
    async fn open(
        db: &mut PgConnection,
        commands: Commands,
        sender: Sender,
        options: DeliverOptions,
    ) -> Result<Self, DeliverError> {
        Ok(Self {
            commands,
            sender,
            position: store::position(db).await?,
            turn: store::last_turn(db).await?,
            endpoints: store::endpoints(db).await?.into_iter().collect(),
            sending: JoinSet::new(),
            in_flight: HashSet::new(),
            options,
        })
    }

    async fn now(&self, db: &mut PgConnection) -> Result<DateTime<Utc>, DeliverError> {
        match &self.options.clock {
            Some(clock) => Ok(clock()),
            // This process' own clock may be wrong, and ends of life hang on it.
            None => Ok(sqlx::query_scalar("select clock_timestamp()").fetch_one(db).await?),
        }
    }

    /// Begins to send what is due, as far as there is room.
    async fn start_due(&mut self, db: &mut PgConnection, now: DateTime<Utc>) -> Result<(), DeliverError> {
        self.options.status.queue(self.endpoints.values().map(|endpoint| endpoint.pending).sum());
        let room = self.options.at_once.saturating_sub(self.sending.len());
        let per_project = self.options.per_project;
        let rooms: Vec<(ProjectId, usize)> = self
            .endpoints
            .iter()
            .filter(|(_, endpoint)| endpoint.pending > 0 && endpoint.url().is_some() && endpoint.not_before <= now)
            .map(|(id, endpoint)| {
                let most = if endpoint.struggles { 1 } else { per_project };
                (*id, most.saturating_sub(endpoint.in_flight))
            })
            .filter(|(_, room)| *room > 0)
            .collect();
        if room == 0 || rooms.is_empty() {
            return Ok(());
        }
        let in_flight: Vec<Uuid> = self.in_flight.iter().copied().collect();
        for delivery in store::due(db, &rooms, &in_flight, now, room).await? {
            self.start(delivery, now);
        }
        Ok(())
    }

    fn start(&mut self, delivery: DueDelivery, now: DateTime<Utc>) {
        let Some(endpoint) = self.endpoints.get_mut(&delivery.project_id) else { return };
        let Some(url) = endpoint.url().map(str::to_owned) else { return };
        endpoint.in_flight += 1;
        self.in_flight.insert(delivery.delivery_id.0);
        let message = signed(&self.commands, endpoint, &delivery, &url, now);
        let sender = self.sender.clone();
        self.sending.spawn(async move {
            let start = Instant::now();
            let answer = match message {
                Ok(message) => sender.send(message).await,
                Err(error) => {
                    let text = Some(error.to_string());
                    Answer { outcome: Outcome::Secret, http_status: None, text, retry_after: None }
                }
            };
            Sent { delivery, url, at: now, took: start.elapsed(), answer }
        });
    }

    /// The next that was sent, with all others that were by then. Nothing is lost when the future is dropped.
    async fn next_sent(&mut self) -> Result<Vec<Sent>, DeliverError> {
        let mut sent = Vec::new();
        let mut next = self.sending.join_next().await;
        while let Some(ended) = next {
            sent.push(ended?);
            next = self.sending.try_join_next();
        }
        Ok(sent)
    }

    /// Writes down what became of what was sent, and lets those be next that waited for it.
    async fn record(&mut self, db: &mut PgConnection, sent: Vec<Sent>) -> Result<(), DeliverError> {
        let now = self.now(db).await?;
        let mut gone: Vec<(TenantId, ProjectId, String)> = Vec::new();
        let mut order_keys = Vec::new();
        let mut transaction = db.begin().await?;
        for sent in sent {
            let Sent { delivery, url, at, took, answer } = sent;
            self.in_flight.remove(&delivery.delivery_id.0);
            let Some(endpoint) = self.endpoints.get_mut(&delivery.project_id) else { continue };
            endpoint.in_flight -= 1;
            endpoint.struggles = answer.outcome.is_slow();
            let is_delivered = answer.outcome == Outcome::Delivered;
            let tries = delivery.tries + 1;
            let mut next = match answer.outcome {
                Outcome::Delivered | Outcome::Gone => None,
                _ => {
                    let (id, tries) = (delivery.delivery_id, tries.unsigned_abs());
                    self.options.schedule.next(id, tries, now, delivery.expires_at)
                }
            };
            if let Some(seconds) = answer.retry_after {
                endpoint.not_before = now + self.options.schedule.wished(seconds);
                next = next.map(|next| next.max(endpoint.not_before).min(delivery.expires_at.max(now)));
                store::set_endpoint(&mut transaction, delivery.project_id, endpoint).await?;
            }
            if answer.outcome == Outcome::Gone {
                gone.push((endpoint.tenant_id, delivery.project_id, url));
            }
            let attempt = Attempt {
                delivery_id: delivery.delivery_id,
                number: delivery.attempts + 1,
                tries,
                at,
                duration_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
                outcome: answer.outcome.as_str(),
                http_status: answer.http_status.map(i32::from),
                answer: answer.text,
                status: match next {
                    Some(_) => "pending",
                    None if is_delivered => "delivered",
                    None => "dead",
                },
                due_at: next.unwrap_or(now),
                finished_at: next.is_none().then_some(now),
            };
            let was_pending = store::record(&mut transaction, &attempt).await?;
            self.options.status.attempted(is_delivered);
            if was_pending && next.is_none() {
                endpoint.pending -= 1;
                order_keys.push(delivery.order_key);
                if !is_delivered {
                    self.options.status.gave_up(1);
                }
            }
        }
        store::promote(&mut transaction, &order_keys, now).await?;
        transaction.commit().await?;
        for (tenant_id, project_id, url) in gone {
            // If this fails, the next callback is answered the same.
            let context = Context::system(tenant_id, "callbacks.stop", now);
            if let Err(error) = self.commands.stop_callbacks(&context, project_id, &url).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%project_id, error, "callbacks to an address that is gone were not stopped");
            }
        }
        Ok(())
    }

    /// Waits a bounded time for answers under way, and writes them down.
    async fn drain(&mut self, db: &mut PgConnection) -> Result<(), DeliverError> {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while !self.sending.is_empty() {
            match tokio::time::timeout_at(deadline, self.next_sent()).await {
                Ok(sent) => self.record(db, sent?).await?,
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// The message of a delivery, signed with all secrets that are good now.
fn signed(
    commands: &Commands,
    endpoint: &Endpoint,
    delivery: &DueDelivery,
    url: &str,
    now: DateTime<Utc>,
) -> Result<Message, VaultError> {
    let vault = commands.log().vault();
    let secrets = endpoint.project.callbacks.secrets_at(now);
    let secrets: Vec<_> =
        secrets.map(|secret| open_secret(vault, endpoint.tenant_id, secret)).collect::<Result<_, _>>()?;
    let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.as_slice()).collect();
    let (id, timestamp) = (delivery.delivery_id, now.timestamp());
    let signature = signature::sign(&secrets, &id.to_string(), timestamp, &delivery.body);
    Ok(Message { url: url.to_owned(), id, timestamp, signature, body: delivery.body.clone() })
}
