//! The ledger: what each event moves from one account to another, the balances, holds and journals.
//!
//! What always holds after an event that kept the rules: the accounts of every tenant sum to zero, none of an agent's is
//! below zero, and what an agent has reserved is the sum of its open holds.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::shapes::{Destination, MovementKind, Origin, Purpose, QuotaEvent, Return, Reversed};
use super::step::{BatchStep, Earning, Half, Payment, Reserved, Returned, Reversal, Spot, SpotKind, Step, TopUp};
use super::values::{Amount, Id, MAX_AMOUNT, occurred_at};
use super::{Found, Kind, Seen};

/// How far the clock that decides on an expiry may be ahead of the one that stamps events.
const CLOCK_TOLERANCE_US: i64 = 1_000_000;

/// Balances, holds and journals of all tenants.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub agents: HashMap<Id, Agent>,
    pub holds: HashMap<Id, Hold>,
    /// Ids of holds that have ended: none comes again.
    pub ended: HashSet<Id>,
    pub journals: HashMap<Id, Journal>,
    pub books: Vec<Book>,
    pub total: i128,
    pub expired: u64,
    pub commissions: i128,
    pub reversed: i128,
    pub refunded: i128,
    /// What the last event moved.
    #[serde(skip)]
    pub last: Option<Posting>,
}

/// An agent's quota.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Agent {
    pub tenant: u32,
    pub available: i128,
    pub held: i128,
    /// The sum of what is left of its open holds.
    pub open: i128,
    /// Of its last event.
    pub position: u64,
}

/// An open hold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Hold {
    pub agent: Id,
    pub amount: u64,
    pub left: u64,
    pub purpose: Purpose,
    pub held_at: i64,
    pub expires_at: Option<i64>,
    pub position: u64,
}

/// A journal that was written, as far as a reversal needs to know.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    pub step: u64,
    pub tenant: u32,
    pub amount: u64,
    pub giver: Option<Id>,
    pub receiver: Option<Id>,
    pub kind: JournalKind,
    pub position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum JournalKind {
    TopUp,
    Transfer,
    /// A transfer that was let go after a review.
    Settlement,
    /// A payment for licences, or money that left.
    Spending,
    /// Quota that came back from a hold.
    Return,
    Reversal,
}

/// The accounts of a tenant that are no agent's, and sums over those that are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    pub issuance: i128,
    pub paid_out: i128,
    pub transit: i128,
    pub sales: HashMap<Id, i128>,
    pub sold: i128,
    pub available: i128,
    pub held: i128,
    /// Accounts that ever had a posting: issuance, paid out, transit.
    pub used: [bool; 3],
}

impl Book {
    fn sum(&self) -> i128 {
        self.issuance + self.paid_out + self.transit + self.sold + self.available + self.held
    }
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Available,
    Held,
    Issuance,
    Sales(Id),
    Transit,
    PaidOut,
}

/// What one event moved, seen from its agent: the two postings in the form in which statements show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Where it stands.
    pub position: u64,
    /// Whose tenant.
    pub tenant_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
    /// The journal.
    pub journal_id: Uuid,
    /// What kind of movement: `top_up`, `transfer`, `hold` …
    pub kind: &'static str,
    /// What was added to the agent's available quota.
    pub available: i64,
    /// What was added to the agent's held quota.
    pub held: i64,
    /// The other account, if it is not the agent's too.
    pub counter_account: Option<CounterAccount>,
    /// What the movement is about: kind and id.
    pub source: (&'static str, Uuid),
    /// The agent's available quota after it.
    pub available_after: i128,
    /// The agent's held quota after it.
    pub held_after: i128,
}

/// An account that is no agent's, as read models name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterAccount {
    /// Where new quota comes from.
    Issuance,
    /// Licences sold of a project.
    Sales(Uuid),
    /// Between the halves of a movement.
    Transit,
    /// Quota that left as money.
    PaidOut,
}

impl std::fmt::Display for CounterAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Issuance => f.write_str("issuance"),
            Self::Sales(project) => write!(f, "sales:{project}"),
            Self::Transit => f.write_str("transit"),
            Self::PaidOut => f.write_str("paid_out"),
        }
    }
}

