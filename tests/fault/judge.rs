//! What clients were told against the log, by the model.
//!
//! The model walks the log in order. A command that stands in it must be what the model predicts at its place; a refusal, or
//! an "already done", must be what the model predicts at some place between what had been told when it was asked and what
//! was asked when it had been told. So every answer is checked, and the order in which clients saw things with it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::log::{Fold, Logged};
use super::model::{Model, Prediction};
use super::record::{Acknowledgement, Done, Manner, Outcome, Record};
use crate::support::vendor::Agent;

/// How answers that were lost came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// It had been done: the repeat was given the stored answer.
    pub done: usize,
    /// It had not been done, and the repeat did it.
    pub not_done: usize,
    /// It had not been done, and the repeat was refused.
    pub refused: usize,
    /// The client never learned.
    pub unresolved: usize,
}

/// Every balance that the log had.
struct Balances<'a> {
    fold: &'a Fold,
    agents: &'a [Agent],
}

/// What the judging counted and found.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Commands acknowledged, each in the log once and as predicted.
    pub acknowledged: usize,
    /// Commands acknowledged for which nothing was written, because it was so already.
    pub already: usize,
    /// Commands refused, by code.
    pub refused: BTreeMap<String, usize>,
    /// Answers that told the same as one before.
    pub repeats: usize,
    /// Commands of which at least one answer was lost.
    pub ambiguous: usize,
    /// Why answers were lost.
    pub lost: BTreeMap<&'static str, usize>,
    /// How those came out.
    pub resolved: Resolved,
    /// Balances read and compared.
    pub readings: usize,
    /// Steps of the process manager, as predicted.
    pub chunks: usize,
    /// Suspended movements that ended by themselves, as predicted.
    pub expired: usize,
    /// Licences of refunded batches that were disabled, as predicted.
    pub disabled: i64,
    /// Whether the model and the log have gone apart.
    is_apart: bool,
    /// Where the model ends.
    pub model: Model,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// An answer to be explained by the model's state between two positions.
struct Claim<'a> {
    low: i64,
    high: i64,
    record: &'a Record,
    told: Told<'a>,
    /// Whether the time of what it is about was over, by the log's clock, when the answer came.
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told<'a> {
    Already,
    Refused(&'a str),
}

impl Claim<'_> {
    fn holds_in(&self, model: &Model) -> bool {
        match (model.predict(&self.record.intent), self.told) {
            (Prediction::Already, Told::Already) => true,
            // The model has no clock. What was decided on is told before the time is looked at.
            (predicted, Told::Refused(OVER)) => {
                let decided = ["not-found", "wrong-status", "transfer-not-suspended"].map(Prediction::Refused);
                self.is_over && !decided.contains(&predicted)
            }
            (Prediction::Refused(predicted), Told::Refused(told)) => predicted == told,
            _ => false,
        }
    }
}

/// Between which positions something lies that a client asked and was told.
struct Order {
    /// Acknowledged at that moment, the highest position until then.
    told: Vec<(u64, i64)>,
    /// Sent at that moment, the lowest position of anything sent from then on.
    asked: Vec<(u64, i64)>,
}

impl Order {
    fn of(records: &[(&Record, &Acknowledgement)]) -> Self {
        let known = |record: &Record| record.acknowledgements().map(|(attempt, _)| attempt.known).min();
        let mut told: Vec<(u64, i64)> =
            records.iter().filter_map(|(record, told)| Some((known(record)?, told.position))).collect();
        told.sort_unstable();
        let mut highest = 0;
        for (_, position) in &mut told {
            highest = highest.max(*position);
            *position = highest;
        }
        let mut asked: Vec<(u64, i64)> =
            records.iter().map(|(record, told)| (record.first_sent(), told.position)).collect();
        asked.sort_unstable();
        let mut lowest = i64::MAX;
        for (_, position) in asked.iter_mut().rev() {
            lowest = lowest.min(*position);
            *position = lowest;
        }
        Self { told, asked }
    }

    /// What had been told before the moment.
    fn low(&self, moment: u64) -> i64 {
        let place = self.told.partition_point(|(known, _)| *known < moment);
        place.checked_sub(1).map_or(0, |place| self.told[place].1)
    }

