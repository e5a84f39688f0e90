//! Group commit: one task per process drains a queue of requests and appends them in batches.
//!
//! Requests come in the order in which they were decided, because whoever decides still holds the aggregates' locks when
//! it enqueues. While a batch commits, the next one fills; nothing waits for a timer. A request whose check fails is
//! dropped together with all later ones that rest on what it would have written, and the rest of the batch goes on.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::Shared;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::fault_point;

use super::append::{Append, AppendError, Appended, Columns, NewClaim, StreamCheck, Verdict};

/// How often the committer lets others run at most while they go on enqueueing.
const MAX_YIELDS: usize = 16;

/// Limits of the committer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many requests wait at most; beyond that, deciding waits.
    pub queue: usize,
    /// How many requests a batch has at most.
    pub batch_requests: usize,
    /// How many bytes of payload a batch has at most, unless its only request is larger.
    pub batch_bytes: usize,
    /// How long an append is tried when the database can't be reached.
    pub unreachable: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 4_096, batch_requests: 1_024, batch_bytes: 4 << 20, unreachable: Duration::from_secs(15) }
    }
}

/// The outcome of a request, which several may wait for.
pub type Ticket = Shared<oneshot::Receiver<Result<Appended, AppendError>>>;

/// Waits for a ticket; a committer that has stopped is [`AppendError::Stopping`].
///
/// # Errors
/// The request's [`AppendError`].
pub async fn outcome(ticket: Ticket) -> Result<Appended, AppendError> {
    ticket.await.unwrap_or(Err(AppendError::Stopping))
}

struct Queued {
    append: Append,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Queued {
    /// Answers; whoever asked may have gone away, and then nobody needs the answer.
    fn answer(self, outcome: Result<Appended, AppendError>) {
        drop(self.reply.send(outcome));
    }

    /// Voids what was decided on the request's own writes.
    fn poison(&self) {
        for stream in self.append.streams.iter().filter(|stream| stream.added > 0) {
            stream.poison.set();
        }
    }
}

/// The process' way into the log.
#[derive(Clone, Debug)]
pub struct Committer {
    queue: mpsc::Sender<Queued>,
    head: watch::Receiver<u64>,
}

impl Committer {
    /// Starts the committer's task. It ends, with the queue drained, when all clones of the committer are dropped.
    #[must_use]
    pub fn start(pool: PgPool, limits: Limits) -> (Self, JoinHandle<()>) {
        let (queue, requests) = mpsc::channel(limits.queue);
        let (head_sender, head) = watch::channel(0);
        let task = Task { pool, limits, requests, head: head_sender, connection: None, left_over: None };
        (Self { queue, head }, tokio::spawn(task.run()))
    }

    /// Puts a request into the queue; call it while the locks of its aggregates are held.
    ///
    /// # Errors
    /// [`AppendError::Stopping`] if the committer has ended.
    pub async fn enqueue(&self, append: Append) -> Result<Ticket, AppendError> {
        let (reply, ticket) = oneshot::channel();
        self.queue.send(Queued { append, reply }).await.map_err(|_| AppendError::Stopping)?;
        Ok(ticket.shared())
    }

    /// The last position that this process has appended; 0 before the first.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

struct Task {
    pool: PgPool,
    limits: Limits,
    requests: mpsc::Receiver<Queued>,
    head: watch::Sender<u64>,
    connection: Option<PgConnection>,
    /// The request that did not fit into the batch before.
    left_over: Option<Queued>,
}

impl Task {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.commit(batch).await;
        }
    }

    /// The next requests, at least one; `None` when no more can come.
    async fn next_batch(&mut self) -> Option<Vec<Queued>> {
        let first = match self.left_over.take() {
            Some(request) => request,
            None => self.requests.recv().await?,
        };
        // Whoever was woken by the batch before is about to enqueue: letting them run first makes full batches of what
        // would otherwise be one request and the rest. It costs nothing when nobody is ready.
        let mut waiting = self.requests.len();
        for _ in 0..MAX_YIELDS {
            tokio::task::yield_now().await;
            let more = self.requests.len();
            if more == waiting {
                break;
            }
            waiting = more;
        }
        let mut bytes = size(&first.append);
        let mut batch = vec![first];
        while batch.len() < self.limits.batch_requests {
            let Ok(request) = self.requests.try_recv() else { break };
            bytes += size(&request.append);
            if bytes > self.limits.batch_bytes {
                self.left_over = Some(request);
                break;
            }
            batch.push(request);
        }
        Some(batch)
    }