/// What an event moves: from, to, how much; and how statements call it.
struct Effect {
    from: Account,
    to: Account,
    amount: Amount,
    journal: Id,
    kind: &'static str,
    source: (&'static str, Id),
}

fn destination(to: Destination) -> (Account, &'static str, (&'static str, Id)) {
    match to {
        Destination::Sales { project_id, batch_id } => (Account::Sales(project_id), "issue", ("batch", batch_id)),
        Destination::PaidOut { withdrawal_id } => (Account::PaidOut, "withdrawal", ("withdrawal", withdrawal_id)),
        Destination::Agent { account_id, kind } => (Account::Transit, movement(kind), ("agent", account_id)),
    }
}

fn movement(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Transfer => "transfer",
        MovementKind::TopUp => "top_up",
    }
}

fn returned(back: &Return) -> (Account, &'static str, (&'static str, Id)) {
    let account = match back.origin {
        Origin::Issuance => Account::Issuance,
        Origin::Agent { .. } => Account::Transit,
        Origin::Sales { project_id, .. } => Account::Sales(project_id),
    };
    match back.reverses {
        Reversed::Journal(journal) => (account, "reversal", ("journal", journal)),
        Reversed::Batch(batch) => (account, "refund", ("batch", batch)),
    }
}

fn effect(event: &QuotaEvent) -> Effect {
    use Account::{Available, Held, Issuance, Sales, Transit};
    match event {
        QuotaEvent::QuotaToppedUp { journal_id, amount, .. } => Effect {
            from: Issuance,
            to: Available,
            amount: *amount,
            journal: *journal_id,
            kind: "top_up",
            source: ("top_up", *journal_id),
        },
        QuotaEvent::QuotaSent { journal_id, amount, kind, to, .. } => Effect {
            from: Available,
            to: Transit,
            amount: *amount,
            journal: *journal_id,
            kind: movement(*kind),
            source: ("agent", *to),
        },
        QuotaEvent::QuotaReceived { journal_id, amount, kind, from, .. } => Effect {
            from: Transit,
            to: Available,
            amount: *amount,
            journal: *journal_id,
            kind: movement(*kind),
            source: ("agent", *from),
        },
        QuotaEvent::QuotaSpent { journal_id, amount, to } => {
            let (account, kind, source) = destination(*to);
            Effect { from: Available, to: account, amount: *amount, journal: *journal_id, kind, source }
        }
        QuotaEvent::QuotaHeld { hold_id, amount, purpose, .. } => {
            let source = match purpose {
                Purpose::Batch(batch) => ("batch", *batch),
                Purpose::Withdrawal(withdrawal) => ("withdrawal", *withdrawal),
                Purpose::Transfer(transfer) => ("transfer", *transfer),
            };
            Effect { from: Available, to: Held, amount: *amount, journal: *hold_id, kind: "hold", source }
        }
        QuotaEvent::HoldSettled { journal_id, amount, to, .. } => {
            let (account, kind, source) = destination(*to);
            Effect { from: Held, to: account, amount: *amount, journal: *journal_id, kind, source }
        }
        QuotaEvent::HoldReleased { hold_id, journal_id, amount } => Effect {
            from: Held,
            to: Available,
            amount: *amount,
            journal: *journal_id,
            kind: "release",
            source: ("hold", *hold_id),
        },
        QuotaEvent::HoldExpired { hold_id, journal_id, amount } => Effect {
            from: Held,
            to: Available,
            amount: *amount,
            journal: *journal_id,
            kind: "expiry",
            source: ("hold", *hold_id),
        },
        QuotaEvent::CommissionEarned(earned) => Effect {
            from: Sales(earned.project_id),
            to: Available,
            amount: earned.amount,
            journal: earned.journal_id,
            kind: "commission",
            source: ("batch", earned.batch_id),
        },
        QuotaEvent::QuotaTakenBack(back) => {
            let (account, kind, source) = returned(back);
            Effect { from: Available, to: account, amount: back.amount, journal: back.journal_id, kind, source }
        }
        QuotaEvent::QuotaGivenBack(back) => {
            let (account, kind, source) = returned(back);
            Effect { from: account, to: Available, amount: back.amount, journal: back.journal_id, kind, source }
        }
    }
}

