//! The events of the log in order, as a reader that stays up to date wants them.
//!
//! What always holds: every event after the starting point comes once, in order, without a gap, whatever happens to NATS.
//! Far behind, the feed reads the log in large runs, the next one while the last is worked on. Near the head it is fed by
//! JetStream, and asks the log for its head several times a second all the same: a relay that is stuck, a lost message
//! or no NATS at all makes it later by milliseconds and never wrong.

mod tail;

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream;
use quotary_domain::RecordedEvent;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::bus::subjects::Names;
use crate::log_reader::{LogError, LogReader};
use crate::log_signal::LogSignal;
use tail::{Bus, Tail};

/// How often the log is asked for its head near the head; also the time between empty runs.
pub const HEARTBEAT: Duration = Duration::from_millis(150);
/// How long an announced event may be on its way through NATS before it is read from the log.
const GRACE: Duration = Duration::from_millis(25);
/// After so many reads of the log in a row that NATS should have spared us, the subscription is made anew.
const FRUITLESS: u32 = 20;
const HEAD_WITHIN: Duration = Duration::from_secs(2);
/// How long one read of the log may take unless [`EventSource::read_within`] says otherwise.
const READ_WITHIN: Duration = Duration::from_secs(60);
const AFTER_ERROR: Duration = Duration::from_millis(100);
const FIRST_REOPEN: Duration = Duration::from_millis(100);
const LAST_REOPEN: Duration = Duration::from_secs(5);
/// The least and the most that one read of the log asks for.
const READ: std::ops::RangeInclusive<usize> = 256..=20_000;

/// Why there is no next run. [`EventFeed::next`] can be called again after all but [`FeedError::Stopped`].
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The feed was asked to stop.
    #[error("the feed was stopped")]
    Stopped,
    /// The log can't be read.
    #[error("the log can't be read")]
    Log(#[from] LogError),
    /// The log did not answer in time.
    #[error("the log did not answer in time")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    /// The read ended by a panic or with its runtime.
    #[error("reading the log was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
    /// The log ends before what the reader has seen: an older backup was restored. The reader has to start over.
    #[error("the log ends at {head} and this reader has seen {position}")]
    WentBack {
        /// What the reader has seen.
        position: u64,
        /// Where the log ends.
        head: u64,
    },
}

/// Consecutive events, or none as a sign of life.
#[derive(Debug)]
pub struct Run {
    /// The events; they follow the run before without a gap.
    pub events: Vec<RecordedEvent>,
    /// The last position given out, with this run.
    pub position: u64,
    /// The head of the log when it was last asked, or `position` if that is more.
    pub head: u64,
    /// When the log was last asked for its head. At that time nothing beyond `head` was committed, unless an event of
    /// this or an earlier run is.
    pub head_checked_at: std::time::Instant,
}

impl Run {
    /// Whether the reader had everything when the log was last asked.
    #[must_use]
    pub fn is_at_head(&self) -> bool {
        self.position >= self.head
    }
}

/// Where a feed's events came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Events read from the log.
    pub from_log: u64,
    /// Events delivered by JetStream.
    pub from_bus: u64,
}

/// What the feeds of one process share: the pool and one listening connection.
#[derive(Clone, Debug)]
pub struct EventSource {
    log: LogReader,
    bus: Option<Bus>,
    signal: LogSignal,
    read_within: Duration,
    cancel: CancellationToken,
}

impl EventSource {
    /// A source over the log in `pool`, which must be the primary server's, and over `nats` if there is one.
    #[must_use]
    pub fn new(pool: PgPool, nats: Option<jetstream::Context>, names: Names, cancel: CancellationToken) -> Self {
        let signal = LogSignal::listen(&pool, cancel.clone());
        let log = LogReader::new(pool);
        let bus = nats.map(|nats| Bus { nats, names, log: log.clone() });
        Self { log, bus, signal, read_within: READ_WITHIN, cancel }
    }

    /// With another bound on how long one read of the log may take.
    #[must_use]
    pub fn read_within(self, read_within: Duration) -> Self {
        Self { read_within, ..self }
    }

