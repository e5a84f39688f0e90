//! The checks themselves: each thing that must not happen is made up, and has to be found.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::judge::judge;
use super::log::{self, Logged};
use super::record::{Acknowledgement, Attempt, Done, Intent, Manner, Outcome, Reading, Record};
use super::world::{AGENTS, OPENING};
use crate::support::vendor::Agent;

/// A log and what clients were told of it.
struct Story {
    log: Vec<Logged>,
    done: Done,
    moment: u64,
}

fn agent(number: usize) -> String {
    format!("agent {number}")
}

impl Story {
    /// Every agent has what it begins with, and nobody has done anything.
    fn begin() -> Self {
        let mut story = Self { log: Vec::new(), done: Done::default(), moment: 0 };
        for number in 0..AGENTS {
            let body = json!({ "journal_id": format!("opening {number}"), "amount": OPENING });
            story.append(Uuid::from_u128(number as u128 + 1), "account.create", &agent(number), "QuotaToppedUp", &body);
        }
        story
    }

    fn append(&mut self, correlation: Uuid, command: &str, aggregate: &str, event_type: &str, body: &Value) {
        let position = i64::try_from(self.log.len()).unwrap() + 1;
        let before = self.log.iter().filter(|event| event.aggregate_id == aggregate).count();
        let metadata = [("command", command.to_owned()), ("correlation_id", correlation.to_string())];
        self.log.push(Logged {
            position,
            event_id: Uuid::from_u128(position.unsigned_abs().into()),
            aggregate_type: "AgentQuota".to_owned(),
            aggregate_id: aggregate.to_owned(),
            sequence: i64::try_from(before).unwrap() + 1,
            event_type: event_type.to_owned(),
            payload: Json(json!({ event_type: body })),
            metadata: Json(metadata.map(|(name, value)| (name.to_owned(), value)).into()),
            recorded_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(position),
        });
    }

    /// A transfer in the log; its correlation.
    fn transfer(&mut self, from: usize, to: usize, amount: i64) -> Uuid {
        let correlation = Uuid::from_u128(self.log.len() as u128 + 1_000);
        self.transfer_again(correlation, from, to, amount);
        correlation
    }

    fn transfer_again(&mut self, correlation: Uuid, from: usize, to: usize, amount: i64) {
        let body = json!({ "journal_id": format!("journal {}", self.log.len()), "amount": amount });
        self.append(correlation, "quota.transfer", &agent(from), "QuotaSent", &body);
        self.append(correlation, "quota.transfer", &agent(to), "QuotaReceived", &body);
    }

    /// What the last transfer of the log was told.
    fn told(&self) -> Acknowledgement {
        let last = self.log.last().unwrap();
        let id = last.body()["journal_id"].as_str().unwrap().to_owned();
        Acknowledgement { position: last.position, body: id.clone(), id, replayed: false }
    }

    /// A client sends a command and is told this.
    fn client(&mut self, intent: Intent, correlation: Uuid, outcomes: Vec<Outcome>) -> &mut Record {
        let attempts = outcomes.into_iter().map(|outcome| {
            self.moment += 2;
            Attempt { sent: self.moment - 1, known: self.moment, outcome }
        });
        let attempts = attempts.collect();
        self.done.records.push(Record { intent, correlation, manner: Manner::Alone, attempts });
        self.done.records.last_mut().unwrap()
    }

    /// A transfer that is as it should be.
    fn honest(&mut self, from: usize, to: usize, amount: i64) -> &mut Record {
        let correlation = self.transfer(from, to, amount);
        let told = Outcome::Acknowledged(self.told());
        self.client(Intent::Transfer { from, to, amount }, correlation, vec![told])
    }

    fn refused(&mut self, intent: Intent, code: &str) {
        self.client(intent, Uuid::from_u128(9), vec![Outcome::Refused(code.to_owned())]);
    }

    /// What the checks find.
    fn found(&self) -> Vec<String> {
        let agents: Vec<Agent> = (0..AGENTS)
            .map(|number| Agent { id: agent(number), username: agent(number), role: "agent", token: String::new() })
            .collect();
        let fold = log::fold(&self.log);
        let judged = judge(&self.log, &fold, &self.done, &agents, i64::try_from(AGENTS).unwrap());
        log::shape(&self.log).into_iter().chain(fold.wrong).chain(judged.wrong).collect()
    }

    fn is_found(&self, what: &str) {
        let found = self.found();
        assert!(found.iter().any(|found| found.contains(what)), "{what} is not in {found:?}");
    }
}

#[test]
fn what_is_in_order_is_not_complained_of() {
    let mut story = Story::begin();
    story.honest(0, 1, 100);
    story.refused(Intent::Transfer { from: 1, to: 1, amount: 5 }, "validation-failed");
    story.refused(Intent::Transfer { from: 1, to: 2, amount: OPENING + 101 }, "insufficient-quota");
    let correlation = story.transfer(1, 2, 50);
    let told = Acknowledgement { replayed: true, ..story.told() };
    let outcomes = vec![Outcome::Lost("503"), Outcome::Acknowledged(told.clone()), Outcome::Acknowledged(told)];
    story.client(Intent::Transfer { from: 1, to: 2, amount: 50 }, correlation, outcomes);
    let (agent, position) = (1, i64::try_from(story.log.len()).unwrap() - 1);
    story.done.readings.push(Reading { agent, at_least: position, position, available: OPENING + 50, held: 0 });
    assert_eq!(story.found(), Vec::<String>::new());
}