impl Ledger {
    /// What is left of a hold; nothing if it is not open.
    pub fn hold_left(&self, hold: Id) -> u64 {
        self.holds.get(&hold).map_or(0, |hold| hold.left)
    }

    /// Whose an open hold is.
    pub fn hold_agent(&self, hold: Id) -> Option<Id> {
        self.holds.get(&hold).map(|hold| hold.agent)
    }

    /// By how much the ledger does not sum to zero.
    pub fn imbalance(&self, tenant: u32) -> Option<String> {
        let sum = self.books.get(tenant as usize).map_or(0, Book::sum);
        if sum != 0 {
            return Some(format!("the tenant's ledger sums to {sum}, not to zero"));
        }
        (self.total != 0).then(|| format!("the ledger sums to {}, not to zero", self.total))
    }

    fn book(&mut self, tenant: u32) -> &mut Book {
        let index = tenant as usize;
        if self.books.len() <= index {
            self.books.resize_with(index + 1, Book::default);
        }
        &mut self.books[index]
    }

    /// Adds to one account; the only place where balances change.
    fn post(&mut self, seen: &Seen<'_>, account: Account, amount: i128) {
        self.total += amount;
        match account {
            Account::Available => self.agents.entry(seen.id).or_default().available += amount,
            Account::Held => self.agents.entry(seen.id).or_default().held += amount,
            _ => {}
        }
        let book = self.book(seen.tenant);
        match account {
            Account::Available => book.available += amount,
            Account::Held => book.held += amount,
            Account::Issuance => {
                book.issuance += amount;
                book.used[0] = true;
            }
            Account::PaidOut => {
                book.paid_out += amount;
                book.used[1] = true;
            }
            Account::Transit => {
                book.transit += amount;
                book.used[2] = true;
            }
            Account::Sales(project) => {
                book.sold += amount;
                *book.sales.entry(project).or_default() += amount;
            }
        }
    }

    /// Applies an event and checks what can be said of it alone.
    pub fn apply(&mut self, seen: &Seen<'_>, event: &QuotaEvent, step: &mut Step, found: &mut Found) {
        let effect = effect(event);
        let amount = effect.amount.signed();
        if amount == 0 {
            found.add(seen.finding(Kind::Amount, "it moves nothing"));
        }
        let before = self.agents.get(&seen.id).copied().unwrap_or_default();
        self.post(seen, effect.from, -amount);
        self.post(seen, effect.to, amount);
        self.apply_hold(seen, event, step, found);
        self.apply_journal(seen, event, step, found);

        let agent = self.agents.entry(seen.id).or_default();
        agent.tenant = seen.tenant;
        agent.position = seen.position;
        let agent = *agent;
        if agent.available < 0 || agent.held < 0 {
            let text = format!("the agent has {} available and {} held", agent.available, agent.held);
            found.add(seen.finding(Kind::Negative, text));
        }
        if agent.available + agent.held > i128::from(MAX_AMOUNT) {
            found.add(seen.finding(Kind::Amount, "the agent has more than an amount can be"));
        }
        if agent.held != agent.open {
            let text = format!("{} is held and the open holds are {}", agent.held, agent.open);
            found.add(seen.finding(Kind::HoldSum, text));
        }
        let counter = |account| match account {
            Account::Available | Account::Held => None,
            Account::Issuance => Some(CounterAccount::Issuance),
            Account::Sales(project) => Some(CounterAccount::Sales(project.into())),
            Account::Transit => Some(CounterAccount::Transit),
            Account::PaidOut => Some(CounterAccount::PaidOut),
        };
        self.last = Some(Posting {
            position: seen.position,
            tenant_id: seen.tenant_id,
            agent_id: seen.id.into(),
            journal_id: effect.journal.into(),
            kind: effect.kind,
            available: i64::try_from(agent.available - before.available).unwrap_or(i64::MAX),
            held: i64::try_from(agent.held - before.held).unwrap_or(i64::MAX),
            counter_account: counter(effect.from).or(counter(effect.to)),
            source: (effect.source.0, effect.source.1.into()),
            available_after: agent.available,
            held_after: agent.held,
        });
    }

