//! Checks the log event by event: order, streams, shapes, and the ledger at every position.
//!
//! The rules are written down here a second time, from the events' meaning, on purpose: a check that called the code it
//! checks would find nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use quotary_domain::agent_quota::{AgentQuotaEvent, Commission, Destination, Origin, Return};
use quotary_domain::license::LicenseEvent;
use quotary_domain::license_batch::LicenseBatchEvent;
use quotary_domain::{DecodeError, Event, RecordedEvent};
use serde::Serialize;
use uuid::Uuid;

use super::export::ExportError;

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// The log could not be read to its end: not a pass.
    #[error("the log could not be read to its end")]
    Incomplete(#[from] ExportError),
    /// An event can't be read.
    #[error("an event can't be read")]
    Unreadable(#[from] DecodeError),
    /// A rule is broken.
    #[error("position {position}: {what}")]
    Broken {
        /// The first wrong position.
        position: u64,
        /// What is wrong.
        what: String,
    },
}

/// What a whole log says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last position.
    pub last_position: u64,
    /// Streams.
    pub streams: u64,
    /// Licences issued.
    pub licenses: u64,
    /// Quota brought in by the tenants.
    pub topped_up: i128,
    /// Quota spent on licences.
    pub sold: i128,
    /// Quota paid out as money.
    pub paid_out: i128,
    /// Quota that agents can spend.
    pub available: i128,
    /// Quota that agents have reserved.
    pub held: i128,
}

#[derive(Default)]
struct Balance {
    available: i128,
    held: i128,
    holds: HashMap<Uuid, i128>,
}

/// A batch's promise and how far it is kept.
#[derive(Default)]
struct Batch {
    asked: u32,
    announced: u32,
    issued: u32,
}

/// Reads events in order and keeps what the rules need.
#[derive(Default)]
pub struct Verifier {
    summary: Summary,
    last_time: Option<DateTime<Utc>>,
    streams: HashMap<(String, Uuid), (u64, Uuid)>,
    event_ids: HashSet<Uuid>,
    balances: BTreeMap<Uuid, Balance>,
    batches: HashMap<Uuid, Batch>,
    key_hashes: HashSet<String>,
    /// What has left one account of a movement and not reached the other: (tenant, journal) → amount.
    in_transit: HashMap<(Uuid, Uuid), i128>,
}

impl Verifier {
    /// Checks the next event.
    ///
    /// # Errors
    /// The first [`Finding`].
    pub fn check(&mut self, event: &RecordedEvent) -> Result<(), Finding> {
        let position = event.position;
        let broken = |what: String| Finding::Broken { position, what };
        let next = self.summary.last_position + 1;
        if position != next {
            return Err(broken(format!("position {next} is missing")));
        }
        self.summary.last_position = position;
        if self.last_time.is_some_and(|before| event.recorded_at <= before) {
            return Err(broken("its time is not after the one before".into()));
        }
        self.last_time = Some(event.recorded_at);
        if !self.event_ids.insert(event.event_id) {
            return Err(broken(format!("event {} stands twice", event.event_id)));
        }
        self.check_stream(event)?;
        match event.decode()? {
            Event::AgentQuota(change) => self.check_quota(event, &change),
            Event::LicenseBatch(change) => self.check_batch(event, &change),
            Event::License(LicenseEvent::LicenseIssued(issue)) => {
                self.summary.licenses += 1;
                if !self.key_hashes.insert(issue.key_hash) {
                    return Err(broken("its licence key was issued before".into()));
                }
                let batch = self.batches.entry(issue.batch_id.0).or_default();
                batch.issued += 1;
                if batch.issued > batch.announced {
                    return Err(broken(format!("batch {} has more licences than paid for", issue.batch_id)));
                }
                Ok(())
            }
            Event::Tenant(_)
            | Event::Account(_)
            | Event::Project(_)
            | Event::License(_)
            | Event::Withdrawal(_)
            | Event::Transfer(_)
            | Event::RiskPolicy(_)
            | Event::Reversal(_)
            | Event::Order(_) => Ok(()),
        }
    }