    /// What was not yet asked at the moment.
    fn high(&self, moment: u64) -> i64 {
        let place = self.asked.partition_point(|(sent, _)| *sent <= moment);
        self.asked.get(place).map_or(i64::MAX, |(_, position)| position - 1)
    }
}

/// Judges everything that clients did on an installation whose load began after the position `begins_after`.
pub fn judge(log: &[Logged], fold: &Fold, done: &Done, agents: &[Agent], begins_after: i64) -> Judgement {
    let mut judgement = Judgement::default();
    let mut by_cause: HashMap<(&str, &str), Vec<&Logged>> = HashMap::new();
    for event in log.iter().filter(|event| event.position > begins_after) {
        by_cause.entry(event.cause()).or_default().push(event);
    }
    let correlations: Vec<String> = done.records.iter().map(|record| record.correlation.to_string()).collect();
    let mut at: BTreeMap<i64, (&Record, Vec<&Logged>)> = BTreeMap::new();
    let mut written: Vec<(&Record, &Acknowledgement)> = Vec::new();
    let mut already: Vec<&Record> = Vec::new();
    for (record, correlation) in done.records.iter().zip(&correlations) {
        let found = by_cause.remove(&(record.intent.command(), correlation.as_str())).unwrap_or_default();
        judgement.answers(record, !found.is_empty());
        match (record.acknowledged(), found.first()) {
            (Some(told), Some(first)) => {
                judgement.one_step(record, told, &found);
                written.push((record, told));
                at.insert(first.position, (record, found));
            }
            (Some(_), None) => already.push(record),
            (None, Some(first)) => {
                judgement.wrong.push(format!("in the log at {} and not acknowledged: {record:?}", first.position));
                at.insert(first.position, (record, found));
            }
            (None, None) => {}
        }
    }
    let order = Order::of(&written);
    for (record, told) in &written {
        if told.position <= order.low(record.first_sent()) {
            judgement.wrong.push(format!("stands before what had been told when it was asked: {record:?}"));
        }
    }
    let claims = judgement.claims(log, done, &already, &order);
    judgement.keys(done);
    let balances = Balances { fold, agents };
    judgement.walk(log, &balances, begins_after, &at, &by_cause, claims);
    judgement.readings(&balances, done);
    judgement
}