    fn apply_hold(&mut self, seen: &Seen<'_>, event: &QuotaEvent, step: &mut Step, found: &mut Found) {
        match event {
            QuotaEvent::QuotaHeld { hold_id, amount, purpose, expires_at, .. } => {
                let (Purpose::Batch(subject) | Purpose::Withdrawal(subject) | Purpose::Transfer(subject)) = *purpose;
                if subject != *hold_id {
                    found.add(seen.finding(Kind::HoldState, format!("hold {hold_id} is not named as what it is for")));
                }
                let again = self.ended.contains(hold_id);
                touch(seen, step, *purpose, |reserved| reserved.held_again |= again);
                if self.holds.contains_key(hold_id) || (again && !matches!(purpose, Purpose::Withdrawal(_))) {
                    found.add(seen.finding(Kind::HoldReused, format!("hold {hold_id} was there before")));
                }
                let hold = Hold {
                    agent: seen.id,
                    amount: amount.0,
                    left: amount.0,
                    purpose: *purpose,
                    held_at: occurred_at(seen.metadata, seen.at),
                    expires_at: expires_at.map(|time| time.0),
                    position: seen.position,
                };
                if let Some(lost) = self.holds.insert(*hold_id, hold) {
                    self.agents.entry(lost.agent).or_default().open -= i128::from(lost.left);
                }
                self.agents.entry(seen.id).or_default().open += amount.signed();
            }
            QuotaEvent::HoldSettled { hold_id, amount, to, .. } => {
                let Some(hold) = self.take(seen, *hold_id, *amount, found) else { return };
                let receiver = match to {
                    Destination::Agent { account_id, .. } => Some(*account_id),
                    _ => None,
                };
                let fits = match (hold.purpose, to) {
                    (Purpose::Batch(id), Destination::Sales { batch_id, .. }) => id == *batch_id,
                    (Purpose::Withdrawal(id), Destination::PaidOut { withdrawal_id }) => id == *withdrawal_id,
                    (Purpose::Transfer(_), Destination::Agent { .. }) => true,
                    _ => false,
                };
                if !fits {
                    found.add(seen.finding(Kind::HoldState, format!("hold {hold_id} was made for something else")));
                }
                touch(seen, step, hold.purpose, |reserved| {
                    reserved.settled += amount.0;
                    reserved.to = receiver;
                });
            }
            QuotaEvent::HoldReleased { hold_id, amount, .. } => {
                let Some(hold) = self.give_back(seen, *hold_id, *amount, found) else { return };
                touch(seen, step, hold.purpose, |_| {});
            }
            QuotaEvent::HoldExpired { hold_id, amount, .. } => {
                self.expired += 1;
                let Some(hold) = self.give_back(seen, *hold_id, *amount, found) else { return };
                if hold.expires_at.is_none_or(|end| seen.at.saturating_add(CLOCK_TOLERANCE_US) < end) {
                    found.add(seen.finding(Kind::ExpiredEarly, format!("hold {hold_id} had not come to its end")));
                }
                touch(seen, step, hold.purpose, |_| {});
            }
            _ => {}
        }
    }

    /// Takes from a hold; answers it as it was, unless it is not there.
    fn take(&mut self, seen: &Seen<'_>, id: Id, amount: Amount, found: &mut Found) -> Option<Hold> {
        let Some(hold) = self.holds.get_mut(&id).filter(|hold| hold.agent == seen.id) else {
            found.add(seen.finding(Kind::HoldUnknown, format!("hold {id} is not open")));
            return None;
        };
        let before = *hold;
        if hold.left < amount.0 {
            let text = format!("hold {id} has {} left and {amount} was taken", hold.left);
            found.add(seen.finding(Kind::HoldAmount, text));
        }
        let taken = hold.left.min(amount.0);
        hold.left -= taken;
        if hold.left == 0 {
            self.holds.remove(&id);
            self.ended.insert(id);
        }
        self.agents.entry(seen.id).or_default().open -= i128::from(taken);
        Some(before)
    }

