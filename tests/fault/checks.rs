//! Every promise, checked after the faults of an installation are over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::Executor as _;

use super::judge::{self, Judgement, Resolved};
use super::log;
use super::model::Account;
use super::record::Done;
use super::seal::Seal;
use super::stage::Stage;
use super::world::World;
use crate::support::derived;

/// What processes may say on their standard errors while servers are away. Anything else that is an error is a finding.
const EXPECTED_ERRORS: [&str; 6] = [
    // The client of the bus, when nats-server is killed or stands still.
    "async_nats::connector",
    // A connection that breaks while the pool sets it up.
    "error returned from after_connect",
    // The layer that traces requests tells each 503 once more.
    "on_failure",
    "the log can't be reached; requests are answered with unavailable",
    "an event is not in memory yet, trying again",
    "a part of the service is not available",
];

/// What was checked, added up over all installations.
#[derive(Debug, Default)]
pub struct Findings {
    /// Commands acknowledged.
    pub acknowledged: usize,
    /// Of those, with nothing to write.
    pub already: usize,
    /// Commands refused, by code.
    pub refused: BTreeMap<String, usize>,
    /// Answers that told the same as one before.
    pub repeats: usize,
    /// Commands of which an answer was lost.
    pub ambiguous: usize,
    /// Why answers were lost.
    pub lost: BTreeMap<&'static str, usize>,
    /// How those came out.
    pub resolved: Resolved,
    /// Balances that clients read.
    pub readings: usize,
    /// Events.
    pub events: usize,
    /// Journals.
    pub journals: usize,
    /// Events by type.
    pub types: BTreeMap<String, usize>,
    /// Holds.
    pub holds: usize,
    /// Chunks of licences issued.
    pub chunks: usize,
    /// Licences of refunded batches that were disabled.
    pub disabled: i64,
    /// Events under a checkpoint that an auditor verified from a bundle.
    pub sealed: u64,
    /// Suspended movements that ended by themselves.
    pub expired: usize,
    /// Rows of read models.
    pub rows: usize,
    /// Messages of the stream.
    pub messages: usize,
    /// The longest time in which nothing was acknowledged.
    pub longest_standstill: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Findings {
    /// Checks one installation; its processes still run, and nobody writes any more.
    pub async fn check(&mut self, stage: &Stage, world: &World, seal: &Seal, mut done: Done, last: bool) {
        let start = Instant::now();
        let installation = &stage.installation;
        self.violations.append(&mut stage.violations());
        self.violations.append(&mut done.violations);
        let head = derived::caught_up(installation).await;
        println!("          everything has caught up with {head} events after {:.1} s", start.elapsed().as_secs_f64());
        let log = log::read(&installation.pool).await;
        self.violations.extend(log::shape(&log));
        let mut fold = log::fold(&log);
        self.violations.append(&mut fold.wrong);
        let judged = judge::judge(&log, &fold, &done, &world.agents, world.begins_after);
        self.balances(stage, world, &judged, &fold).await;
        let rows: usize = derived::check_read_models(installation).await.values().sum();
        let positions: Vec<(i64, uuid::Uuid)> = log.iter().map(|event| (event.position, event.event_id)).collect();
        derived::check_stream(installation, &positions).await;
        self.passes(stage, &["log", "verify"]).await;
        self.passes(stage, &["reconcile", "internal", "--full"]).await;
        match seal.verify(stage, head).await {
            Ok(sealed) => self.sealed += sealed,
            Err(said) => self.violations.push(format!("the auditor says: {said}")),
        }
        if last {
            self.passes(stage, &["audit", "crosscheck"]).await;
            self.nobody_changes_the_log(stage).await;
        }
        self.rows += rows;
        self.messages += log.len();
        self.events += log.len();
        self.journals += fold.journals;
        for (event_type, count) in std::mem::take(&mut fold.types) {
            *self.types.entry(event_type).or_default() += count;
        }
        self.holds += fold.holds;
        self.add(judged);
        for line in installation.diagnostics() {
            let is_error = line.contains("panicked") || line.contains("ERROR");
            if is_error && !EXPECTED_ERRORS.iter().any(|expected| line.contains(expected)) {
                self.violations.push(format!("a process said: {line}"));
            }
        }
        println!("          checked after {:.1} s", start.elapsed().as_secs_f64());
    }

    /// A command of the binary finds nothing wrong.
    async fn passes(&mut self, stage: &Stage, arguments: &[&str]) {
        let output = stage.installation.command(arguments).output().await.unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            self.violations.push(format!("{} says: {}", arguments.join(" "), said.trim()));
        }
    }

    fn add(&mut self, judged: Judgement) {
        self.acknowledged += judged.acknowledged + judged.already;
        self.already += judged.already;
        self.repeats += judged.repeats;
        self.ambiguous += judged.ambiguous;
        self.readings += judged.readings;
        self.chunks += judged.chunks;
        self.disabled += judged.disabled;
        self.expired += judged.expired;
        for (code, count) in judged.refused {
            *self.refused.entry(code).or_default() += count;
        }
        for (why, count) in judged.lost {
            *self.lost.entry(why).or_default() += count;
        }
        self.resolved.done += judged.resolved.done;
        self.resolved.not_done += judged.resolved.not_done;
        self.resolved.refused += judged.resolved.refused;
        self.resolved.unresolved += judged.resolved.unresolved;
        self.violations.extend(judged.wrong);
    }

    /// The model, the log, the auditor's replay and the read model say the same of every agent.
    async fn balances(&mut self, stage: &Stage, world: &World, judged: &Judgement, fold: &log::Fold) {
        let replayed = derived::replayed(&stage.installation).await;
        let read = derived::balances(&stage.installation).await;
        for (agent, account) in world.agents.iter().zip(judged.model.accounts) {
            let Account { available, held } = account;
            let folded = fold.history.get(&agent.id).and_then(|history| history.last()).map(|last| last.account);
            if folded != Some(account) || replayed.get(&agent.id) != Some(&(available, held)) {
                let told = &replayed.get(&agent.id);
                let name = &agent.username;
                self.violations.push(format!("{name}: model {account:?}, log {folded:?}, replay {told:?}"));
            }
        }
        if read != replayed {
            self.violations.push("read.balances is not what the log says".to_owned());
        }
        if judged.model.licenses_open() != 0 {
            self.violations.push(format!("{} licences are not issued", judged.model.licenses_open()));
        }
        if judged.model.licenses_not_disabled() != 0 {
            let count = judged.model.licenses_not_disabled();
            self.violations.push(format!("{count} licences are refunded and not disabled"));
        }
    }

    /// The role of the service can't change what stands in the log.
    async fn nobody_changes_the_log(&mut self, stage: &Stage) {
        for attempt in ["update events set position = position", "delete from events", "truncate events"] {
            let mut connection = stage.installation.pool.acquire().await.unwrap();
            connection.execute("set role quotary_service").await.unwrap();
            if connection.execute(attempt).await.is_ok() {
                self.violations.push(format!("the service's role may {attempt}"));
            }
            connection.close().await.unwrap();
        }
    }
}
