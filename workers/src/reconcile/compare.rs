//! The comparison: replays the log, reads the read models in one snapshot, and names every difference.
//!
//! What always holds: every read model is compared at its own checkpoint, within one snapshot of the database, so that a
//! system under load gives no false difference; what can't be read or waited for ends the run as incomplete, never as a pass.

use std::collections::BTreeMap;
use std::time::Duration;

use quotary_audit::entry;
use quotary_audit::replay::Kind;
use quotary_domain::reconciliation::{Class, IncompleteReason};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::proof::Proof;
use super::read_log::{self, ReadError};
use super::tables::{self, Expected};

/// The most differences that are kept; the rest is only counted.
pub const MAX_DIFFERENCES: usize = 100_000;
/// How long after its end an open hold counts as one without end.
const HOLD_GRACE_US: i64 = 15 * 60 * 1_000_000;

/// How a comparison is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long read models may take to come to where the log is.
    pub patience: Duration,
    /// How long all of it may take.
    pub within: Duration,
    /// The chained digests of earlier runs by position: a full run finds the log the same there.
    pub known_digests: BTreeMap<u64, String>,
    /// Whether the state is kept for the next run.
    pub save: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(30),
            within: Duration::from_secs(3_600),
            known_digests: BTreeMap::new(),
            save: true,
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Difference {
    /// What kind of difference it is.
    pub class: Class,
    /// A table of the read side, or `log`.
    pub source: String,
    /// Which row.
    pub key: String,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// What the log says.
    pub ours: Option<String>,
    /// What the read model says.
    pub theirs: Option<String>,
    /// By how much they differ, ours less theirs.
    pub amount: Option<i64>,
    /// Where the log says it.
    pub position: Option<u64>,
}

/// What a completed comparison says.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The position after which events were read.
    pub from_position: u64,
    /// The position up to which it speaks: that of the read model that is least far.
    pub position: u64,
    /// How many events were read and rows compared.
    pub checked: u64,
    /// The differences, at most [`MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
    /// How many there are of each class.
    pub counts: BTreeMap<Class, u64>,
    /// The chained digest over all events up to `position`, in hexadecimal.
    pub log_digest: String,
    /// The state for the next run, if there was no difference, with its digest in hexadecimal.
    pub state: Option<(Vec<u8>, String)>,
}

impl Compared {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.counts.is_empty()
    }
}