    /// Gives back what is left of a hold: all of it.
    fn give_back(&mut self, seen: &Seen<'_>, id: Id, amount: Amount, found: &mut Found) -> Option<Hold> {
        let hold = self.take(seen, id, amount, found)?;
        if amount.0 < hold.left {
            let text = format!("hold {id} had {} left and {amount} was given back", hold.left);
            found.add(seen.finding(Kind::HoldAmount, text));
        }
        Some(hold)
    }

    fn apply_journal(&mut self, seen: &Seen<'_>, event: &QuotaEvent, step: &mut Step, found: &mut Found) {
        let at = spot(seen, SpotKind::AgentQuota);
        match event {
            QuotaEvent::QuotaToppedUp { journal_id, amount, .. } => {
                step.top_ups.push(TopUp { journal: *journal_id, agent: seen.id, amount: amount.0 });
                self.note(seen, step, *journal_id, JournalKind::TopUp, amount.0, None, Some(seen.id), found);
            }
            QuotaEvent::QuotaSent { journal_id, kind, to, amount, .. } => {
                let half = Half { at, giver: seen.id, receiver: *to, amount: amount.0, kind: Some(*kind) };
                self.give(seen, step, *journal_id, half, false, found);
            }
            QuotaEvent::QuotaReceived { journal_id, kind, from, amount, .. } => {
                let half = Half { at, giver: *from, receiver: seen.id, amount: amount.0, kind: Some(*kind) };
                receive(seen, step, *journal_id, &half, found);
            }
            QuotaEvent::QuotaSpent { journal_id, amount, to }
            | QuotaEvent::HoldSettled { journal_id, amount, to, .. } => match *to {
                Destination::Agent { account_id, kind } => {
                    if matches!(event, QuotaEvent::QuotaSpent { .. }) {
                        found.add(seen.finding(Kind::Half, "only a hold goes to another agent by itself"));
                    }
                    let half = Half { at, giver: seen.id, receiver: account_id, amount: amount.0, kind: Some(kind) };
                    self.give(seen, step, *journal_id, half, true, found);
                }
                Destination::Sales { project_id, batch_id } => {
                    let (kind, giver) = (JournalKind::Spending, Some(seen.id));
                    self.note(seen, step, *journal_id, kind, amount.0, giver, None, found);
                    let payment = Payment {
                        tenant: seen.tenant,
                        batch: batch_id,
                        project: project_id,
                        agent: seen.id,
                        amount: amount.0,
                        earned: 0,
                    };
                    step.payments.insert(*journal_id, payment);
                    let batch = step.batches.entry(batch_id).or_insert_with(|| BatchStep::new(at));
                    batch.unpaid += amount.signed();
                }
                Destination::PaidOut { withdrawal_id } => {
                    let (kind, giver) = (JournalKind::Spending, Some(seen.id));
                    self.note(seen, step, *journal_id, kind, amount.0, giver, None, found);
                    if matches!(event, QuotaEvent::QuotaSpent { .. }) {
                        let text = format!("withdrawal {withdrawal_id} was paid from no hold");
                        found.add(seen.finding(Kind::HoldState, text));
                    }
                }
            },
            QuotaEvent::QuotaHeld { .. } => {}
            QuotaEvent::HoldReleased { journal_id, amount, .. }
            | QuotaEvent::HoldExpired { journal_id, amount, .. } => {
                let kind = JournalKind::Return;
                self.note(seen, step, *journal_id, kind, amount.0, None, Some(seen.id), found);
            }
            QuotaEvent::CommissionEarned(earned) => {
                self.commissions += earned.amount.signed();
                step.earnings.push(Earning {
                    at,
                    journal: earned.journal_id,
                    batch: earned.batch_id,
                    project: earned.project_id,
                    seller: earned.seller,
                    agent: seen.id,
                    amount: earned.amount.0,
                    level: earned.level,
                });
                let batch = step.batches.entry(earned.batch_id).or_insert_with(|| BatchStep::new(at));
                batch.earn(seen.id, earned.amount.signed());
            }
            QuotaEvent::QuotaTakenBack(back) => self.note_return(seen, back, false, step, found),
            QuotaEvent::QuotaGivenBack(back) => self.note_return(seen, back, true, step, found),
        }
    }

