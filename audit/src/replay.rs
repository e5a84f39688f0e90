//! An independent replay of the log: the shapes of all events and the rules they have to keep, written a second time.
//!
//! The replay reads events in order and checks, event by event: positions are dense, times strictly increase, ids are
//! unique, every stream is dense, of one tenant and of one type, every payload has a known shape; the ledger sums to zero
//! at **every** position, no account is ever below zero, what is held is the sum of the open holds, every hold ends once;
//! every change of state of a transfer, withdrawal, batch, licence, order or policy is a legal one.
//!
//! Some rules span the events that were written in one step (both halves of a movement, a payment and its licences). The
//! log numbers the microseconds of a step: where the time of an event is not one microsecond after the one before, a new
//! step certainly began, and everything that the step before had to contain must be there.
//!
//! What always holds: nothing here is shared with the code that writes the log or the read models, and the same events give
//! the same findings.
//!
//! ```
//! # fn read() -> Vec<quotary_audit::entry::Entry<'static>> { vec![] }
//! use quotary_audit::replay::Replay;
//!
//! let mut replay = Replay::default();
//! for entry in read() {
//!     replay.check(&entry)?;
//! }
//! let summary = replay.finish()?;
//! # Ok::<_, quotary_audit::replay::Finding>(())
//! ```

mod finding;
mod ledger;
mod licenses;
mod licensing;
mod movements;
mod notices;
mod policy;
mod records;
mod saved;
mod shapes;
mod standing;
mod step;
mod summary;
mod values;

use std::fmt::Display;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use finding::{Finding, Kind};
pub use ledger::{CounterAccount, Posting};
pub use notices::Notice;
pub use saved::SavedError;
pub use standing::{
    AgentStanding, BatchStanding, HoldStanding, JournalStanding, LicenseCounts, MovementStanding, OrderStanding,
    OrderTexts, WithdrawalStanding, fingerprint,
};
pub use summary::Summary;

use crate::entry::Entry;
use ledger::Ledger;
use licensing::Licensing;
use movements::Movements;
use records::Records;
use step::Step;
use values::Id;

/// How many findings are kept when all are collected; the rest is only counted.
pub const MAX_FINDINGS: usize = 100_000;

/// The rules, and what they have to remember.
///
/// By default the first finding is the answer of [`Replay::check`]; with [`Replay::collecting`] all are gathered and the
/// replay goes on as well as it can.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Replay {
    position: u64,
    recorded_at: i64,
    tenants: Tenants,
    event_ids: HashSet<Id>,
    /// Streams of all types but licences, which keep their place with their state.
    streams: HashMap<(Type, Id), Place>,
    step: Step,
    ledger: Ledger,
    movements: Movements,
    licensing: Licensing,
    records: Records,
    /// What the last event told, if it told anything.
    #[serde(skip)]
    notice: Option<Notice>,
    #[serde(skip)]
    found: Found,
}

/// Tenants by small numbers, so that states stay small.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tenants {
    numbers: HashMap<Id, u32>,
    ids: Vec<Id>,
}

impl Tenants {
    fn number(&mut self, id: Id) -> u32 {
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.ids.push(id);
        }
        number
    }

    fn id(&self, number: u32) -> Uuid {
        self.ids.get(number as usize).copied().unwrap_or_default().into()
    }
}

/// The types of aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Type {
    Tenant,
    Account,
    Project,
    AgentQuota,
    LicenseBatch,
    License,
    Withdrawal,
    Transfer,
    RiskPolicy,
    Reversal,
    Order,
    Reconciliation,
    Case,
    Proposal,
}

impl Type {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Tenant" => Self::Tenant,
            "Account" => Self::Account,
            "Project" => Self::Project,
            "AgentQuota" => Self::AgentQuota,
            "LicenseBatch" => Self::LicenseBatch,
            "License" => Self::License,
            "Withdrawal" => Self::Withdrawal,
            "Transfer" => Self::Transfer,
            "RiskPolicy" => Self::RiskPolicy,
            "Reversal" => Self::Reversal,
            "Order" => Self::Order,
            "Reconciliation" => Self::Reconciliation,
            "Case" => Self::Case,
            "Proposal" => Self::Proposal,
            _ => return None,
        })
    }
}

/// How far a stream is, and whose it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    sequence: u64,
    tenant: u32,
}