impl Judgement {
    /// All answers to one command tell the same, and at most one of them is the first.
    fn answers(&mut self, record: &Record, has_events: bool) {
        let told: Vec<&Acknowledgement> = record.acknowledgements().map(|(_, told)| told).collect();
        if let Some(first) = told.first() {
            self.repeats += told.len() - 1;
            let differs = |other: &&&Acknowledgement| {
                (&other.position, &other.id, &other.body) != (&first.position, &first.id, &first.body)
            };
            if told.iter().any(|other| differs(&other)) {
                self.wrong.push(format!("one key, answers that differ: {record:?}"));
            }
            if told.iter().filter(|told| !told.replayed).count() > 1 {
                self.wrong.push(format!("one key, two first answers: {record:?}"));
            }
            // What wrote nothing but its receipt is found again by that alone when an append's answer is lost.
            if has_events && record.lost() == 0 && told.iter().all(|told| told.replayed) {
                self.wrong.push(format!("no answer was lost, and yet none was the first: {record:?}"));
            }
        }
        for attempt in &record.attempts {
            if let Outcome::Lost(why) = attempt.outcome {
                *self.lost.entry(why).or_default() += 1;
            }
        }
        if record.lost() > 0 {
            self.ambiguous += 1;
            if told.iter().any(|told| !told.replayed) {
                self.resolved.not_done += 1;
            } else if !told.is_empty() {
                self.resolved.done += 1;
            } else if record.refusals().next().is_some() {
                self.resolved.refused += 1;
            } else {
                self.resolved.unresolved += 1;
            }
        }
        if told.is_empty()
            && let Some((_, code)) = record.refusals().last()
        {
            *self.refused.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// The events of a command stand side by side, up to the position that was told, and name what was told.
    fn one_step(&mut self, record: &Record, told: &Acknowledgement, found: &[&Logged]) {
        let places: Vec<i64> = found.iter().map(|event| event.position).collect();
        let first = told.position - i64::try_from(places.len()).unwrap() + 1;
        if places != (first..=told.position).collect::<Vec<_>>() {
            self.wrong.push(format!("not one atomic step, or told at another position: {places:?}: {record:?}"));
        }
        let names = |event: &&&Logged| {
            event.aggregate_id == told.id || ["journal_id", "hold_id"].iter().any(|name| event.body()[name] == *told.id)
        };
        if !found.iter().any(|event| names(&event)) {
            self.wrong.push(format!("{} is not what stands at {}", told.id, told.position));
        }
        self.acknowledged += 1;
    }

    /// What has to be explained by a state that the model was in.
    fn claims<'a>(&mut self, log: &[Logged], done: &'a Done, already: &[&'a Record], order: &Order) -> Vec<Claim<'a>> {
        let mut claims = Vec::new();
        let ends: HashMap<&str, DateTime<Utc>> = log.iter().filter_map(Logged::ends_at).collect();
        for record in already {
            let known = record.acknowledgements().map(|(attempt, _)| attempt.known).min().unwrap_or_default();
            let (low, high) = (order.low(record.first_sent()), order.high(known));
            claims.push(Claim { low, high, record, told: Told::Already, is_over: false });
            self.already += 1;
        }
        for record in &done.records {
            for (attempt, code) in record.refusals().filter(|(_, code)| *code != REUSED) {
                let (low, high) = (order.low(attempt.sent), order.high(attempt.known));
                // An event that was recorded later bounds the time of the answer.
                let later = usize::try_from(high).ok().and_then(|high| log.get(high)).map(|event| event.recorded_at);
                let end = record.intent.lets_go_on().and_then(|id| ends.get(id));
                let is_over = end.is_some_and(|end| later.is_none_or(|later| *end <= later));
                claims.push(Claim { low, high, record, told: Told::Refused(code), is_over });
            }
        }
        claims.sort_by_key(|claim| claim.low);
        claims
    }

    /// Of two commands under one key at most one is done, and then the other is told so.
    fn keys(&mut self, done: &Done) {
        let mut pairs: HashMap<uuid::Uuid, Vec<&Record>> = HashMap::new();
        for record in &done.records {
            let reused = record.refusals().any(|(_, code)| code == REUSED);
            match record.manner {
                Manner::SharesKey(pair) => pairs.entry(pair).or_default().push(record),
                Manner::Alone if reused => {
                    self.wrong.push(format!("a key of one command alone was said to be used: {record:?}"));
                }
                Manner::Alone => {}
            }
        }
        for pair in pairs.values() {
            let acknowledged = pair.iter().filter(|record| record.acknowledged().is_some()).count();
            let reused = pair.iter().filter(|record| record.refusals().any(|(_, code)| code == REUSED)).count();
            if acknowledged > 1 || reused > 0 && acknowledged == 0 || acknowledged == 1 && reused == 0 {
                self.wrong.push(format!("two contents under one key: {pair:?}"));
            }
        }
    }

    /// Walks the log with the model.
    fn walk(
        &mut self,
        log: &[Logged],
        balances: &Balances<'_>,
        begins_after: i64,
        at: &BTreeMap<i64, (&Record, Vec<&Logged>)>,
        others: &HashMap<(&str, &str), Vec<&Logged>>,
        claims: Vec<Claim<'_>>,
    ) {
        let mut model = Model::default();
        let mut waiting = claims.into_iter().peekable();
        let mut open: Vec<Claim<'_>> = Vec::new();
        let end = log.last().map_or(begins_after, |event| event.position);
        let mut position = begins_after;
        loop {
            let next = log.get(usize::try_from(position).unwrap());
            let step = next.map(|next| at.get(&next.position).ok_or(next));
            let last = match &step {
                Some(Ok((_, found))) => found.last().map_or(position + 1, |event| event.position),
                Some(Err(next)) => others.get(&next.cause()).map_or(next.position, |events| end_of(events, next)),
                None => i64::MAX,
            };
            let is_end = step.is_none();
            // The model is as the log is from here up to just before the step's end.
            while waiting.peek().is_some_and(|claim| claim.low < last) {
                open.extend(waiting.next());
            }
            open.retain(|claim| {
                let is_so = claim.holds_in(&model);
                let was_last = claim.high < last || is_end;
                if !is_so && was_last {
                    self.wrong.push(format!(
                        "told {:?} between {} and {}, which the model does not: {:?}",
                        claim.told, claim.low, claim.high, claim.record
                    ));
                }
                !is_so && !was_last
            });
            match step {
                None => break,
                Some(Ok((record, _))) => self.predicted(&mut model, record),
                Some(Err(next)) => self.by_itself(&mut model, next, others),
            }
            position = last.min(end);
            self.compare(&model, balances, position);
        }
        self.model = model;
    }

    fn predicted(&mut self, model: &mut Model, record: &Record) {
        let prediction = model.predict(&record.intent);
        if prediction != Prediction::Done {
            self.wrong.push(format!("done where the model says {prediction:?}: {record:?}"));
        }
        let told = record.acknowledged().map(|told| told.id.clone()).unwrap_or_default();
        model.take(&record.intent, &told);
    }

    /// After a step the model has what the log says; the first difference is told, since all later ones follow from it.
    fn compare(&mut self, model: &Model, balances: &Balances<'_>, position: i64) {
        if self.is_apart {
            return;
        }
        for (agent, account) in balances.agents.iter().zip(model.accounts) {
            let history = balances.fold.history.get(&agent.id).map(Vec::as_slice).unwrap_or_default();
            let place = history.partition_point(|moment| moment.position <= position);
            let logged = place.checked_sub(1).map(|place| history[place].account);
            if logged != Some(account) {
                let name = &agent.username;
                self.wrong.push(format!("at {position} {name} has {logged:?} and in the model {account:?}"));
                self.is_apart = true;
            }
        }
    }

    /// Steps that nobody asked for: a worker's, or nobody's.
    fn by_itself(&mut self, model: &mut Model, first: &Logged, others: &HashMap<(&str, &str), Vec<&Logged>>) {
        let (command, _) = first.cause();
        if !["license_batch.issue_chunk", "license_batch.disable_chunk", "quota.expire"].contains(&command) {
            return self.wrong.push(format!("in the log, and of nobody: {first:?}"));
        }
        let Some(events) = others.get(&first.cause()) else { return };
        let last = end_of(events, first);
        for event in events.iter().filter(|event| (first.position..=last).contains(&event.position)) {
            let outcome = match event.event_type.as_str() {
                "ChunkIssued" => {
                    self.chunks += 1;
                    model.issue(&event.aggregate_id, event.number("count"))
                }
                "RefundedLicensesDisabled" => {
                    self.disabled += event.number("count");
                    model.disable(&event.aggregate_id, event.number("count"))
                }
                "TransferExpired" | "WithdrawalExpired" => {
                    self.expired += 1;
                    model.expire(&event.aggregate_id)
                }
                _ => Ok(()),
            };
            if let Err(wrong) = outcome {
                self.wrong.push(format!("event {}: {wrong}", event.position));
            }
        }
    }

    /// What was read is what the log says at that place, and has all that it had to have.
    fn readings(&mut self, balances: &Balances<'_>, done: &Done) {
        let Balances { fold, agents } = balances;
        for reading in &done.readings {
            let history = fold.history.get(&agents[reading.agent].id).map(Vec::as_slice).unwrap_or_default();
            let place = history.partition_point(|moment| moment.position <= reading.position);
            let read = (reading.position, reading.available, reading.held);
            let is_so = place
                .checked_sub(1)
                .map(|place| &history[place])
                .is_some_and(|moment| (moment.position, moment.account.available, moment.account.held) == read);
            let is_fresh = history.get(place).is_none_or(|next| next.position > reading.at_least);
            if !is_so || !is_fresh {
                self.wrong.push(format!("a balance was read that never was, or too late: {reading:?}"));
            }
            self.readings += 1;
        }
    }
}

/// The code of a decision that came too late.
const OVER: &str = "review-over";
/// The code of a key that was used for another content.
const REUSED: &str = "idempotency-key-reused";

/// Where the step that begins with `first` ends: events of one cause, one after the other.
fn end_of(events: &[&Logged], first: &Logged) -> i64 {
    let after = events.iter().skip_while(|event| event.position < first.position);
    let mut last = first.position;
    for event in after.skip(1) {
        // A process manager's steps have one cause for a whole batch: the next chunk is another step.
        if event.position != last + 1 || event.event_type == first.event_type && first.event_type == "ChunkIssued" {
            break;
        }
        last = event.position;
    }
    last
}