    fn note_return(&mut self, seen: &Seen<'_>, back: &Return, given: bool, step: &mut Step, found: &mut Found) {
        let at = spot(seen, SpotKind::AgentQuota);
        if let Origin::Agent { account_id: other } = back.origin {
            let (from, to) = if given { (other, seen.id) } else { (seen.id, other) };
            let half = Half { at, giver: from, receiver: to, amount: back.amount.0, kind: None };
            if given {
                receive(seen, step, back.journal_id, &half, found);
            } else {
                step.halves.insert((seen.tenant, back.journal_id), half);
            }
        }
        match (back.reverses, given, back.origin) {
            (Reversed::Journal(_), false, _) => self.reversed += back.amount.signed(),
            (Reversed::Batch(_), true, _) => self.refunded += back.amount.signed(),
            _ => {}
        }
        let fits = match (back.reverses, back.origin) {
            (Reversed::Batch(batch), Origin::Sales { batch_id, .. }) => batch == batch_id,
            (Reversed::Batch(_), _) => false,
            (Reversed::Journal(_), origin) => !matches!(origin, Origin::Sales { .. }),
        };
        if !fits {
            found.add(seen.finding(Kind::Reversal, "it comes from an account that the original did not move"));
        }
        let (journal, of, agent, amount) = (back.journal_id, back.reverses, seen.id, back.amount.0);
        step.returns.push(Returned { at, journal, of, agent, amount, given, claimed: false });
    }

    /// The first half of a movement between agents.
    fn give(&mut self, seen: &Seen<'_>, step: &mut Step, journal: Id, half: Half, reviewed: bool, found: &mut Found) {
        if half.giver == half.receiver {
            found.add(seen.finding(Kind::Half, "giver and receiver are one"));
        }
        let kind = match half.kind {
            _ if reviewed => JournalKind::Settlement,
            Some(MovementKind::TopUp) => JournalKind::TopUp,
            _ => JournalKind::Transfer,
        };
        self.note(seen, step, journal, kind, half.amount, Some(half.giver), Some(half.receiver), found);
        step.halves.insert((seen.tenant, journal), half);
    }

    /// Remembers a journal, and finds one that was written in an earlier step or twice in this one.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the journal")]
    fn note(
        &mut self,
        seen: &Seen<'_>,
        step: &Step,
        id: Id,
        kind: JournalKind,
        amount: u64,
        giver: Option<Id>,
        receiver: Option<Id>,
        found: &mut Found,
    ) {
        let journal =
            Journal { step: step.number, tenant: seen.tenant, amount, giver, receiver, kind, position: seen.position };
        let Some(known) = self.journals.get_mut(&id) else {
            self.journals.insert(id, journal);
            return;
        };
        let in_step = known.step == step.number;
        match (known.kind, kind) {
            // What is left of a hold returns in the journal that takes the rest of it.
            (_, JournalKind::Return) if in_step => {}
            (JournalKind::Return, _) if in_step => *known = journal,
            _ => {
                let text = format!("journal {id} stands at position {} already", known.position);
                found.add(seen.finding(Kind::JournalReused, text));
            }
        }
    }

    /// What has to fit together at the end of a step: halves, commissions, reversals.
    pub fn end_step(&mut self, step: &mut Step, found: &mut Found, tenant: impl Fn(u32) -> Uuid) {
        let at = |spot: Spot, kind: Kind, text: String| spot_finding(spot, kind, text, &tenant);
        let mut missing: Vec<_> = step.halves.iter().collect();
        missing.sort_by_key(|(_, half)| half.at.position);
        for ((_, journal), half) in missing {
            found.add(at(half.at, Kind::Half, format!("journal {journal} has only one half")));
        }
        for earning in &step.earnings {
            let payment = step.payments.get_mut(&earning.journal).filter(|payment| {
                payment.batch == earning.batch
                    && payment.project == earning.project
                    && payment.agent == earning.seller
                    && payment.tenant == earning.at.tenant
            });
            let text = match payment {
                None => format!("journal {} is no payment by {} for that batch", earning.journal, earning.seller),
                Some(payment) => {
                    payment.earned += earning.amount;
                    if payment.earned > payment.amount {
                        format!("{} was earned by a payment of {}", payment.earned, payment.amount)
                    } else if earning.agent == earning.seller {
                        "the seller earns by the own sale".to_owned()
                    } else {
                        continue;
                    }
                }
            };
            found.add(at(earning.at, Kind::Commission, text));
        }
        for reversal in std::mem::take(&mut step.reversals) {
            if let Some(text) = self.check_reversal(&reversal, step) {
                found.add(at(reversal.at, Kind::Reversal, text));
            }
        }
    }