    fn check_stream(&mut self, event: &RecordedEvent) -> Result<(), Finding> {
        let stream = (event.aggregate_type.clone(), event.aggregate_id);
        let (sequence, tenant) = self.streams.entry(stream).or_insert((0, event.tenant_id.0));
        let (expected, owner) = (*sequence + 1, *tenant);
        *sequence = event.sequence;
        let what = if event.sequence != expected {
            format!("its stream is at {expected} and it says {}", event.sequence)
        } else if owner != event.tenant_id.0 {
            "its stream belongs to another tenant".to_owned()
        } else {
            return Ok(());
        };
        Err(Finding::Broken { position: event.position, what })
    }

    fn check_quota(&mut self, event: &RecordedEvent, change: &AgentQuotaEvent) -> Result<(), Finding> {
        let broken = |what: String| Finding::Broken { position: event.position, what };
        let summary = &mut self.summary;
        let balance = self.balances.entry(event.aggregate_id).or_default();
        let (before_available, before_held) = (balance.available, balance.held);
        // What leaves the agents' accounts, for whatever other account.
        let mut left: i128 = 0;
        match change {
            AgentQuotaEvent::QuotaToppedUp { amount, .. } => {
                let amount = i128::from(amount.minor_units());
                balance.available += amount;
                summary.topped_up += amount;
                left -= amount;
            }
            AgentQuotaEvent::QuotaSent { journal_id, amount, .. } => {
                let amount = i128::from(amount.minor_units());
                balance.available -= amount;
                *self.in_transit.entry((event.tenant_id.0, journal_id.0)).or_default() += amount;
                left += amount;
            }
            AgentQuotaEvent::QuotaReceived { journal_id, amount, .. } => {
                let amount = i128::from(amount.minor_units());
                balance.available += amount;
                left -= amount;
                let key = (event.tenant_id.0, journal_id.0);
                let rest = self.in_transit.remove(&key).unwrap_or_default() - amount;
                if rest != 0 {
                    return Err(broken(format!("journal {journal_id} moves {rest} too little or too much")));
                }
            }
            AgentQuotaEvent::QuotaSpent { amount, to, .. } => {
                let amount = i128::from(amount.minor_units());
                balance.available -= amount;
                left += amount;
                match to {
                    Destination::Sales { .. } => summary.sold += amount,
                    Destination::PaidOut { .. } => summary.paid_out += amount,
                    // Only a hold goes to an agent.
                    Destination::Agent { .. } => return Err(broken("quota was spent on an agent".to_owned())),
                }
            }
            AgentQuotaEvent::QuotaHeld { hold_id, amount, .. } => {
                let amount = i128::from(amount.minor_units());
                balance.available -= amount;
                balance.held += amount;
                if balance.holds.insert(hold_id.0, amount).is_some() {
                    return Err(broken(format!("hold {hold_id} is open already")));
                }
            }
            AgentQuotaEvent::HoldSettled { hold_id, journal_id, amount, to } => {
                let amount = i128::from(amount.minor_units());
                take_hold(balance, hold_id.0, amount).map_err(broken)?;
                left += amount;
                match to {
                    Destination::Agent { .. } => {
                        *self.in_transit.entry((event.tenant_id.0, journal_id.0)).or_default() += amount;
                    }
                    Destination::Sales { .. } => summary.sold += amount,
                    Destination::PaidOut { .. } => summary.paid_out += amount,
                }
            }
            AgentQuotaEvent::CommissionEarned(Commission { amount, .. }) => {
                let amount = i128::from(amount.minor_units());
                balance.available += amount;
                left -= amount;
                summary.sold -= amount;
            }
            AgentQuotaEvent::QuotaTakenBack(Return { journal_id, amount, origin, .. }) => {
                let amount = i128::from(amount.minor_units());
                balance.available -= amount;
                left += amount;
                match origin {
                    Origin::Issuance => summary.topped_up -= amount,
                    Origin::Agent { .. } => {
                        *self.in_transit.entry((event.tenant_id.0, journal_id.0)).or_default() += amount;
                    }
                    Origin::Sales { .. } => summary.sold += amount,
                }
            }
            AgentQuotaEvent::QuotaGivenBack(Return { journal_id, amount, origin, .. }) => {
                let amount = i128::from(amount.minor_units());
                balance.available += amount;
                left -= amount;
                match origin {
                    Origin::Issuance => summary.topped_up += amount,
                    Origin::Agent { .. } => {
                        let rest = self.in_transit.remove(&(event.tenant_id.0, journal_id.0)).unwrap_or_default();
                        if rest != amount {
                            return Err(broken(format!("journal {journal_id} gives back {amount} and took {rest}")));
                        }
                    }
                    Origin::Sales { .. } => summary.sold -= amount,
                }
            }
            AgentQuotaEvent::HoldReleased { hold_id, amount, .. }
            | AgentQuotaEvent::HoldExpired { hold_id, amount, .. } => {
                let amount = i128::from(amount.minor_units());
                take_hold(balance, hold_id.0, amount).map_err(broken)?;
                balance.available += amount;
            }
        }
        if balance.available < 0 || balance.held < 0 {
            return Err(broken(format!("agent {} has less than nothing", event.aggregate_id)));
        }
        if balance.holds.values().sum::<i128>() != balance.held {
            return Err(broken(format!("the holds of agent {} are not what is held", event.aggregate_id)));
        }
        let moved = balance.available + balance.held - before_available - before_held;
        if moved + left != 0 {
            return Err(broken(format!("the postings are out of balance by {}", moved + left)));
        }
        summary.available += balance.available - before_available;
        summary.held += balance.held - before_held;
        self.check_sum(event.position)
    }