    /// A feed of everything after the position `after`.
    #[must_use]
    pub fn feed(&self, after: u64) -> EventFeed {
        let now = Instant::now();
        EventFeed {
            source: self.clone(),
            position: after,
            head: Head { position: 0, checked_at: now },
            ready: VecDeque::new(),
            reading: None,
            behind: true,
            tail: None,
            reopen_at: now,
            reopen_after: FIRST_REOPEN,
            fill_at: None,
            fruitless: 0,
            not_before: now,
            counts: FeedCounts::default(),
        }
    }
}

#[derive(Clone, Copy)]
struct Head {
    position: u64,
    checked_at: Instant,
}

/// A read of the log on its way.
struct Reading {
    after: u64,
    limit: usize,
    asked_at: Instant,
    task: AbortOnDropHandle<Result<Vec<RecordedEvent>, LogError>>,
}

/// The events of the log, one run after the other.
pub struct EventFeed {
    source: EventSource,
    /// The last position given out.
    position: u64,
    head: Head,
    /// Events read and not given out yet.
    ready: VecDeque<RecordedEvent>,
    /// The read after `ready`.
    reading: Option<Reading>,
    /// Whether the log has to be read before anything else.
    behind: bool,
    tail: Option<Tail>,
    reopen_at: Instant,
    reopen_after: Duration,
    /// When to stop waiting for JetStream, if an event is known to be there.
    fill_at: Option<Instant>,
    /// Reads of the log since JetStream last delivered.
    fruitless: u32,
    not_before: Instant,
    counts: FeedCounts,
}

impl EventFeed {
    /// A feed with a listening connection of its own; use an [`EventSource`] for several.
    ///
    /// # Errors
    /// [`FeedError`] if the log can't be read or ends before `after`.
    pub async fn open(
        pool: PgPool,
        nats: Option<jetstream::Context>,
        names: Names,
        after: u64,
        cancel: CancellationToken,
    ) -> Result<Self, FeedError> {
        let mut feed = EventSource::new(pool, nats, names, cancel).feed(after);
        feed.ask_head().await?;
        Ok(feed)
    }

    /// The last position given out.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the events so far came from.
    #[must_use]
    pub fn counts(&self) -> FeedCounts {
        self.counts
    }

