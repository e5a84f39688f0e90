//! A client: sends commands, and the same again under the same key while their fate is unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use quotary_commands::clock;
use serde_json::Value;
use uuid::Uuid;

use super::node::Node;
use super::record::{Acknowledgement, Attempt, Done, Intent, Manner, Outcome, Reading, Record};
use super::requests::Late;
use super::stage::{PATIENCE, Stage};
use super::world::World;
use crate::support::api::Answer;
use crate::support::dice::Dice;

/// How long a client waits before it tries again.
const RETRY: Duration = Duration::from_millis(40);

/// A command to be sent.
#[derive(Clone)]
pub struct Command {
    /// What it does.
    pub intent: Intent,
    /// Who sends it.
    pub token: String,
    /// Where to.
    pub path: String,
    /// Its body.
    pub body: Value,
}

/// A command under its key: what is sent each time.
#[derive(Clone)]
pub struct Sendable {
    /// The command.
    pub command: Command,
    key: String,
    correlation: Uuid,
}

impl Sendable {
    /// A command under a key of its own.
    pub fn new(command: Command) -> Self {
        Self { command, key: clock::new_id().to_string(), correlation: clock::new_id() }
    }

    /// Another command under the same key.
    pub fn under_this_key(&self, command: Command) -> Self {
        Self { command, key: self.key.clone(), correlation: clock::new_id() }
    }

    fn record(&self, manner: Manner) -> Record {
        let intent = self.command.intent.clone();
        Record { intent, correlation: self.correlation, manner, attempts: Vec::new() }
    }
}

/// A client.
pub struct Client {
    /// What all share.
    pub stage: Arc<Stage>,
    /// What they work on.
    pub world: Arc<World>,
    /// Its chance.
    pub dice: Dice,
    /// What it did.
    pub done: Done,
    /// A request that it will send once more.
    pub late: Option<Late>,
    /// Batches that it asked for, and whose.
    pub batches: Vec<(usize, String)>,
}

/// Counts a write for as long as it is under way.
struct UnderWay<'a>([&'a AtomicU64; 2]);

