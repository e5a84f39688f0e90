//! Batches: chunks are dense and paid for, and licences are those that were announced.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{Ledger, spot, spot_finding};
use super::licenses::{Counted, KnownTerms, License, Machines};
use super::shapes::{BatchEvent, Earned, Reversed};
use super::step::{BatchStep, SpotKind, Step};
use super::values::Id;
use super::{Found, Kind, Seen};

/// Batches of at most this many licences.
const MAX_COUNT: u32 = 1_000_000;

/// All batches and licences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Licensing {
    pub batches: HashMap<Id, Batch>,
    pub licenses: HashMap<Id, License>,
    pub keys: HashSet<Id>,
    pub terms: KnownTerms,
    pub machines: Machines,
    pub counted: Counted,
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
    pub plan: Id,
    pub plan_version: u32,
    pub terms: u32,
    pub asked: u32,
    pub price: u64,
    pub announced: u32,
    pub issued: u32,
    chunks: u32,
    pub paid: u64,
    pub completed: bool,
    pub stopped: bool,
    pub refunded: bool,
    order: Option<Id>,
    disabled: u32,
    disabled_chunks: u32,
    pub position: u64,
    pub sequence: u64,
}

impl Batch {
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

impl Licensing {
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
                plan_version: request.plan_version,
                terms: self.terms.number(&request.terms),
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
