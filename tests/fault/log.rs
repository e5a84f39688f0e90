//! The whole log, and what follows from it alone: its shape, and every balance at every position.
//!
//! The fold is written here a second time, over the JSON of the events, and shares nothing with the product's.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::model::Account;

/// An event as the checks need it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Logged {
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub event_id: Uuid,
    /// Its aggregate's type.
    pub aggregate_type: String,
    /// Its aggregate.
    pub aggregate_id: String,
    /// Its place in its aggregate's stream.
    pub sequence: i64,
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub payload: sqlx::types::Json<Value>,
    /// Its circumstances.
    pub metadata: sqlx::types::Json<HashMap<String, String>>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Logged {
    /// The event's own fields.
    pub fn body(&self) -> &Value {
        &self.payload[&self.event_type]
    }

    /// A number of it.
    pub fn number(&self, field: &str) -> i64 {
        self.body()[field].as_i64().unwrap_or_default()
    }

    /// What waits for a decision by it, and until when.
    pub fn ends_at(&self) -> Option<(&str, DateTime<Utc>)> {
        // A hold's end is that of what it is for.
        let end = self.body()["expires_at"].as_str().filter(|_| self.aggregate_type != "AgentQuota")?;
        Some((&self.aggregate_id, end.parse().ok()?))
    }

    /// The command that led to it, and the correlation by which its sender knows it.
    pub fn cause(&self) -> (&str, &str) {
        let of = |name: &str| self.metadata.get(name).map(String::as_str).unwrap_or_default();
        (of("command"), of("correlation_id"))
    }
}