#[test]
fn a_lost_acknowledgement_is_found() {
    let mut story = Story::begin();
    story.honest(0, 1, 100);
    story.log.truncate(AGENTS);
    story.is_found("told Already between");
}

#[test]
fn a_doubled_command_is_found() {
    let mut story = Story::begin();
    let correlation = story.honest(0, 1, 100).correlation;
    story.transfer_again(correlation, 0, 1, 100);
    story.is_found("not one atomic step");
}

#[test]
fn an_answer_that_tells_another_place_or_another_thing_is_found() {
    let mut story = Story::begin();
    story.honest(0, 1, 100);
    let Outcome::Acknowledged(told) = &mut story.done.records[0].attempts[0].outcome else { panic!("it was told") };
    told.position += 1;
    told.id = "another".to_owned();
    story.is_found("told at another position");
    story.is_found("another is not what stands at");
}

#[test]
fn a_refused_command_in_the_log_is_found() {
    let mut story = Story::begin();
    let correlation = story.transfer(0, 1, 100);
    let refused = Outcome::Refused("insufficient-quota".to_owned());
    story.client(Intent::Transfer { from: 0, to: 1, amount: 100 }, correlation, vec![refused]);
    story.is_found("and not acknowledged");
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let mut story = Story::begin();
    story.refused(Intent::Transfer { from: 0, to: 1, amount: OPENING }, "insufficient-quota");
    story.is_found("told Refused(\"insufficient-quota\") between");
}

#[test]
fn a_refusal_that_came_too_late_to_be_right_is_found() {
    let mut story = Story::begin();
    // Between the two there was too little; the refusal was asked for after the second.
    story.honest(0, 1, 400);
    story.honest(1, 0, 400);
    story.refused(Intent::Transfer { from: 0, to: 1, amount: OPENING }, "insufficient-quota");
    story.is_found("which the model does not");
}

#[test]
fn something_done_that_the_rules_forbid_is_found() {
    let mut story = Story::begin();
    story.honest(0, 1, OPENING + 1);
    story.is_found("done where the model says Refused");
    story.is_found("a balance is negative");
}

#[test]
fn two_first_answers_and_answers_that_differ_are_found() {
    let mut story = Story::begin();
    let correlation = story.transfer(0, 1, 100);
    let told = story.told();
    let other = Acknowledgement { body: "other".to_owned(), ..told.clone() };
    let outcomes = vec![Outcome::Acknowledged(told), Outcome::Acknowledged(other)];
    story.client(Intent::Transfer { from: 0, to: 1, amount: 100 }, correlation, outcomes);
    story.is_found("two first answers");
    story.is_found("answers that differ");
}

#[test]
fn two_contents_under_one_key_are_found() {
    let mut story = Story::begin();
    for amount in [100, 101] {
        story.honest(0, 1, amount).manner = Manner::SharesKey(Uuid::from_u128(1));
    }
    story.is_found("two contents under one key");
}

#[test]
fn events_of_nobody_are_found() {
    let mut story = Story::begin();
    story.transfer(0, 1, 100);
    story.is_found("in the log, and of nobody");
}

#[test]
fn another_amount_than_was_asked_for_is_found() {
    let mut story = Story::begin();
    let correlation = story.transfer(0, 1, 101);
    let told = Outcome::Acknowledged(story.told());
    story.client(Intent::Transfer { from: 0, to: 1, amount: 100 }, correlation, vec![told]);
    story.is_found("and in the model");
}

#[test]
fn a_command_that_stands_before_what_had_been_told_is_found() {
    let mut story = Story::begin();
    let early = story.transfer(0, 1, 100);
    let told = story.told();
    story.honest(0, 2, 50);
    story.client(Intent::Transfer { from: 0, to: 1, amount: 100 }, early, vec![Outcome::Acknowledged(told)]);
    story.is_found("stands before what had been told");
}

#[test]
fn a_balance_that_never_was_and_one_that_is_too_old_are_found() {
    let mut story = Story::begin();
    story.honest(0, 1, 100);
    let reading = Reading { agent: 1, at_least: 10, position: 10, available: OPENING, held: 0 };
    story.done.readings.push(reading.clone());
    story.is_found("a balance was read that never was");
    story.done.readings[0] = Reading { position: 2, ..reading };
    story.is_found("a balance was read that never was, or too late");
}

#[test]
fn half_a_transfer_and_a_hold_that_ends_twice_are_found() {
    let mut story = Story::begin();
    story.transfer(0, 1, 100);
    story.log.pop();
    story.is_found("in transit after a step");

    let mut story = Story::begin();
    let body = json!({ "hold_id": "h", "journal_id": "j", "amount": 10 });
    story.append(Uuid::from_u128(1), "x", &agent(0), "QuotaHeld", &body);
    for journal in ["j1", "j2"] {
        let body = json!({ "hold_id": "h", "journal_id": journal, "amount": 10 });
        story.append(Uuid::from_u128(2), "y", &agent(0), "HoldReleased", &body);
    }
    story.append(Uuid::from_u128(3), "x", &agent(0), "QuotaHeld", &body);
    story.is_found("the hold h is not open");
    story.is_found("a hold is made twice");
}

#[test]
fn a_gap_a_missing_event_and_a_time_that_goes_back_are_found() {
    let mut story = Story::begin();
    story.honest(0, 1, 100);
    let removed = story.log.remove(3);
    story.is_found("stands where 4 should");
    story.log.insert(3, removed);
    story.log[9].sequence = 7;
    story.is_found("has sequence 7 and not 2");
    story.log[9].recorded_at = story.log[8].recorded_at;
    story.is_found("was not recorded after the one before");
}