    /// Appends what can be appended of a batch and answers every request.
    async fn commit(&mut self, batch: Vec<Queued>) {
        let mut sorted = sort_out(batch);
        // The claims that stand after this batch, as far as it knows.
        let mut standing = HashSet::new();
        // Each round writes, or drops at least one request.
        while !sorted.good.is_empty() {
            let (columns, order) = columns_of(&sorted.good);
            let verdict = self.append(&columns).await;
            drop(columns);
            match verdict {
                Ok(Verdict::Written { base, base_time }) => {
                    let mut position = base;
                    for request in sorted.good.drain(..) {
                        let start = position;
                        position += request.append.events.len() as u64;
                        let recorded_at = base_time + TimeDelta::microseconds((position - base).cast_signed());
                        standing.extend(request.append.claims.iter().map(identity));
                        request.answer(Ok(Appended { base: start, position, recorded_at }));
                    }
                    self.head.send_if_modified(|head| std::mem::replace(head, position.max(*head)) < position);
                }
                Ok(Verdict::Refused { streams, receipts, claims }) => {
                    let in_the_way = InTheWay {
                        streams: streams
                            .into_iter()
                            .filter_map(|n| order.streams.get(n).map(StreamName::owned))
                            .collect(),
                        receipts: receipts.into_iter().filter_map(|n| order.receipts.get(n).copied()).collect(),
                        claims: claims.into_iter().filter_map(|n| order.claims.get(n).copied()).collect(),
                    };
                    drop(order);
                    let taken = |(place, n): (&usize, &usize)| sorted.good[*place].append.claims.get(*n).map(identity);
                    standing.extend(in_the_way.claims.iter().filter_map(taken));
                    sorted.good = drop_refused(std::mem::take(&mut sorted.good), &in_the_way);
                }
                Err(error) => {
                    tracing::error!(%error, "the log can't be reached; requests are answered with unavailable");
                    let error = Arc::new(error);
                    for request in sorted.good.drain(..) {
                        poison_all(&request);
                        request.answer(Err(AppendError::Unavailable(error.clone())));
                    }
                }
            }
        }
        // Repeats of a request of this batch: answered after it, so that they find its receipt. A claim whose first
        // claimant was dropped is nobody's, and whoever came second decides again.
        for (request, repeat) in sorted.after {
            request.answer(Err(match repeat {
                Repeat::Receipt => AppendError::ReceiptTaken,
                Repeat::Claim(claim) if standing.contains(&claim) => AppendError::ClaimTaken(claim.1),
                Repeat::Claim(_) => AppendError::Conflict,
            }));
        }
    }

    /// One append, tried again over new connections while the database can't be reached.
    ///
    /// After a lost answer the batch may stand in the log. The next try waits for the lost one's lock and is refused
    /// then; the batch's own first event tells the two apart.
    async fn append(&mut self, columns: &Columns<'_>) -> Result<Verdict, sqlx::Error> {
        let deadline = tokio::time::Instant::now() + self.limits.unreachable;
        let mut pause = Duration::from_millis(10);
        let mut answer_lost = false;
        loop {
            // A server that is there and does not answer must not hold the queue for ever.
            let error = match tokio::time::timeout_at(deadline, self.try_append(columns, answer_lost)).await {
                Ok(Ok(verdict)) => return Ok(verdict),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "an append got no answer in time")),
            };
            let definite = matches!(&error, sqlx::Error::Database(error) if !is_passing(error.code().as_deref()));
            self.connection = None;
            if definite || tokio::time::Instant::now() + pause > deadline {
                return Err(error);
            }
            tracing::warn!(%error, "an append got no answer; trying again");
            answer_lost = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn try_append(&mut self, columns: &Columns<'_>, answer_lost: bool) -> Result<Verdict, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut fresh = self.pool.acquire().await?.detach();
                fresh.ping().await?;
                none.insert(fresh)
            }
        };
        fault_point::reach(fault_point::BEFORE_APPEND).await;
        let verdict = columns.append(connection).await?;
        if matches!(verdict, Verdict::Written { .. }) {
            fault_point::reach(fault_point::AFTER_APPEND).await;
        }
        if answer_lost
            && matches!(verdict, Verdict::Refused { .. })
            && let Some(found) = columns.find(connection).await?
        {
            return Ok(found);
        }
        Ok(verdict)
    }
}

/// Errors of PostgreSQL that say nothing of the batch: the server is starting, stopping, or out of connections, or the
/// transaction was ended from outside.
fn is_passing(code: Option<&str>) -> bool {
    code.is_some_and(|code| ["57", "53", "08", "40", "25"].iter().any(|class| code.starts_with(class)))
}

fn size(append: &Append) -> usize {
    append.events.iter().map(|event| event.payload.len() + append.metadata.len()).sum()
}

/// A stream by its aggregate's type and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StreamName<'a>(&'a str, &'a str);

impl StreamName<'_> {
    fn owned(&self) -> (String, String) {
        (self.0.to_owned(), self.1.to_owned())
    }
}

fn name(stream: &StreamCheck) -> StreamName<'_> {
    StreamName(&stream.aggregate_type, &stream.aggregate_id)
}

/// A batch without what can't stand in it.
struct Sorted {
    good: Vec<Queued>,
    after: Vec<(Queued, Repeat)>,
}

/// What an earlier request of the batch has already, if it stands.
enum Repeat {
    Receipt,
    Claim(ClaimName),
}