/// The whole log.
pub async fn read(pool: &PgPool) -> Vec<Logged> {
    sqlx::query_as(
        "select position, event_id, aggregate_type, aggregate_id, sequence, event_type, payload, metadata, recorded_at
         from events order by position",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Violations of the log's shape.
pub fn shape(log: &[Logged]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sequences: HashMap<(&str, &str), i64> = HashMap::new();
    let mut ids = HashSet::new();
    for (place, event) in (1..).zip(log) {
        if event.position != place {
            wrong.push(format!("position {} stands where {place} should", event.position));
        }
        let sequence = sequences.entry((&event.aggregate_type, &event.aggregate_id)).or_default();
        *sequence += 1;
        if event.sequence != *sequence {
            wrong.push(format!("event {} has sequence {} and not {sequence}", event.position, event.sequence));
        }
        if !ids.insert(event.event_id) {
            wrong.push(format!("event {} has the id of another", event.position));
        }
    }
    for pair in log.windows(2).filter(|pair| pair[0].recorded_at >= pair[1].recorded_at) {
        wrong.push(format!("event {} was not recorded after the one before", pair[1].position));
    }
    wrong
}

/// What an agent had from a position on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The position of the movement.
    pub position: i64,
    /// What it had then.
    pub account: Account,
}

/// Every balance at every position.
#[derive(Debug, Default)]
pub struct Fold {
    /// By agent.
    pub history: BTreeMap<String, Vec<Moment>>,
    /// Holds seen.
    pub holds: usize,
    /// Journals seen.
    pub journals: usize,
    /// Events by type.
    pub types: BTreeMap<String, usize>,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// A hold: whose, how much it was, how much is left.
struct Hold {
    agent: String,
    left: i64,
}

#[derive(Default)]
struct Ledger {
    accounts: BTreeMap<String, Account>,
    holds: HashMap<String, Hold>,
    ended: HashSet<String>,
    /// The hold that was given back last, and the command and correlation of that step.
    given_back: (String, String, String),
    /// What moved, and the command and correlation of that step.
    journals: HashMap<String, (String, String)>,
    /// Sent and not received: nothing, wherever a step ends.
    in_transit: i64,
    /// What all agents have, less what came from the tenant, plus what left: always nothing.
    outside: i64,
}

/// Folds the log, event by event.
pub fn fold(log: &[Logged]) -> Fold {
    let (mut fold, mut ledger) = (Fold::default(), Ledger::default());
    for (place, event) in log.iter().enumerate() {
        *fold.types.entry(event.event_type.clone()).or_default() += 1;
        if event.aggregate_type == "AgentQuota" {
            if let Err(wrong) = ledger.take(event) {
                fold.wrong.push(format!("event {}: {wrong}", event.position));
            }
            let account = ledger.accounts.get(&event.aggregate_id).copied().unwrap_or_default();
            if account.available < 0 || account.held < 0 {
                fold.wrong.push(format!("event {}: a balance is negative: {account:?}", event.position));
            }
            let moment = Moment { position: event.position, account };
            fold.history.entry(event.aggregate_id.clone()).or_default().push(moment);
        }
        let ends_step = log.get(place + 1).is_none_or(|next| next.cause() != event.cause());
        if ends_step && ledger.in_transit != 0 {
            fold.wrong.push(format!("event {}: {} are in transit after a step", event.position, ledger.in_transit));
            ledger.in_transit = 0;
        }
        let all: i64 = ledger.accounts.values().map(|account| account.available + account.held).sum();
        if all + ledger.outside + ledger.in_transit != 0 {
            fold.wrong.push(format!("event {}: the ledger does not balance", event.position));
        }
    }
    let mut by_agent: BTreeMap<&str, i64> = BTreeMap::new();
    for hold in ledger.holds.values() {
        *by_agent.entry(&hold.agent).or_default() += hold.left;
    }
    for (agent, account) in &ledger.accounts {
        let open = by_agent.get(agent.as_str()).copied().unwrap_or_default();
        if account.held != open {
            fold.wrong.push(format!("agent {agent} has {} held and open holds of {open}", account.held));
        }
    }
    fold.holds = ledger.holds.len() + ledger.ended.len();
    fold.journals = ledger.journals.len();
    fold
}

impl Ledger {
    fn take(&mut self, event: &Logged) -> Result<(), String> {
        let amount = event.number("amount");
        if amount <= 0 {
            return Err(format!("an amount of {amount}"));
        }
        let text = |field: &str| event.body()[field].as_str().unwrap_or_default().to_owned();
        let account = self.accounts.entry(event.aggregate_id.clone()).or_default();
        match event.event_type.as_str() {
            "QuotaToppedUp" => {
                account.available += amount;
                self.outside -= amount;
                self.once(text("journal_id"), event)?;
            }
            "QuotaSent" => {
                account.available -= amount;
                self.in_transit += amount;
                self.once(text("journal_id"), event)?;
            }
            "QuotaReceived" => {
                account.available += amount;
                self.in_transit -= amount;
            }
            "QuotaSpent" => {
                account.available -= amount;
                self.outside += amount;
                self.once(text("journal_id"), event)?;
            }
            "QuotaHeld" => {
                account.available -= amount;
                account.held += amount;
                let (id, (command, correlation)) = (text("hold_id"), event.cause());
                // A review that lets a withdrawal go on holds it anew, without an end, in the same step.
                let anew = (id.clone(), command.to_owned(), correlation.to_owned());
                if command == "withdrawal.release" && anew == self.given_back {
                    self.ended.remove(&id);
                }
                let hold = Hold { agent: event.aggregate_id.clone(), left: amount };
                if self.ended.contains(&id) || self.holds.insert(id, hold).is_some() {
                    return Err("a hold is made twice".to_owned());
                }
            }
            "HoldSettled" => {
                account.held -= amount;
                if event.body()["to"]["agent"].is_null() {
                    self.outside += amount;
                } else {
                    self.in_transit += amount;
                }
                self.once(text("journal_id"), event)?;
                self.reduce(&text("hold_id"), &event.aggregate_id, amount, false)?;
            }
            "HoldReleased" | "HoldExpired" => {
                account.held -= amount;
                account.available += amount;
                let (command, correlation) = event.cause();
                self.given_back = (text("hold_id"), command.to_owned(), correlation.to_owned());
                self.once(text("journal_id"), event)?;
                self.reduce(&text("hold_id"), &event.aggregate_id, amount, true)?;
            }
            // Part of the journal of the sale.
            "CommissionEarned" => {
                account.available += amount;
                self.outside -= amount;
                self.in_one_step(text("journal_id"), event)?;
            }
            // All parts of a reversal or refund are one journal.
            "QuotaTakenBack" => {
                account.available -= amount;
                *(if is_of_agent(event) { &mut self.in_transit } else { &mut self.outside }) += amount;
                self.in_one_step(text("journal_id"), event)?;
            }
            "QuotaGivenBack" => {
                account.available += amount;
                *(if is_of_agent(event) { &mut self.in_transit } else { &mut self.outside }) -= amount;
                self.in_one_step(text("journal_id"), event)?;
            }
            other => return Err(format!("the harness does not know {other}")),
        }
        Ok(())
    }

    fn once(&mut self, journal: String, event: &Logged) -> Result<(), String> {
        let (command, correlation) = event.cause();
        let before = self.journals.insert(journal, (command.to_owned(), correlation.to_owned()));
        if before.is_none() { Ok(()) } else { Err("a journal moves twice".to_owned()) }
    }

    /// Like [`Ledger::once`], for journals of several postings on agents' accounts.
    fn in_one_step(&mut self, journal: String, event: &Logged) -> Result<(), String> {
        let (command, correlation) = event.cause();
        let cause = (command.to_owned(), correlation.to_owned());
        let known = self.journals.entry(journal).or_insert_with(|| cause.clone());
        if *known == cause { Ok(()) } else { Err("a journal moves in two steps".to_owned()) }
    }

    /// Takes from a hold; whoever releases takes what is left.
    fn reduce(&mut self, id: &str, agent: &str, amount: i64, released: bool) -> Result<(), String> {
        let Some(hold) = self.holds.get_mut(id) else { return Err(format!("the hold {id} is not open")) };
        if hold.agent != agent || hold.left < amount || released && hold.left != amount {
            return Err(format!("{amount} taken from a hold of {} of {}", hold.left, hold.agent));
        }
        hold.left -= amount;
        if hold.left == 0 {
            self.holds.remove(id);
            self.ended.insert(id.to_owned());
        }
        Ok(())
    }
}

/// Whether the other side of a return is another agent.
fn is_of_agent(event: &Logged) -> bool {
    !event.body()["origin"]["agent"].is_null()
}