    /// The next up to `max` events, or an empty run at least every [`HEARTBEAT`] or so when there are none.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    /// [`FeedError`]; see there.
    pub async fn next(&mut self, max: usize) -> Result<Run, FeedError> {
        let cancel = self.source.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(FeedError::Stopped),
            run = self.next_run(max.max(1)) => run,
        }
    }

    async fn next_run(&mut self, max: usize) -> Result<Run, FeedError> {
        // So that a reader which just calls again does not spin.
        tokio::time::sleep_until(self.not_before).await;
        loop {
            if !self.ready.is_empty() {
                return Ok(self.give_ready(max));
            }
            let run = if self.behind { self.read_log(max).await } else { self.wait(max).await };
            match run {
                Ok(Some(run)) => return Ok(run),
                Ok(None) => {}
                Err(error) => {
                    self.not_before = Instant::now() + AFTER_ERROR;
                    return Err(error);
                }
            }
        }
    }

    /// Takes the read on its way, or starts one; a short answer proves that the head was reached.
    async fn read_log(&mut self, max: usize) -> Result<Option<Run>, FeedError> {
        let known = self.reading.take().filter(|reading| reading.after == self.position);
        let reading = known.unwrap_or_else(|| self.start_reading(self.position, max));
        let events = tokio::time::timeout(self.source.read_within, reading.task).await???;
        let last = events.last().map_or(self.position, |event| event.position);
        if events.len() == reading.limit {
            // A long way to go: JetStream would only deliver what the log gives faster.
            self.tail = None;
            self.reading = Some(self.start_reading(last, max));
        } else {
            self.behind = false;
            self.head = Head { position: last, checked_at: reading.asked_at };
        }
        self.ready = events.into();
        Ok(if self.ready.is_empty() { Some(self.run(Vec::new())) } else { None })
    }

    fn start_reading(&self, after: u64, max: usize) -> Reading {
        let limit = max.clamp(*READ.start(), *READ.end());
        let log = self.source.log.clone();
        let task = tokio::spawn(async move { log.read_after(after, limit).await });
        Reading { after, limit, asked_at: Instant::now(), task: AbortOnDropHandle::new(task) }
    }

    /// Waits near the head: for JetStream, for an announcement, or for the time to ask the log.
    async fn wait(&mut self, max: usize) -> Result<Option<Run>, FeedError> {
        let ask_at = self.head.checked_at + HEARTBEAT;
        if ask_at <= Instant::now() {
            return self.check_head().await;
        }
        if self.fill_at.is_some_and(|at| at <= Instant::now()) {
            // Before the deliveries: they may all be old ones.
            self.fill();
            return Ok(None);
        }
        self.reopen();
        if self.fill_at.is_none() && self.source.signal.announced().max(self.head.position) > self.position {
            self.expect_more();
            return Ok(None);
        }
        let (position, fill_at) = (self.position, self.fill_at);
        let signal = &mut self.source.signal;
        tokio::select! {
            biased;
            event = next_of(self.tail.as_mut()) => Ok(if let Some(event) = event {
                self.accept(event, max)
            } else {
                self.close_tail();
                None
            }),
            () = signal.beyond(position), if fill_at.is_none() => { self.expect_more(); Ok(None) }
            () = tokio::time::sleep_until(fill_at.unwrap_or(ask_at).min(ask_at)) => Ok(None),
        }
    }

    /// There is an event beyond our position: JetStream has a moment to deliver it.
    fn expect_more(&mut self) {
        if self.tail.is_some() {
            self.fill_at = Some(Instant::now() + GRACE);
        } else {
            self.behind = true;
        }
    }

    /// JetStream did not deliver in time.
    fn fill(&mut self) {
        self.fill_at = None;
        self.behind = true;
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS {
            self.close_tail();
        }
    }

    /// An event from JetStream, with those that have come behind it.
    fn accept(&mut self, first: RecordedEvent, max: usize) -> Option<Run> {
        let mut events = Vec::new();
        let mut next = Some(first);
        let mut expected = self.position + 1;
        while let Some(event) = next {
            if event.position == expected {
                expected += 1;
                events.push(event);
            } else if event.position > expected {
                // A gap. The event itself comes again with the read that fills it.
                self.behind = true;
                break;
            }
            next = if events.len() < max { self.tail.as_mut().and_then(Tail::try_recv) } else { None };
        }
        if events.is_empty() {
            return None;
        }
        self.counts.from_bus += events.len() as u64;
        self.fill_at = None;
        self.fruitless = 0;
        self.reopen_after = FIRST_REOPEN;
        Some(self.run(events))
    }

    /// Asks the log for its head; an empty run if we are there.
    async fn check_head(&mut self) -> Result<Option<Run>, FeedError> {
        let was_at_head = self.head.position <= self.position;
        self.ask_head().await?;
        if self.head.position <= self.position {
            return Ok(Some(self.run(Vec::new())));
        }
        if !was_at_head {
            // What was the head a heartbeat ago has not come yet, however busily JetStream delivers.
            self.fill();
        }
        Ok(None)
    }

    async fn ask_head(&mut self) -> Result<(), FeedError> {
        let checked_at = Instant::now();
        let position = tokio::time::timeout(HEAD_WITHIN.min(self.source.read_within), self.source.log.head()).await??;
        if position < self.position {
            return Err(FeedError::WentBack { position: self.position, head: position });
        }
        self.head = Head { position, checked_at };
        Ok(())
    }

    fn reopen(&mut self) {
        if self.tail.is_none() && self.reopen_at <= Instant::now() {
            self.tail = self.source.bus.clone().map(|bus| Tail::open(bus, self.position + 1));
        }
    }

    fn close_tail(&mut self) {
        self.tail = None;
        self.fill_at = None;
        self.fruitless = 0;
        self.reopen_at = Instant::now() + self.reopen_after;
        self.reopen_after = (self.reopen_after * 2).min(LAST_REOPEN);
    }

    fn give_ready(&mut self, max: usize) -> Run {
        let events: Vec<_> = self.ready.drain(..max.min(self.ready.len())).collect();
        self.counts.from_log += events.len() as u64;
        self.run(events)
    }

    fn run(&mut self, events: Vec<RecordedEvent>) -> Run {
        self.position = events.last().map_or(self.position, |event| event.position);
        let head = self.head.position.max(self.position);
        Run { events, position: self.position, head, head_checked_at: self.head.checked_at.into_std() }
    }
}

async fn next_of(tail: Option<&mut Tail>) -> Option<RecordedEvent> {
    match tail {
        Some(tail) => tail.recv().await,
        None => std::future::pending().await,
    }
}