    fn check_reversal(&mut self, reversal: &Reversal, step: &mut Step) -> Option<String> {
        let Some(original) = self.journals.get(&reversal.reverses).copied() else {
            return Some(format!("there is no journal {}", reversal.reverses));
        };
        if self.journals.contains_key(&reversal.journal) {
            return Some(format!("journal {} was there before", reversal.journal));
        }
        let journal = Journal {
            step: step.number,
            tenant: reversal.at.tenant,
            amount: reversal.amount,
            giver: original.receiver,
            receiver: original.giver,
            kind: JournalKind::Reversal,
            position: reversal.at.position,
        };
        self.journals.insert(reversal.journal, journal);
        if original.tenant != reversal.at.tenant {
            return Some("the journal is another tenant's".to_owned());
        }
        if !matches!(original.kind, JournalKind::TopUp | JournalKind::Transfer | JournalKind::Settlement) {
            return Some("the journal is none that can be reversed".to_owned());
        }
        if reversal.amount == 0 || reversal.amount > original.amount {
            return Some(format!("{} of {} is taken back", reversal.amount, original.amount));
        }
        let mut taken = 0;
        let mut given = 0;
        for part in &mut step.returns {
            if part.journal != reversal.journal || part.of != Reversed::Journal(reversal.reverses) {
                continue;
            }
            let expected = if part.given { original.giver } else { original.receiver };
            if expected != Some(part.agent) {
                return Some(format!("agent {} had no such part in the original", part.agent));
            }
            part.claimed = true;
            *(if part.given { &mut given } else { &mut taken }) += part.amount;
        }
        let to_give = if original.giver.is_some() { reversal.amount } else { 0 };
        (taken != reversal.amount || given != to_give)
            .then(|| format!("{} is reversed, {taken} was taken and {given} given back", reversal.amount))
    }
}

/// The second half of a movement between agents: exactly the first one's other side.
fn receive(seen: &Seen<'_>, step: &mut Step, journal: Id, half: &Half, found: &mut Found) {
    let Some(first) = step.halves.remove(&(seen.tenant, journal)) else {
        let text = format!("journal {journal} has no first half in this step");
        return found.add(seen.finding(Kind::Half, text));
    };
    if first.amount != half.amount {
        let text = format!("{} left in journal {journal} and {} came", first.amount, half.amount);
        found.add(seen.finding(Kind::Half, text));
    }
    if (first.giver, first.receiver, first.kind) != (half.giver, half.receiver, half.kind) {
        found.add(seen.finding(Kind::Half, format!("the halves of journal {journal} name different sides")));
    }
}

/// Notes that something happened to what a hold is for.
fn touch(seen: &Seen<'_>, step: &mut Step, purpose: Purpose, note: impl FnOnce(&mut Reserved)) {
    let at = spot(seen, SpotKind::AgentQuota);
    match purpose {
        Purpose::Batch(id) => {
            step.batches.entry(id).or_insert_with(|| BatchStep::new(at));
        }
        Purpose::Withdrawal(id) => note(step.withdrawals.entry(id).or_insert_with(|| Reserved::new(at))),
        Purpose::Transfer(id) => note(step.transfers.entry(id).or_insert_with(|| Reserved::new(at))),
    }
}

/// The place of the event that is being checked.
pub(super) fn spot(seen: &Seen<'_>, kind: SpotKind) -> Spot {
    Spot { position: seen.position, tenant: seen.tenant, kind, id: seen.id }
}

/// A finding about an earlier event of the step.
pub(super) fn spot_finding(spot: Spot, kind: Kind, text: String, tenant: impl Fn(u32) -> Uuid) -> super::Finding {
    super::Finding {
        position: spot.position,
        kind,
        tenant_id: tenant(spot.tenant),
        stream: format!("{}/{}", spot.kind.name(), spot.id),
        text,
    }
}
