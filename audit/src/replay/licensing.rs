//! Batches and licences: chunks are dense and paid for, licences are those that were announced, states change legally.
//!
//! What always holds: a licence takes some fifty bytes here, so that logs of tens of millions fit into memory.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{Ledger, spot, spot_finding};
use super::shapes::{BatchEvent, Earned, Issue, LicenseEvent, Machine, Reversed, Terms};
use super::step::{BatchStep, SpotKind, Step};
use super::values::{Fingerprint, Id, Time};
use super::{Found, Kind, Place, Seen};

/// Batches of at most this many licences.
const MAX_COUNT: u32 = 1_000_000;
/// How often bindings can be cleared.
const MAX_UNBINDS: u8 = 100;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// All batches and licences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Licensing {
    pub batches: HashMap<Id, Batch>,
    licenses: HashMap<Id, License>,
    keys: HashSet<Id>,
    /// Machines by licence and number of clearings; one that was cleared is never looked for again.
    machines: HashSet<Id>,
    /// What ancestors earned, by batch.
    commissions: HashMap<(Id, Id), u64>,
    pub issued: u64,
    pub revoked: u64,
}

/// A batch's promise and how far it is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub tenant: u32,
    pub agent: Id,
    pub project: Id,
    plan: Id,
    duration_days: Option<u32>,
    max_machines: u32,
    features: Id,
    pub asked: u32,
    pub price: u64,
    pub announced: u32,
    pub issued: u32,
    chunks: u32,
    pub paid: u64,
    pub completed: bool,
    pub stopped: bool,
    refunded: bool,
    order: Option<Id>,
    disabled: u32,
    disabled_chunks: u32,
    pub position: u64,
    pub sequence: u64,
}

impl Batch {
    fn terms(&self) -> Terms {
        Terms {
            duration_days: self.duration_days,
            max_machines: self.max_machines,
            features: super::shapes::Features(Fingerprint(self.features.0)),
        }
    }

    /// It was bought with a payment at a provider.
    fn link(&mut self, seen: &Seen<'_>, order: Id, found: &mut Found) {
        if self.refunded || self.order.is_some() {
            found.add(seen.finding(Kind::State, "the batch has an order already, or was refunded"));
        }
        self.order = Some(order);
    }

    /// The payment goes back; the whole of it, once, and with the batch's order if it has one.
    fn refund(&mut self, seen: &Seen<'_>, amount: u64, order: Option<Id>, found: &mut Found) {
        if self.order.is_some() && self.order != order {
            found.add(seen.finding(Kind::Refund, "it is refunded without its order"));
        }
        // A batch without a price is refunded too: its licences end.
        if self.refunded || amount != self.paid {
            let text = format!("{amount} is refunded of {} that were paid", self.paid);
            found.add(seen.finding(Kind::Refund, text));
        }
        self.refunded = true;
    }

    /// A chunk of its licences is disabled after the refund.
    fn disable(&mut self, seen: &Seen<'_>, chunk: u32, count: u32, found: &mut Found) {
        let disabled = self.disabled.saturating_add(count);
        if !self.refunded || chunk != self.disabled_chunks || count == 0 || disabled > self.announced {
            let text = format!("chunk {chunk} disables {disabled} of {} licences", self.announced);
            found.add(seen.finding(Kind::Refund, text));
        }
        self.disabled = disabled;
        self.disabled_chunks += 1;
    }

    pub fn status(&self) -> &'static str {
        if self.stopped {
            "stopped"
        } else if self.completed {
            "completed"
        } else {
            "issuing"
        }
    }
}

/// A licence's state; its batch says what it grants.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct License {
    batch: Id,
    expires_at: i64,
    tenant: u32,
    sequence: u32,
    extra_days: u32,
    machines: u16,
    unbinds: u8,
    flags: u8,
}

const ISSUED: u8 = 1;
const ACTIVATED: u8 = 2;
const IN_USE: u8 = 4;
const DISABLED: u8 = 8;
const REVOKED: u8 = 16;
const END_NOTED: u8 = 32;

impl License {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

impl Licensing {
    /// How far a licence's stream was before this event.
    pub fn place(&mut self, seen: &Seen<'_>) -> Place {
        let license = self.licenses.entry(seen.id).or_insert(License { tenant: seen.tenant, ..License::default() });
        let before = Place { sequence: license.sequence.into(), tenant: license.tenant };
        license.sequence = u32::try_from(seen.sequence).unwrap_or(u32::MAX);
        before
    }

    /// How many licence streams there are.
    pub fn streams(&self) -> u64 {
        self.licenses.len() as u64
    }

