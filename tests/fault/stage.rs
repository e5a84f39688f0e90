//! What the clients and the faults of one installation share: its processes, its servers' state, and the counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::kind::Kind;
use super::node::Node;
use super::record::Moments;
use super::tally::Tally;
use crate::support::dice::Dice;
use crate::support::installation::Installation;

/// How long the load may stand still before that is a finding.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// For how long a process, a backend or the bus stands still: longer than every time-out of [`TIME_OUTS`], and the clients'.
pub const FREEZE: std::ops::Range<u64> = 1_600..1_900;
/// Every time-out of the processes, so short that a freeze outlasts them all.
pub const TIME_OUTS: [(&str, &str); 6] = [
    ("QUOTARY_APPEND_WITHIN_MS", "900"),
    ("QUOTARY_REQUEST_WITHIN_MS", "1300"),
    ("QUOTARY_CONNECTION_WITHIN_MS", "800"),
    ("QUOTARY_READ_WITHIN_MS", "1200"),
    ("QUOTARY_PUBLISH_WITHIN_MS", "900"),
    ("QUOTARY_SILENT_AT_MOST_MS", "1200"),
];
/// How many processes stand still at a time at most, so that the others have work.
const FROZEN_AT_A_TIME: usize = 2;
/// How often a lane without work looks again whether others have left it some.
const LOOK: Duration = Duration::from_millis(50);

/// What is shared.
pub struct Stage {
    /// The database and the stream.
    pub installation: Installation,
    /// The processes.
    pub nodes: Vec<Arc<Node>>,
    /// The counts, over all installations.
    pub tally: Arc<Tally>,
    /// The order of what clients send and read.
    pub moments: Moments,
    /// Writes sent to any process and not answered.
    pub in_flight: Arc<AtomicU64>,
    /// Commands acknowledged by any process.
    pub acknowledged: watch::Sender<u64>,
    /// Whether PostgreSQL can be reached.
    pub database_is_up: watch::Sender<bool>,
    /// Who may stand still.
    pub freezers: Semaphore,
    /// When the faults of this installation have to be over.
    pub deadline: Instant,
    violations: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Stage {
    /// A stage over `installation`, with no process yet running.
    pub fn new(
        installation: Installation,
        nodes: Vec<Arc<Node>>,
        tally: Arc<Tally>,
        in_flight: Arc<AtomicU64>,
        time: Duration,
    ) -> Self {
        Self {
            installation,
            nodes,
            tally,
            moments: Moments::default(),
            in_flight,
            acknowledged: watch::Sender::new(0),
            database_is_up: watch::Sender::new(true),
            freezers: Semaphore::new(FROZEN_AT_A_TIME),
            deadline: Instant::now() + time,
            violations: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Notes what must not happen.
    pub fn violation(&self, what: String) {
        println!("VIOLATION {what}");
        self.violations.lock().push(what);
    }

    /// What was noted.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// Tells the clients to finish what they are at.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Whether clients shall finish.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Writes in flight at all processes together.
    pub fn writes_in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The next fault for somebody who can bring about `kinds`; `None` when there are enough of all of them.
    pub async fn next_fault(&self, kinds: &[Kind], dice: &mut Dice) -> Option<Kind> {
        loop {
            if self.tally.missing(kinds).is_empty() || Instant::now() > self.deadline {
                return None;
            }
            match self.tally.begin(kinds, dice) {
                Some(kind) => return Some(kind),
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until so many more commands are acknowledged by `counter`.
    pub async fn progress(&self, counter: &watch::Sender<u64>, count: u64) -> bool {
        let mut done = counter.subscribe();
        let goal = *done.borrow() + count;
        let reached = tokio::time::timeout(PATIENCE, done.wait_for(|now| *now >= goal)).await;
        reached.is_ok_and(|reached| reached.is_ok())
    }

    /// Waits until PostgreSQL can be reached.
    pub async fn database(&self) {
        let mut up = self.database_is_up.subscribe();
        let back = tokio::time::timeout(PATIENCE, up.wait_for(|up| *up)).await;
        assert!(back.is_ok_and(|back| back.is_ok()), "PostgreSQL does not come back");
    }

    /// A random moment within the next so many milliseconds.
    pub async fn some_moment(&self, dice: &mut Dice, within_ms: u64) {
        tokio::time::sleep(Duration::from_micros(dice.within(0, within_ms * 1_000))).await;
    }

    /// How long the next one stands still.
    pub fn freeze_time(dice: &mut Dice) -> Duration {
        Duration::from_millis(dice.within(FREEZE.start, FREEZE.end))
    }
}