/// Why a comparison could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum Incomplete {
    /// The log can't be read to its end.
    #[error("the log can't be read to its end")]
    Log(#[source] ReadError),
    /// The read models can't be read.
    #[error("the read models can't be read")]
    ReadModels(#[source] ReadError),
    /// A read model is behind, being made anew, or stands still.
    #[error("the read model {name} is at position {checkpoint} and {position} was waited for")]
    Behind {
        /// Which.
        name: String,
        /// Where it is.
        checkpoint: u64,
        /// Where it should be.
        position: u64,
    },
    /// The state that the last run left is not the one that the log names.
    #[error("{0}")]
    Snapshot(String),
    /// It took too long.
    #[error("it took more than {0:?}")]
    TimedOut(Duration),
    /// The state can't be written.
    #[error("the replay's state can't be kept")]
    State(#[from] quotary_audit::replay::SavedError),
}

impl Incomplete {
    /// The reason as it stands in the log.
    #[must_use]
    pub fn reason(&self) -> IncompleteReason {
        match self {
            Self::Log(_) => IncompleteReason::LogUnreadable,
            Self::ReadModels(_) | Self::Behind { .. } => IncompleteReason::ReadModelBehind,
            Self::Snapshot(_) => IncompleteReason::SnapshotAltered,
            Self::TimedOut(_) => IncompleteReason::TimedOut,
            Self::State(_) => IncompleteReason::Interrupted,
        }
    }
}

/// Differences as they are found.
#[derive(Default)]
pub(super) struct Differences {
    pub list: Vec<Difference>,
    pub counts: BTreeMap<Class, u64>,
    pub checked: u64,
}

impl Differences {
    pub(super) fn add(&mut self, difference: Difference) {
        *self.counts.entry(difference.class).or_default() += 1;
        if self.list.len() < MAX_DIFFERENCES {
            self.list.push(difference);
        }
    }
}

/// Compares the read models with the log, going on from `from`.
///
/// # Errors
/// [`Incomplete`]: not a pass.
pub async fn compare(pool: &PgPool, from: Proof, options: &Options) -> Result<Compared, Incomplete> {
    timeout(options.within, compare_now(pool, from, options)).await.unwrap_or(Err(Incomplete::TimedOut(options.within)))
}

async fn compare_now(pool: &PgPool, from: Proof, options: &Options) -> Result<Compared, Incomplete> {
    let is_full = from.position() == 0;
    // Boxed, since it holds what it reads of every table.
    let attempt = Box::pin(attempt(pool, from, options)).await?;
    match attempt {
        Attempt::Done(compared) => Ok(*compared),
        // Rows before the last proved position are not as they were: only a full run can name them.
        Attempt::Older if !is_full => match Box::pin(self::attempt(pool, Proof::default(), options)).await? {
            Attempt::Done(compared) => Ok(*compared),
            Attempt::Older => Err(Incomplete::ReadModels(ReadError::Format)),
        },
        Attempt::Older => Err(Incomplete::ReadModels(ReadError::Format)),
    }
}

enum Attempt {
    Done(Box<Compared>),
    Older,
}

async fn attempt(pool: &PgPool, mut proof: Proof, options: &Options) -> Result<Attempt, Incomplete> {
    let unreachable = |error: sqlx::Error| Incomplete::Log(error.into());
    // A connection of its own: a snapshot that is held for long must not take one from the service.
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await.map_err(unreachable)?;
    let head: i64 = sqlx::query_scalar("select position from public.log_head")
        .fetch_one(&mut connection)
        .await
        .map_err(unreachable)?;
    let head = head.cast_unsigned();
    let from_position = proof.position();
    if head < from_position {
        // A log that is shorter than what was proved has lost events.
        return Err(Incomplete::Log(ReadError::Short { until: from_position, read: head }));
    }
    let mut found = Differences::default();
    let mut expected = Expected::new(from_position);
    let mut marks = Marks { known: &options.known_digests, rewritten: None };
    // Most of the log is read before the snapshot is taken, so that the snapshot is held only for a short while.
    replay(&mut connection, &mut proof, head, &mut expected, &mut marks).await?;
    wait_for_read_models(&mut connection, head, options.patience).await?;

    let mut snapshot = connection.begin().await.map_err(unreachable)?;
    snapshot.execute("set transaction isolation level repeatable read, read only").await.map_err(unreachable)?;
    let checkpoints = tables::checkpoints(&mut snapshot).await.map_err(|error| Incomplete::ReadModels(error.into()))?;
    let mut position = u64::MAX;
    let (mut kept, mut state) = (None, None);
    let mut log_digest = String::new();
    let mut stops: Vec<u64> = checkpoints.iter().map(|(_, checkpoint)| *checkpoint).collect();
    stops.sort_unstable();
    stops.dedup();
    for stop in stops {
        if stop < proof.position() {
            let (name, checkpoint) = checkpoints.iter().find(|(_, at)| *at == stop).cloned().unwrap_or_default();
            return Err(Incomplete::Behind { name, checkpoint, position: proof.position() });
        }
        replay(&mut snapshot, &mut proof, stop, &mut expected, &mut marks).await?;
        let at_stop: Vec<&str> =
            checkpoints.iter().filter(|(_, at)| *at == stop).map(|(name, _)| name.as_str()).collect();
        for name in at_stop {
            let older = tables::compare(name, &mut snapshot, &proof, &mut expected, &mut found)
                .await
                .map_err(Incomplete::ReadModels)?;
            if older {
                return Ok(Attempt::Older);
            }
        }
        if position == u64::MAX {
            // What is kept is as of the least far read model: everything after is compared again by the next run.
            position = stop;
            log_digest = proof.log_digest();
            kept = (options.save && found.counts.is_empty() && stop > from_position).then_some(stop);
        }
        if kept.take_if(|kept| *kept == stop).is_some() {
            let before = std::mem::take(&mut proof.beside.rows);
            proof.beside.rows =
                tables::seals(&mut snapshot, stop).await.map_err(|error| Incomplete::ReadModels(error.into()))?;
            state = Some(proof.save()?);
            proof.beside.rows = before;
        }
    }
    // A checkpoint can stand within a step; the log's head never does.
    let head: i64 = sqlx::query_scalar("select position from public.log_head")
        .fetch_one(&mut *snapshot)
        .await
        .map_err(unreachable)?;
    replay(&mut snapshot, &mut proof, head.cast_unsigned(), &mut expected, &mut marks).await?;
    proof.replay.close();
    add_findings(&proof, &mut found);
    add_holds_without_end(&proof, &mut snapshot, &mut found).await.map_err(unreachable)?;
    if let Some(difference) = marks.rewritten {
        found.add(difference);
    }
    found.checked += proof.position() - from_position;
    found.list.sort_unstable();
    let is_pass = found.counts.is_empty();
    let state = state.filter(|_| is_pass).map(|bytes| {
        let digest = entry::hex(&Sha256::digest(&bytes));
        (bytes, digest)
    });
    snapshot.rollback().await.map_err(unreachable)?;
    Ok(Attempt::Done(Box::new(Compared {
        from_position,
        position: if position == u64::MAX { proof.position() } else { position },
        checked: found.checked,
        differences: found.list,
        counts: found.counts,
        log_digest,
        state,
    })))
}

/// Digests of earlier runs, and what was found at their positions.
struct Marks<'a> {
    known: &'a BTreeMap<u64, String>,
    rewritten: Option<Difference>,
}

/// Reads the log up to `until`.
async fn replay(
    connection: &mut PgConnection,
    proof: &mut Proof,
    until: u64,
    expected: &mut Expected,
    marks: &mut Marks<'_>,
) -> Result<(), Incomplete> {
    let after = proof.position();
    read_log::read(connection, after, until, |event| {
        if let Some((posting, occurred_at)) = proof.take(event) {
            expected.posting(&posting, event.recorded_at, occurred_at);
        }
        if let Some(notice) = proof.replay.notice() {
            expected.notices.add(notice);
        }
        if let Some(known) = marks.known.get(&event.position) {
            let now = proof.log_digest();
            if *known != now && marks.rewritten.is_none() {
                marks.rewritten = Some(Difference {
                    class: Class::Rewritten,
                    source: "log".to_owned(),
                    key: event.position.to_string(),
                    tenant_id: Uuid::nil(),
                    ours: Some(known.clone()),
                    theirs: Some(now),
                    amount: None,
                    position: Some(event.position),
                });
            }
        }
    })
    .await
    .map_err(Incomplete::Log)
}

async fn wait_for_read_models(
    connection: &mut PgConnection,
    position: u64,
    patience: Duration,
) -> Result<(), Incomplete> {
    let deadline = Instant::now() + patience;
    loop {
        let checkpoints =
            tables::checkpoints(connection).await.map_err(|error| Incomplete::ReadModels(error.into()))?;
        let Some((name, checkpoint)) = checkpoints.into_iter().find(|(_, checkpoint)| *checkpoint < position) else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(Incomplete::Behind { name, checkpoint, position });
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What the replay found wrong with the log itself.
fn add_findings(proof: &Proof, found: &mut Differences) {
    for finding in proof.replay.findings() {
        let class = match finding.kind {
            Kind::Position | Kind::Time | Kind::StreamOrder => Class::Order,
            Kind::Negative => Class::Negative,
            Kind::HoldState => Class::HoldWithoutEnd,
            _ => Class::Rule,
        };
        found.add(Difference {
            class,
            source: "log".to_owned(),
            key: format!("{} {}", finding.position, finding.stream),
            tenant_id: finding.tenant_id,
            ours: Some(format!("{}: {}", finding.kind, finding.text)),
            theirs: None,
            amount: None,
            position: Some(finding.position),
        });
    }
}

/// Holds whose time was over long ago and that are still open.
async fn add_holds_without_end(
    proof: &Proof,
    connection: &mut PgConnection,
    found: &mut Differences,
) -> Result<(), sqlx::Error> {
    let now: i64 = sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
        .fetch_one(connection)
        .await?;
    for hold in proof.replay.holds() {
        if hold.expires_at.is_some_and(|end| end.saturating_add(HOLD_GRACE_US) < now) {
            found.add(Difference {
                class: Class::HoldWithoutEnd,
                source: "log".to_owned(),
                key: hold.hold_id.to_string(),
                tenant_id: hold.tenant_id,
                ours: Some(format!("{} is held for {} beyond its end", hold.left, hold.agent_id)),
                theirs: None,
                amount: i64::try_from(hold.left).ok(),
                position: Some(hold.position),
            });
        }
    }
    Ok(())
}