    /// An event of a batch.
    pub fn batch(&mut self, seen: &Seen<'_>, event: BatchEvent, step: &mut Step, found: &mut Found) {
        let during = step.batches.entry(seen.id).or_insert_with(|| BatchStep::new(spot(seen, SpotKind::LicenseBatch)));
        if let BatchEvent::BatchRequested(request) = event {
            if self.batches.contains_key(&seen.id) {
                return found.add(seen.finding(Kind::StreamStart, "the batch was asked for before"));
            }
            if !(1..=MAX_COUNT).contains(&request.count) {
                found.add(seen.finding(Kind::BatchCount, format!("a batch can't have {} licences", request.count)));
            }
            let batch = Batch {
                tenant: seen.tenant,
                agent: request.agent_id,
                project: request.project_id,
                plan: request.plan_id,
                duration_days: request.terms.duration_days,
                max_machines: request.terms.max_machines,
                features: request.terms.features.0.id(),
                asked: request.count,
                price: request.total_price.0,
                announced: 0,
                issued: 0,
                chunks: 0,
                paid: 0,
                completed: false,
                stopped: false,
                refunded: false,
                order: None,
                disabled: 0,
                disabled_chunks: 0,
                position: seen.position,
                sequence: seen.sequence,
            };
            self.batches.insert(seen.id, batch);
            return;
        }
        let Some(batch) = self.batches.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "the batch was never asked for"));
        };
        batch.sequence = seen.sequence;
        let has_ended = batch.completed || batch.stopped;
        match event {
            BatchEvent::BatchRequested(_) => {}
            BatchEvent::ChunkIssued { chunk, count, amount, commissions } => {
                if has_ended {
                    found.add(seen.finding(Kind::State, format!("the batch is {} already", batch.status())));
                }
                if chunk != batch.chunks {
                    let text = format!("chunk {} is next and it says {chunk}", batch.chunks);
                    found.add(seen.finding(Kind::BatchCount, text));
                }
                let announced = batch.announced.saturating_add(count);
                if count == 0 || announced > batch.asked {
                    let text = format!("{announced} of {} licences are announced", batch.asked);
                    found.add(seen.finding(Kind::BatchCount, text));
                }
                let price = super::values::Amount(batch.price);
                let due = price.share(announced, batch.asked) - price.share(batch.announced, batch.asked);
                if amount.0 != due {
                    found.add(seen.finding(Kind::BatchCount, format!("the chunk costs {due} and it says {amount}")));
                }
                batch.announced = announced;
                batch.chunks += 1;
                batch.paid = batch.paid.saturating_add(amount.0);
                during.unpaid -= amount.signed();
                during.unissued -= i64::from(count);
                for Earned { account_id, amount } in commissions {
                    during.earn(account_id, -amount.signed());
                    let earned = self.commissions.entry((seen.id, account_id)).or_default();
                    *earned = earned.saturating_add(amount.0);
                }
            }
            BatchEvent::BatchCompleted {} => {
                if has_ended || batch.announced != batch.asked {
                    let text = format!("{} of {} licences are announced", batch.announced, batch.asked);
                    found.add(seen.finding(Kind::State, text));
                }
                batch.completed = true;
            }
            BatchEvent::BatchStopped { remaining, .. } => {
                if has_ended || remaining != batch.asked.saturating_sub(batch.announced) {
                    let text = format!("the batch is {} and {remaining} are not issued", batch.status());
                    found.add(seen.finding(Kind::State, text));
                }
                batch.stopped = true;
            }
            BatchEvent::BatchLinkedToOrder { order_id } => batch.link(seen, order_id, found),
            BatchEvent::RefundedLicensesDisabled { chunk, count } => batch.disable(seen, chunk, count, found),
            BatchEvent::BatchRefunded { journal_id, amount, order_id, by } => {
                batch.refund(seen, amount.0, order_id, found);
                during.refund = Some((journal_id, amount.0));
                during.by_a_person = by.is_some();
            }
            BatchEvent::BatchExported { count, .. } => {
                if count != batch.announced {
                    let text = format!("{count} keys were handed out of {}", batch.announced);
                    found.add(seen.finding(Kind::BatchCount, text));
                }
            }
        }
    }

    /// An event of a licence.
    pub fn license(&mut self, seen: &Seen<'_>, event: LicenseEvent, step: &mut Step, found: &mut Found) {
        if let LicenseEvent::LicenseIssued(issue) = event {
            return self.issue(seen, &issue, step, found);
        }
        let Some(license) = self.licenses.get_mut(&seen.id).filter(|license| license.is(ISSUED)) else {
            return found.add(seen.finding(Kind::StreamStart, "the licence was never issued"));
        };
        let batch = self.batches.get(&license.batch);
        let (duration, places) = batch.map_or((None, u32::MAX), |batch| (batch.duration_days, batch.max_machines));
        let refunded = batch.is_some_and(|batch| batch.refunded);
        let usable = !license.is(DISABLED) && !license.is(REVOKED);
        let illegal = |what: &str| seen.finding(Kind::State, what);
        match event {
            LicenseEvent::LicenseIssued(_) => {}
            LicenseEvent::LicenseActivated { activated_at, expires_at, machine } => {
                if license.is(ACTIVATED) || !usable || refunded {
                    found.add(illegal("it is activated already, disabled, revoked or refunded"));
                }
                let days = duration.map(|days| i64::from(days) + i64::from(license.extra_days));
                let end = days.map(|days| activated_at.0.saturating_add(days * DAY_US));
                if expires_at.map(|Time(at)| at) != end {
                    found.add(illegal("its end is not its duration after its activation"));
                }
                license.set(ACTIVATED, true);
                license.expires_at = end.unwrap_or(i64::MAX);
                bind(&mut self.machines, seen, license, &machine, places, found);
            }
            LicenseEvent::MachineBound { machine } => {
                if !license.is(ACTIVATED) || !usable || refunded {
                    found.add(illegal("a machine was bound to a licence that can't be used"));
                }
                bind(&mut self.machines, seen, license, &machine, places, found);
            }
            LicenseEvent::MachineDeactivated { fingerprint_hash } => {
                if !self.machines.remove(&binding(seen.id, license.unbinds, fingerprint_hash)) {
                    found.add(illegal("the machine was not bound"));
                }
                license.machines = license.machines.saturating_sub(1);
            }
            LicenseEvent::LicenseUnbound {} => {
                if !license.is(IN_USE) || !usable || license.unbinds >= MAX_UNBINDS {
                    found.add(illegal("bindings were cleared of a licence that is not in use"));
                }
                license.set(IN_USE, false);
                license.machines = 0;
                license.unbinds = license.unbinds.saturating_add(1);
            }
            LicenseEvent::LicenseDisabled {} => {
                if !usable {
                    found.add(illegal("it is disabled or revoked already"));
                }
                license.set(DISABLED, true);
            }
            LicenseEvent::LicenseEnabled {} => {
                if !license.is(DISABLED) || license.is(REVOKED) || refunded {
                    found.add(illegal("it is not disabled, or it was refunded"));
                }
                license.set(DISABLED, false);
            }
            LicenseEvent::LicenseRevoked { .. } => {
                if license.is(REVOKED) {
                    found.add(illegal("it is revoked already"));
                }
                license.set(REVOKED, true);
                self.revoked += 1;
            }
            LicenseEvent::LicenseRenewed { days, expires_at } => {
                let added = i64::from(days) * DAY_US;
                let fits = match expires_at {
                    // Days count from the end, or from the renewal if it is over.
                    Some(Time(end)) => license.is(ACTIVATED) && end >= license.expires_at.saturating_add(added),
                    None => !license.is(ACTIVATED),
                };
                if !fits || duration.is_none() || days == 0 || license.is(REVOKED) {
                    found.add(illegal("its new end does not follow from the old one"));
                }
                match expires_at {
                    Some(Time(end)) => license.expires_at = end,
                    None => license.extra_days = license.extra_days.saturating_add(days),
                }
                license.set(END_NOTED, false);
            }
            LicenseEvent::LicenseExpired { expires_at } => {
                let is_end = license.is(ACTIVATED) && expires_at.0 == license.expires_at;
                if !is_end || license.is(END_NOTED) || license.is(REVOKED) {
                    found.add(illegal("it is not its end, or was noted before"));
                }
                license.set(END_NOTED, true);
            }
        }
    }

    fn issue(&mut self, seen: &Seen<'_>, issue: &Issue, step: &mut Step, found: &mut Found) {
        let license = self.licenses.entry(seen.id).or_insert(License { tenant: seen.tenant, ..License::default() });
        if license.is(ISSUED) {
            return found.add(seen.finding(Kind::StreamStart, "the licence was issued before"));
        }
        license.set(ISSUED, true);
        license.batch = issue.batch_id;
        self.issued += 1;
        if !self.keys.insert(issue.key_hash.id()) {
            found.add(seen.finding(Kind::KeyReused, "its key was issued before"));
        }
        let spot = spot(seen, SpotKind::LicenseBatch);
        let spot = super::step::Spot { id: issue.batch_id, ..spot };
        let during = step.batches.entry(issue.batch_id).or_insert_with(|| BatchStep::new(spot));
        during.unissued += 1;
        let Some(batch) = self.batches.get_mut(&issue.batch_id).filter(|batch| batch.tenant == seen.tenant) else {
            return found.add(seen.finding(Kind::BatchCount, format!("there is no batch {}", issue.batch_id)));
        };
        batch.issued += 1;
        if batch.issued > batch.announced {
            let text = format!("batch {} has more licences than it announced", issue.batch_id);
            found.add(seen.finding(Kind::BatchCount, text));
        }
        let same = (issue.project_id, issue.plan_id, issue.agent_id) == (batch.project, batch.plan, batch.agent);
        if !same || issue.terms != batch.terms() {
            found.add(seen.finding(Kind::State, "it is not what its batch was asked with"));
        }
    }

    /// What a batch has, paid and holds fits together.
    pub fn end_step(&mut self, step: &mut Step, ledger: &Ledger, found: &mut Found, tenant: impl Fn(u32) -> Uuid) {
        let mut touched: Vec<_> = step.batches.iter().collect();
        touched.sort_unstable_by_key(|(_, during)| during.at.position);
        let mut findings = Vec::new();
        for (id, during) in touched {
            let mut add = |kind, text| findings.push(spot_finding(during.at, kind, text, &tenant));
            let Some(batch) = self.batches.get(id) else {
                add(Kind::HoldState, format!("quota is for batch {id}, which was never asked for"));
                continue;
            };
            if during.unissued != 0 {
                add(Kind::BatchCount, format!("batch {id} has {} licences more than announced", during.unissued));
            }
            if during.unpaid != 0 {
                add(Kind::BatchCount, format!("batch {id} was paid {} more than its chunks cost", during.unpaid));
            }
            if during.unearned.iter().any(|(_, sum)| *sum != 0) {
                add(Kind::Commission, format!("commissions of batch {id} are not those that were earned"));
            }
            let left = ledger.hold_left(*id);
            let expected = if batch.completed || batch.stopped { 0 } else { batch.price.saturating_sub(batch.paid) };
            if left != expected {
                let text = format!("batch {id} is {} and {left} is held, not {expected}", batch.status());
                add(Kind::HoldState, text);
            }
            if left > 0 && ledger.hold_agent(*id) != Some(batch.agent) {
                add(Kind::HoldState, format!("the hold of batch {id} is not its agent's"));
            }
            let is_its = |payment: &super::step::Payment| {
                (payment.agent, payment.project, payment.tenant) == (batch.agent, batch.project, batch.tenant)
            };
            if step.payments.values().any(|payment| payment.batch == *id && !is_its(payment)) {
                add(Kind::BatchCount, format!("batch {id} was paid by another, or to another project"));
            }
        }
        let refunds: Vec<_> =
            step.batches.iter().filter_map(|(id, during)| Some((*id, during.at, during.refund?))).collect();
        for (id, at, (journal, amount)) in refunds {
            let Some(batch) = self.batches.get(&id) else { continue };
            let mut given = 0;
            let mut problem = None;
            for part in step.returns.iter_mut().filter(|part| (part.journal, part.of) == (journal, Reversed::Batch(id)))
            {
                part.claimed = true;
                if part.given && part.agent == batch.agent {
                    given += part.amount;
                } else if part.given {
                    problem = Some(format!("{} is given to {} who did not pay", part.amount, part.agent));
                } else if part.amount > self.commissions.get(&(id, part.agent)).copied().unwrap_or(0) {
                    problem = Some(format!("{} is taken from {} who earned less", part.amount, part.agent));
                }
            }
            if given != amount {
                problem = Some(format!("{amount} is refunded and {given} was given back"));
            }
            if let Some(text) = problem {
                findings.push(spot_finding(at, Kind::Refund, text, &tenant));
            }
        }
        for part in step.returns.iter().filter(|part| !part.claimed) {
            let text = "no reversal or refund says that it goes back".to_owned();
            findings.push(spot_finding(part.at, Kind::Reversal, text, &tenant));
        }
        for finding in findings {
            found.add(finding);
        }
    }
}

/// A machine's place at a licence.
fn binding(license: Id, unbinds: u8, fingerprint: Fingerprint) -> Id {
    Fingerprint::of(&[&license.0, &[unbinds], &fingerprint.0]).id()
}

fn bind(
    machines: &mut HashSet<Id>,
    seen: &Seen<'_>,
    license: &mut License,
    machine: &Machine,
    places: u32,
    found: &mut Found,
) {
    if !machines.insert(binding(seen.id, license.unbinds, machine.fingerprint_hash)) {
        found.add(seen.finding(Kind::State, "the machine was bound already"));
    }
    if u32::from(license.machines) >= places {
        found.add(seen.finding(Kind::State, format!("it is bound to more than {places} machines")));
    }
    license.set(IN_USE, true);
    license.machines = license.machines.saturating_add(1);
}