type ClaimName = (uuid::Uuid, &'static str, String);

/// What becomes of a request before the database is asked.
enum Fate {
    Good,
    /// Its receipt or claim belongs to an earlier request of the batch: answered after it, so that it finds its receipt.
    After(Repeat),
    Void,
}

/// Drops requests decided on a void state, and puts aside those whose receipt or claim an earlier one of the batch has.
fn sort_out(batch: Vec<Queued>) -> Sorted {
    let fates = fates(&batch);
    let mut sorted = Sorted { good: Vec::with_capacity(batch.len()), after: Vec::new() };
    for (request, fate) in batch.into_iter().zip(fates) {
        match fate {
            Fate::Good => sorted.good.push(request),
            Fate::After(repeat) => sorted.after.push((request, repeat)),
            Fate::Void => request.answer(Err(AppendError::Conflict)),
        }
    }
    sorted
}

fn fates(batch: &[Queued]) -> Vec<Fate> {
    let mut receipts = HashSet::new();
    let mut claims: HashSet<ClaimName> = HashSet::new();
    let mut sequences: HashMap<StreamName<'_>, u64> = HashMap::with_capacity(batch.len() * 2);
    let mut fates = Vec::with_capacity(batch.len());
    for request in batch {
        let append = &request.append;
        let is_void = |stream: &&StreamCheck| {
            stream.poison.is_set() || sequences.get(&name(stream)).is_some_and(|known| *known != stream.expected)
        };
        let key = append.receipt.as_ref().map(|receipt| (append.tenant_id, receipt.key_hash));
        let taken = append.claims.iter().map(identity).find(|claim| claims.contains(claim));
        // Only looked at, and changed by an earlier request of this batch since: what is cached is that one's state.
        let is_overtaken = |stream: &&StreamCheck| {
            stream.is_glance && sequences.get(&name(stream)).is_some_and(|known| *known > stream.expected)
        };
        let fate = if append.streams.iter().any(|stream| is_void(&stream)) {
            // What the request only read and found in order stays cached.
            let spoilt = append.streams.iter().filter(|stream| is_void(stream) && !is_overtaken(stream));
            spoilt.for_each(|stream| stream.poison.set());
            request.poison();
            Fate::Void
        } else if key.is_some_and(|key| !receipts.insert(key)) {
            request.poison();
            Fate::After(Repeat::Receipt)
        } else if let Some(claim) = taken {
            request.poison();
            Fate::After(Repeat::Claim(claim))
        } else {
            claims.extend(append.claims.iter().map(identity));
            sequences.extend(append.streams.iter().map(|stream| (name(stream), stream.expected + stream.added)));
            Fate::Good
        };
        fates.push(fate);
    }
    fates
}

fn identity(claim: &NewClaim) -> ClaimName {
    (claim.tenant_id, claim.kind, claim.value.clone())
}

/// What stands at each place of the arrays given to the database.
#[derive(Default)]
struct Order<'a> {
    streams: Vec<StreamName<'a>>,
    receipts: Vec<usize>,
    /// The request's place, and the claim's place in it.
    claims: Vec<(usize, usize)>,
}

/// The batch in columns: each stream is checked once, at the sequence where the batch meets it first.
fn columns_of(requests: &[Queued]) -> (Columns<'_>, Order<'_>) {
    let mut columns = Columns::default();
    let mut order = Order::default();
    let mut seen = HashSet::new();
    for (place, request) in requests.iter().enumerate() {
        for stream in &request.append.streams {
            let stream_name = name(stream);
            if seen.insert(stream_name) {
                columns.check(stream);
                order.streams.push(stream_name);
            }
        }
        columns.add(&request.append);
        order.receipts.extend(request.append.receipt.iter().map(|_| place));
        order.claims.extend((0..request.append.claims.len()).map(|n| (place, n)));
    }
    (columns, order)
}

/// What the database named.
struct InTheWay {
    streams: HashSet<(String, String)>,
    /// Places of requests.
    receipts: HashSet<usize>,
    /// Places of requests, and which of their claims.
    claims: HashMap<usize, usize>,
}

/// Answers the requests that were named, and all later ones that rest on what these would have written.
fn drop_refused(requests: Vec<Queued>, in_the_way: &InTheWay) -> Vec<Queued> {
    let mut void = in_the_way.streams.clone();
    let mut good = Vec::with_capacity(requests.len());
    for (place, request) in requests.into_iter().enumerate() {
        let rests_on_void = request.append.streams.iter().any(|stream| void.contains(&name(stream).owned()));
        let error = if in_the_way.receipts.contains(&place) {
            AppendError::ReceiptTaken
        } else if rests_on_void {
            AppendError::Conflict
        } else if let Some(claim) = in_the_way.claims.get(&place).and_then(|n| request.append.claims.get(*n)) {
            AppendError::ClaimTaken(claim.kind)
        } else {
            good.push(request);
            continue;
        };
        void.extend(request.append.streams.iter().filter(|stream| stream.added > 0).map(|stream| name(stream).owned()));
        let voided = |stream: &&StreamCheck| void.contains(&name(stream).owned());
        request.append.streams.iter().filter(voided).for_each(|stream| stream.poison.set());
        request.answer(Err(error));
    }
    good
}

/// Voids every state the request rests on, so that all of them are read again.
fn poison_all(request: &Queued) {
    for stream in &request.append.streams {
        stream.poison.set();
    }
}