    /// The whole ledger sums to zero at this position.
    fn check_sum(&self, position: u64) -> Result<(), Finding> {
        let Summary { topped_up, sold, paid_out, available, held, .. } = &self.summary;
        let transit: i128 = self.in_transit.values().sum();
        let sum = available + held + sold + paid_out + transit - topped_up;
        if sum == 0 {
            return Ok(());
        }
        Err(Finding::Broken { position, what: format!("the ledger sums to {sum}, not to zero") })
    }

    fn check_batch(&mut self, event: &RecordedEvent, change: &LicenseBatchEvent) -> Result<(), Finding> {
        let batch = self.batches.entry(event.aggregate_id).or_default();
        match change {
            LicenseBatchEvent::BatchRequested(request) => batch.asked = request.count,
            LicenseBatchEvent::ChunkIssued { count, .. } => batch.announced += count,
            LicenseBatchEvent::BatchCompleted {}
            | LicenseBatchEvent::BatchStopped { .. }
            | LicenseBatchEvent::BatchRefunded { .. }
            | LicenseBatchEvent::BatchExported { .. } => {}
        }
        if batch.announced > batch.asked {
            let what = format!("batch {} issues more than was asked for", event.aggregate_id);
            return Err(Finding::Broken { position: event.position, what });
        }
        Ok(())
    }

    /// What the log says as a whole.
    ///
    /// # Errors
    /// A movement that reached only one account, or a chunk without its licences.
    pub fn finish(mut self) -> Result<Summary, Finding> {
        let position = self.summary.last_position;
        if let Some((_, journal)) = self.in_transit.keys().next() {
            return Err(Finding::Broken { position, what: format!("journal {journal} has only one half") });
        }
        if let Some((id, batch)) = self.batches.iter().find(|(_, batch)| batch.issued != batch.announced) {
            let what = format!("batch {id} paid for {} licences and has {}", batch.announced, batch.issued);
            return Err(Finding::Broken { position, what });
        }
        self.summary.streams = self.streams.len() as u64;
        Ok(self.summary)
    }
}

fn take_hold(balance: &mut Balance, hold: Uuid, amount: i128) -> Result<(), String> {
    let left = balance.holds.get_mut(&hold).ok_or_else(|| format!("hold {hold} is not open"))?;
    *left -= amount;
    balance.held -= amount;
    match *left {
        0 => {
            balance.holds.remove(&hold);
            Ok(())
        }
        rest if rest < 0 => Err(format!("hold {hold} is taken beyond its amount")),
        _ => Ok(()),
    }
}
