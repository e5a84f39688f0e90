//! Rounds: which processes run, when which of them is killed, and what was under way at that moment.
//!
//! What always holds: processes are killed by their own id; a round whose kill met nothing under way does not count.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::command::Record;
use super::load::request_batch;
use super::world::World;
use crate::support::derived;
use crate::support::dice::Dice;
use crate::support::eventually;
use crate::support::installation::{Installation, Server};

/// Licences of a batch during whose issue a process is killed: chunks of 1,000.
const LARGE: u32 = 6_000;
/// How long the load may take to get to the moment of a kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a kill happens.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// After a random time.
    Any,
    /// Right after the n-th acknowledgement from now.
    AfterAcknowledgements(u64),
    /// While a large batch is being issued, after so many of its chunks.
    DuringBatch(i64),
}

/// What runs, and which of it is killed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The processes.
    pub processes: &'static [&'static str],
    /// The places of those that are killed.
    pub victims: &'static [usize],
    /// When.
    pub moment: Moment,
    /// Whether the whole stream is lost in the same moment.
    pub stream_lost: bool,
}

const ONE: &[&str] = &["serve"];
const TWO: &[&str] = &["serve", "serve"];
const HALVES: &[&str] = &["api", "worker"];

/// The plan of a round; after the first twelve they come again with other moments.
pub fn plan(round: u64, dice: &mut Dice) -> Plan {
    let acknowledgements = Moment::AfterAcknowledgements(dice.within(1, 300));
    let during = Moment::DuringBatch(i64::try_from(dice.within(1, 4)).unwrap());
    let (processes, victims, moment): (&[&str], &[usize], Moment) = match round % 12 {
        1 => (ONE, &[0], acknowledgements),
        2 => (ONE, &[0], during),
        // Right after the start, while the clients still ask again for what the kill before left open.
        4 => (ONE, &[0], Moment::AfterAcknowledgements(1)),
        5 => (TWO, &[0], Moment::Any),
        6 => (TWO, &[1], during),
        7 => (TWO, &[0, 1], acknowledgements),
        8 => (HALVES, &[0], Moment::Any),
        9 => (HALVES, &[1], during),
        10 => (HALVES, &[0, 1], acknowledgements),
        // 0, 3 and 11.
        _ => (ONE, &[0], Moment::Any),
    };
    Plan { processes, victims, moment, stream_lost: matches!(round % 12, 3 | 9) }
}

/// What a round met.
#[derive(Clone, Debug)]
pub struct Round {
    /// What was planned.
    pub plan: Plan,
    /// Requests sent and not answered at the kill.
    pub in_flight: usize,
    /// Licences of open batches that were not issued at the kill.
    pub licenses_open: i64,
    /// Acknowledgements since the round before.
    pub acknowledged: u64,
    /// From the kill until the process listened again.
    pub restart: Duration,
}

impl Round {
    /// Whether the kill met anything: requests, or for workers alone the issue of a batch.
    pub fn counts(&self) -> bool {
        let workers_only = self.plan.victims.iter().all(|&victim| self.plan.processes[victim] == "worker");
        if workers_only { self.licenses_open > 0 } else { self.in_flight > 0 }
    }
}

/// The processes of an installation under load.
pub struct Cluster<'a> {
    /// Where they run.
    pub installation: &'a Installation,
    /// What the clients share.
    pub world: Arc<World>,
    /// The processes.
    pub servers: Vec<Server>,
    /// Commands that the rounds sent themselves.
    pub records: Vec<Record>,
    /// Acknowledgements at the end of the last round.
    pub seen: u64,
}

impl Cluster<'_> {
    /// Runs a round: the right processes, the moment, the kill, the restart.
    pub async fn round(&mut self, plan: Plan, dice: &mut Dice) -> Round {
        self.arrange(plan.processes).await;
        self.wait_for(plan.moment, dice).await;
        if plan.stream_lost {
            self.installation.nats.delete_stream(self.installation.names.stream()).await.unwrap();
        }
        let in_flight = self.world.in_flight.load(Ordering::SeqCst);
        for &victim in plan.victims {
            self.servers[victim].process.kill().await;
        }
        let killed = Instant::now();
        // Nobody writes the log now unless another process lives; what is open then only gets less.
        let licenses_open = derived::licenses_open(self.installation).await;
        let dead: Vec<String> = plan.victims.iter().map(|&victim| self.servers[victim].url.clone()).collect();
        self.world.urls.send_modify(|urls| urls.retain(|url| !dead.contains(url)));
        for &victim in plan.victims {
            let kind = self.servers[victim].kind;
            self.servers[victim] = self.installation.start(kind).await;
            self.announce();
        }
        let acknowledged = *self.world.acknowledged.borrow();
        let since = acknowledged - self.seen;
        self.seen = acknowledged;
        Round { plan, in_flight, licenses_open, acknowledged: since, restart: killed.elapsed() }
    }

    /// Brings the processes to those wanted: new ones first, then the others end in order, under load.
    async fn arrange(&mut self, wanted: &[&'static str]) {
        let mut old = std::mem::take(&mut self.servers);
        for &kind in wanted {
            let server = match old.iter().position(|server| server.kind == kind) {
                Some(place) => old.remove(place),
                None => self.installation.start(kind).await,
            };
            self.servers.push(server);
        }
        self.announce();
        for mut server in old {
            let status = server.process.terminate().await;
            assert!(status.success(), "{} ended with {status}: {}", server.kind, server.process.diagnostics());
        }
    }

    /// Tells the clients where the API is.
    fn announce(&self) {
        let urls = self.servers.iter().filter(|server| server.kind != "worker").map(|server| server.url.clone());
        self.world.urls.send_replace(urls.collect());
    }

    async fn wait_for(&mut self, moment: Moment, dice: &mut Dice) {
        match moment {
            Moment::Any => {
                // The load has to be running again; from there on any moment will do.
                self.acknowledgements(1).await;
                tokio::time::sleep(Duration::from_micros(dice.within(1_000, 900_000))).await;
            }
            Moment::AfterAcknowledgements(count) => self.acknowledgements(count).await,
            Moment::DuringBatch(chunks) => {
                let record = request_batch(&self.world, dice, 0, LARGE).await;
                let correlation = record.correlation;
                self.records.push(record);
                eventually("chunks of the large batch", PATIENCE, async || {
                    let issued: i64 = sqlx::query_scalar(
                        "select count(*) from events c join events r using (aggregate_type, aggregate_id)
                         where c.aggregate_type = 'LicenseBatch' and c.event_type = 'ChunkIssued'
                           and r.event_type = 'BatchRequested' and r.metadata->>'correlation_id' = $1",
                    )
                    .bind(correlation.to_string())
                    .fetch_one(&self.installation.pool)
                    .await
                    .unwrap();
                    (issued >= chunks).then_some(())
                })
                .await;
            }
        }
    }

    async fn acknowledgements(&self, count: u64) {
        let mut acknowledged = self.world.acknowledged.subscribe();
        let goal = *acknowledged.borrow() + count;
        let reached = tokio::time::timeout(PATIENCE, acknowledged.wait_for(|now| *now >= goal)).await;
        assert!(reached.is_ok_and(|reached| reached.is_ok()), "the load does not move");
    }
}