/// The event that is being checked.
#[derive(Clone, Copy)]
struct Seen<'a> {
    position: u64,
    tenant: u32,
    tenant_id: Uuid,
    aggregate_type: &'a str,
    id: Id,
    sequence: u64,
    at: i64,
    metadata: &'a str,
}

impl Seen<'_> {
    /// A finding about this event.
    fn finding(&self, kind: Kind, text: impl Display) -> Finding {
        Finding {
            position: self.position,
            kind,
            tenant_id: self.tenant_id,
            stream: format!("{}/{}", self.aggregate_type, self.id),
            text: text.to_string(),
        }
    }
}

/// What was found, and what is done with it.
#[derive(Clone, Debug, Default)]
struct Found {
    list: Vec<Finding>,
    collects: bool,
    more: u64,
}

impl Found {
    fn add(&mut self, finding: Finding) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }
}

impl Replay {
    /// A replay that gathers all findings instead of answering the first.
    #[must_use]
    pub fn collecting() -> Self {
        Self::default().collect_all()
    }

    /// This replay, gathering all findings from now on; for one that was saved.
    #[must_use]
    pub fn collect_all(mut self) -> Self {
        self.found.collects = true;
        self
    }

    /// The last position that was read; 0 for none.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What was gathered so far, in the order it was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.found.list
    }

    /// How many findings there were beyond [`MAX_FINDINGS`].
    #[must_use]
    pub fn findings_not_kept(&self) -> u64 {
        self.found.more
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// The first [`Finding`], unless all are gathered.
    pub fn check(&mut self, entry: &Entry<'_>) -> Result<(), Finding> {
        let begins_step = self.position == 0 || entry.recorded_at != self.recorded_at.saturating_add(1);
        if begins_step {
            self.end_step();
        }
        let tenant = self.tenants.number(entry.tenant_id.into());
        let id = Id::parse(entry.aggregate_id);
        let seen = Seen {
            position: entry.position,
            tenant,
            tenant_id: entry.tenant_id,
            aggregate_type: entry.aggregate_type,
            id: id.unwrap_or_default(),
            sequence: entry.sequence,
            at: entry.recorded_at,
            metadata: entry.metadata,
        };
        self.notice = None;
        self.check_order(&seen, entry);
        match (Type::parse(entry.aggregate_type), id) {
            (None, _) => {
                let text = format!("the aggregate type {} is not known", entry.aggregate_type);
                self.found.add(seen.finding(Kind::UnknownEvent, text));
            }
            (_, None) => {
                self.found.add(seen.finding(Kind::Shape, "the aggregate's id is no UUID in its canonical form"));
            }
            (Some(kind), Some(_)) => {
                self.check_stream(&seen, kind);
                self.check_event(&seen, kind, entry);
            }
        }
        if let Some(text) = self.ledger.imbalance(seen.tenant) {
            self.found.add(seen.finding(Kind::Unbalanced, text));
        }
        self.answer()
    }

    fn answer(&self) -> Result<(), Finding> {
        match self.found.list.first() {
            Some(first) if !self.found.collects => Err(first.clone()),
            _ => Ok(()),
        }
    }

    /// What the log says as a whole.
    ///
    /// # Errors
    /// The first [`Finding`], also of those that were gathered: what the last step had to contain is checked here.
    pub fn finish(mut self) -> Result<Summary, Finding> {
        self.close();
        match self.found.list.first() {
            Some(first) => Err(first.clone()),
            None => Ok(self.summary()),
        }
    }

    /// Checks what the last step had to contain; for a replay that ends where a step ends, and may go on later.
    pub fn close(&mut self) {
        self.end_step();
    }

    fn end_step(&mut self) {
        if self.step.is_empty() {
            return;
        }
        let mut step = std::mem::take(&mut self.step);
        let tenants = &self.tenants;
        let tenant = |number| tenants.id(number);
        self.records.end_step(&step, &mut self.found, tenant);
        self.records.check_second_person(&step, &mut self.found, tenant);
        self.ledger.end_step(&mut step, &mut self.found, tenant);
        self.movements.end_step(&mut step, &self.ledger, &mut self.found, tenant);
        self.licensing.end_step(&mut step, &self.ledger, &mut self.found, tenant);
        step.number += 1;
        step.clear();
        self.step = step;
    }

    fn check_order(&mut self, seen: &Seen<'_>, entry: &Entry<'_>) {
        let next = self.position + 1;
        if entry.position != next {
            self.found.add(seen.finding(Kind::Position, format!("position {next} should stand here")));
        }
        if self.position > 0 && entry.recorded_at <= self.recorded_at {
            self.found.add(seen.finding(Kind::Time, "its time is not after the one before"));
        }
        self.position = entry.position;
        self.recorded_at = entry.recorded_at;
        if !self.event_ids.insert(entry.event_id.into()) {
            self.found.add(seen.finding(Kind::EventTwice, format!("event {} stands twice", entry.event_id)));
        }
    }

    fn check_stream(&mut self, seen: &Seen<'_>, kind: Type) {
        let before = if kind == Type::License {
            self.licensing.place(seen)
        } else {
            let start = Place { sequence: 0, tenant: seen.tenant };
            let place = self.streams.entry((kind, seen.id)).or_insert(start);
            std::mem::replace(place, Place { sequence: seen.sequence, ..*place })
        };
        let before = if before.sequence == 0 { Place { tenant: seen.tenant, ..before } } else { before };
        let expected = before.sequence + 1;
        if seen.sequence != expected {
            let text = format!("its stream is at {expected} and it says {}", seen.sequence);
            self.found.add(seen.finding(Kind::StreamOrder, text));
        }
        if before.tenant != seen.tenant {
            self.found.add(seen.finding(Kind::StreamTenant, "its stream belongs to another tenant"));
        }
    }

    fn check_event(&mut self, seen: &Seen<'_>, kind: Type, entry: &Entry<'_>) {
        if entry.event_version != "1" {
            let text = format!("version {} of {} is not known", entry.event_version, entry.event_type);
            return self.found.add(seen.finding(Kind::UnknownEvent, text));
        }
        let found = &mut self.found;
        match kind {
            Type::Tenant => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.tenant(seen, &event, found);
                }
            }
            Type::Account => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.account(seen, event, found);
                }
            }
            Type::Project => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.project(seen, &event, found);
                }
            }
            Type::AgentQuota => {
                if let Some(event) = read(seen, entry, found) {
                    self.ledger.apply(seen, &event, &mut self.step, found);
                }
            }
            Type::LicenseBatch => {
                if let Some(event) = read(seen, entry, found) {
                    self.licensing.batch(seen, event, &mut self.step, found);
                }
            }
            Type::License => {
                if let Some(event) = read(seen, entry, found) {
                    self.licensing.license(seen, event, &mut self.step, found);
                }
            }
            Type::Withdrawal => {
                if let Some(event) = read(seen, entry, found) {
                    let told = notices::of_withdrawal(&event);
                    self.movements.withdrawal(seen, event, &mut self.step, found);
                    self.notice = notices::of(seen, told, &self.movements, &self.records);
                }
            }
            Type::Transfer => {
                if let Some(event) = read(seen, entry, found) {
                    let told = notices::of_transfer(&event);
                    self.movements.transfer(seen, event, &mut self.step, found);
                    self.notice = notices::of(seen, told, &self.movements, &self.records);
                }
            }
            Type::Reversal => {
                if let Some(event) = read(seen, entry, found) {
                    self.movements.reversal(seen, &event, &mut self.step, found);
                }
            }
            Type::RiskPolicy => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.policy(seen, &event, found);
                }
            }
            Type::Order => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.order(seen, event, found);
                }
            }
            Type::Reconciliation => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.reconciliation(seen, &event, found);
                }
            }
            Type::Case => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.case(seen, &event, found);
                }
            }
            Type::Proposal => {
                if let Some(event) = read(seen, entry, found) {
                    self.records.proposal(seen, event, &mut self.step, found);
                }
            }
        }
    }
}

/// The payload in its shape, if it has it and is named as the event says.
fn read<'e, T: Deserialize<'e>>(seen: &Seen<'_>, entry: &Entry<'e>, found: &mut Found) -> Option<T> {
    // An event is an object with one field, named as the event's type.
    let tag = entry.payload.trim_start().strip_prefix('{').map(str::trim_start).and_then(|rest| rest.strip_prefix('"'));
    let is_named = tag.and_then(|rest| rest.strip_prefix(entry.event_type)).is_some_and(|rest| rest.starts_with('"'));
    if !is_named {
        let text = format!("the payload is not that of {}", entry.event_type);
        found.add(seen.finding(Kind::UnknownEvent, text));
        return None;
    }
    match serde_json::from_str(entry.payload) {
        Ok(event) => Some(event),
        Err(error) => {
            found.add(seen.finding(Kind::Shape, format!("the payload can't be read: {error}")));
            None
        }
    }
}

#[cfg(test)]
mod tests;