impl<'a> UnderWay<'a> {
    fn begin(counters: [&'a AtomicU64; 2]) -> Self {
        for counter in counters {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Self(counters)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        for counter in self.0 {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Client {
    /// Sends a command until its fate is known, and notes it; its answer if it was acknowledged.
    pub async fn perform(&mut self, sendable: &Sendable, manner: Manner) -> Option<Acknowledgement> {
        self.perform_at_once(sendable, manner, 1).await
    }

    /// Like [`Client::perform`], at first so many times at once to different processes.
    pub async fn perform_at_once(
        &mut self,
        sendable: &Sendable,
        manner: Manner,
        copies: usize,
    ) -> Option<Acknowledgement> {
        let mut record = sendable.record(manner);
        self.settle(&mut record, sendable, copies).await;
        let told = record.acknowledged().cloned();
        self.done.records.push(record);
        told
    }

    /// Sends several commands at once to different processes, each until its fate is known, and notes them.
    pub async fn perform_together(&mut self, sendables: &[Sendable], manner: &Manner) {
        let nodes = self.nodes(sendables.len());
        let attempts = nodes.iter().zip(sendables).map(|(node, sendable)| self.attempt(node, sendable));
        let attempts = join_all(attempts).await;
        let mut attempts = attempts.into_iter();
        for sendable in sendables {
            let mut record = sendable.record(manner.clone());
            record.attempts.extend(attempts.next());
            if !record.has_fate() {
                self.settle(&mut record, sendable, 1).await;
            }
            self.done.records.push(record);
        }
    }

    /// Sends until the fate is known.
    pub async fn settle(&mut self, record: &mut Record, sendable: &Sendable, copies: usize) {
        let start = Instant::now();
        let mut copies = copies;
        loop {
            let nodes = self.nodes(copies);
            let attempts = nodes.iter().map(|node| self.attempt(node, sendable));
            let mut attempts: Vec<Attempt> = join_all(attempts).await;
            // Only what was asked last, after all that came before, says what is so for good.
            let is_known = !attempts.is_empty()
                && attempts.iter().all(|one| matches!(one.outcome, Outcome::Acknowledged(_) | Outcome::Refused(_)));
            let is_done = attempts.iter().any(|one| matches!(one.outcome, Outcome::Acknowledged(_)));
            attempts.sort_by_key(|attempt| attempt.known);
            record.attempts.extend(attempts);
            if is_known || is_done {
                return;
            }
            if start.elapsed() > PATIENCE {
                self.done.violations.push(format!("the fate of a command stays unknown: {record:?}"));
                return;
            }
            copies = 1;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// So many processes that are up, different ones as far as there are.
    fn nodes(&mut self, count: usize) -> Vec<Arc<Node>> {
        let up = |node: &&Arc<Node>| node.serves() && node.url.borrow().is_some();
        let up: Vec<Arc<Node>> = self.stage.nodes.iter().filter(up).cloned().collect();
        if up.is_empty() {
            return up;
        }
        let first = usize::try_from(self.dice.next() % up.len() as u64).unwrap();
        (first..first + count).map(|place| up[place % up.len()].clone()).collect()
    }

    /// Sends once.
    async fn attempt(&self, node: &Node, sendable: &Sendable) -> Attempt {
        let moments = &self.stage.moments;
        let Some(url) = node.url.borrow().clone() else {
            let now = moments.next();
            return Attempt { sent: now, known: now, outcome: Outcome::NotSent };
        };
        let Sendable { command, key, correlation } = sendable;
        let request = self
            .world
            .http
            .post(format!("{url}{}", command.path))
            .bearer_auth(&command.token)
            .header("idempotency-key", key)
            .header("x-correlation-id", correlation.to_string())
            .json(&command.body);
        let request = match command.intent.read_up_to() {
            Some(position) => request.header("quotary-min-position", position.to_string()),
            None => request,
        };
        let _under_way = UnderWay::begin([&node.in_flight, &self.stage.in_flight]);
        let sent = moments.next();
        let outcome = match request.send().await {
            Ok(response) => match Answer::read(response).await {
                Ok(answer) => self.outcome(command, &answer),
                Err(error) if error.is_timeout() => Outcome::Lost("no answer in time"),
                Err(_) => Outcome::Lost("the answer was cut off"),
            },
            Err(error) if error.is_connect() => Outcome::NotSent,
            Err(error) if error.is_timeout() => Outcome::Lost("no answer in time"),
            Err(_) => Outcome::Lost("the connection broke"),
        };
        let known = moments.next();
        if matches!(outcome, Outcome::Acknowledged(_)) {
            node.acknowledged.send_modify(|count| *count += 1);
            self.stage.acknowledged.send_modify(|count| *count += 1);
        }
        Attempt { sent, known, outcome }
    }

    fn outcome(&self, command: &Command, answer: &Answer) -> Outcome {
        match answer.status {
            200..=299 => Outcome::Acknowledged(Acknowledgement {
                position: answer.header("quotary-position").parse().unwrap_or_default(),
                id: named(&answer.body).to_owned(),
                body: answer.text.clone(),
                replayed: answer.header("idempotency-replayed") == "true",
            }),
            // Temporary by its own word: whether it was done is not said.
            503 => Outcome::Lost(match answer.code() {
                "unavailable" => "503 unavailable",
                "timed-out" => "503 timed-out",
                "contention" => "503 contention",
                "read-model-behind" => "503 read-model-behind",
                _ => "503",
            }),
            400..=499 => Outcome::Refused(answer.code().to_owned()),
            status => {
                self.stage.violation(format!("{status} to {:?}: {}", command.intent, answer.text));
                Outcome::Lost("an answer of a kind that must not be")
            }
        }
    }

    /// Reads an agent's balance that has everything up to `at_least`, and notes it if it could be had.
    pub async fn read(&mut self, agent: usize, at_least: i64) {
        let Some(node) = self.nodes(1).pop() else { return };
        let Some(url) = node.url.borrow().clone() else { return };
        let path = format!("{url}/v1/quota/accounts/{}", self.world.agents[agent].id);
        let request = self.world.http.get(path).bearer_auth(&self.world.admin);
        let request = request.header("quotary-min-position", at_least.to_string());
        let Ok(response) = request.send().await else { return };
        let Ok(answer) = Answer::read(response).await else { return };
        let number = |field: &str| answer.body[field].as_i64();
        match (answer.status, number("position"), number("available"), number("held")) {
            (200, Some(position), Some(available), Some(held)) => {
                self.done.readings.push(Reading { agent, at_least, position, available, held });
            }
            (503, ..) => {}
            (status, ..) => self.done.violations.push(format!("{status} to a reading of a balance: {}", answer.text)),
        }
    }
}

/// The id of what was made or changed.
fn named(body: &Value) -> &str {
    let places = ["/id", "/journal_id", "/proposal_id", "/proposal/proposal_id"];
    places.iter().find_map(|place| body.pointer(place).and_then(Value::as_str)).unwrap_or_default()
}
