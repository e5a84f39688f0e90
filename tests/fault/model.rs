//! A second, simple ledger that predicts every answer.
//!
//! It is written separately: plain numbers in maps, no events, no aggregates, one command after the other in the order of
//! the log.

use std::collections::BTreeMap;

use super::record::{Decision, Intent};
use super::world::{
    ADMINS, AGENTS, BELOW, EARNED_PERCENT, EARNER, OPENING, PRICE, SECOND_PERSON_ABOVE, SUSPENDED_ABOVE,
};

/// What a command must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// It is done.
    Done,
    /// It was done before by another command: acknowledged, and nothing is written.
    Already,
    /// A rule forbids it; the code.
    Refused(&'static str),
}

/// What an agent has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Suspended,
    Requested,
    Approved,
    Refused,
    Paid,
    Cancelled,
    Expired,
}

#[derive(Clone, Copy, Debug)]
struct Withdrawal {
    agent: usize,
    amount: i64,
    stage: Stage,
}

/// A transfer that a rule suspended.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    /// Nobody, if the tenant gives.
    from: Option<usize>,
    to: usize,
    amount: i64,
    is_open: bool,
}

#[derive(Clone, Debug)]
struct Batch {
    agent: usize,
    left: i64,
    issued: i64,
    /// What the account above earned by it.
    earned: i64,
    order: Option<String>,
    is_refunded: bool,
    is_disabled: bool,
}

/// A payment at a provider.
#[derive(Clone, Debug)]
struct Order {
    number: String,
    batch: Option<String>,
    left: i64,
}

/// A top-up or transfer that was not suspended.
#[derive(Clone, Copy, Debug)]
struct Journal {
    giver: Option<usize>,
    receiver: usize,
    amount: i64,
    /// How much, and whether a second person had to agree.
    reversed: Option<(i64, bool)>,
}

/// What waits for a second person.
#[derive(Clone, Debug)]
struct Proposal {
    act: Intent,
    is_open: bool,
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Model {
    /// By agent.
    pub accounts: [Account; AGENTS],
    transfers: BTreeMap<String, Transfer>,
    withdrawals: BTreeMap<String, Withdrawal>,
    batches: BTreeMap<String, Batch>,
    orders: BTreeMap<String, Order>,
    journals: BTreeMap<String, Journal>,
    proposals: BTreeMap<String, Proposal>,
}

impl Default for Model {
    /// As the load finds it.
    fn default() -> Self {
        let account = Account { available: OPENING, held: 0 };
        let (transfers, withdrawals) = (BTreeMap::new(), BTreeMap::new());
        let (batches, orders) = (BTreeMap::new(), BTreeMap::new());
        let (journals, proposals) = (BTreeMap::new(), BTreeMap::new());
        Self { accounts: [account; AGENTS], transfers, withdrawals, batches, orders, journals, proposals }
    }
}

impl Model {
    /// What the command must be answered now.
    pub fn predict(&self, intent: &Intent) -> Prediction {
        match intent {
            Intent::Transfer { from, to, .. } if from == to => Prediction::Refused("validation-failed"),
            Intent::PaidTopUp { from, to, .. } if from == to => Prediction::Refused("forbidden"),
            // Whoever is not below is not seen.
            Intent::PaidTopUp { to, .. } if *to < BELOW => Prediction::Refused("not-found"),
            Intent::Transfer { from, amount, .. } | Intent::PaidTopUp { from, amount, .. } => {
                self.spend(*from, *amount)
            }
            Intent::TopUp { .. } => Prediction::Done,
            Intent::Batch { agent, count } => self.spend(*agent, count * PRICE),
            Intent::Withdrawal { agent, amount } => self.spend(*agent, *amount),
            // Agents decide on nothing; an agent admin does, but not on its own.
            Intent::OwnDecision { agent, .. } if *agent >= ADMINS => Prediction::Refused("forbidden"),
            Intent::OwnDecision { .. } => Prediction::Refused("own-request"),
            Intent::Decision { withdrawal, decision } => self.decision(withdrawal, *decision),
            Intent::ReleaseWithdrawal { withdrawal, .. } => match self.stage(withdrawal) {
                None => Prediction::Refused("not-found"),
                Some(Stage::Suspended) => Prediction::Done,
                Some(_) => Prediction::Refused("wrong-status"),
            },
            Intent::Cancel { withdrawal } => match self.stage(withdrawal) {
                None => Prediction::Refused("not-found"),
                Some(Stage::Suspended | Stage::Requested) => Prediction::Done,
                Some(Stage::Cancelled) => Prediction::Already,
                Some(_) => Prediction::Refused("wrong-status"),
            },
            Intent::ReleaseTransfer { transfer, .. } | Intent::RefuseTransfer { transfer } => {
                match self.transfers.get(transfer) {
                    None => Prediction::Refused("not-found"),
                    Some(Transfer { is_open: true, .. }) => Prediction::Done,
                    Some(_) => Prediction::Refused("transfer-not-suspended"),
                }
            }
            Intent::Order { number, batch, .. } => {
                if self.orders.values().any(|known| known.number == *number) {
                    return Prediction::Already;
                }
                match batch.as_ref().map(|batch| self.batches.get(batch)) {
                    Some(None) => Prediction::Refused("not-found"),
                    Some(Some(Batch { order: Some(_), .. })) => Prediction::Refused("batch-has-order"),
                    Some(Some(Batch { is_refunded: true, .. })) => Prediction::Refused("already-refunded"),
                    None | Some(Some(_)) => Prediction::Done,
                }
            }
            Intent::RefundOrder { order, money } => match self.orders.get(order) {
                None => Prediction::Refused("not-found"),
                Some(Order { left: 0, .. }) => Prediction::Refused("already-refunded"),
                Some(known) if money.is_some_and(|money| money > known.left) => {
                    Prediction::Refused("validation-failed")
                }
                Some(_) => Prediction::Done,
            },
            Intent::RefundBatch { batch } => match self.batches.get(batch) {
                None => Prediction::Refused("not-found"),
                Some(Batch { is_refunded: true, .. }) => Prediction::Refused("already-refunded"),
                Some(Batch { order: Some(_), .. }) => Prediction::Refused("batch-has-order"),
                Some(_) => Prediction::Done,
            },
            Intent::Reverse { journal, amount, .. } => match self.journals.get(journal) {
                None => Prediction::Refused("not-found"),
                // The same by the same person.
                Some(Journal { reversed: Some(before), amount: moved, .. })
                    if *before == (amount.unwrap_or(*moved), false) =>
                {
                    Prediction::Already
                }
                Some(Journal { reversed: Some(_), .. }) => Prediction::Refused("already-reversed"),
                Some(known) if amount.is_some_and(|amount| amount > known.amount) => {
                    Prediction::Refused("validation-failed")
                }
                // What waits is checked when it is done.
                Some(_) if self.waits(intent) => Prediction::Done,
                Some(known) => self.spend(known.receiver, amount.unwrap_or(known.amount)),
            },
            Intent::Confirm { proposal } => match self.proposals.get(proposal) {
                None => Prediction::Refused("not-found"),
                Some(Proposal { is_open: false, .. }) => Prediction::Refused("wrong-status"),
                Some(Proposal { act: Intent::Reverse { journal, amount, .. }, .. }) => {
                    match self.journals.get(journal) {
                        Some(known) if known.reversed.is_none() => {
                            self.spend(known.receiver, amount.unwrap_or(known.amount))
                        }
                        _ => Prediction::Refused("already-reversed"),
                    }
                }
                Some(Proposal { act, .. }) => self.predict(act),
            },
            Intent::Decline { proposal } => match self.proposals.get(proposal) {
                None => Prediction::Refused("not-found"),
                Some(Proposal { is_open: false, .. }) => Prediction::Refused("wrong-status"),
                Some(_) => Prediction::Done,
            },
        }
    }

    fn decision(&self, withdrawal: &str, decision: Decision) -> Prediction {
        let Some(stage) = self.stage(withdrawal) else { return Prediction::Refused("not-found") };
        match (decision, stage) {
            (Decision::Approve, Stage::Requested)
            | (Decision::Refuse, Stage::Requested | Stage::Suspended)
            | (Decision::MarkPaid, Stage::Approved) => Prediction::Done,
            (Decision::Approve, Stage::Approved)
            | (Decision::Refuse, Stage::Refused)
            | (Decision::MarkPaid, Stage::Paid) => Prediction::Already,
            _ => Prediction::Refused("wrong-status"),
        }
    }

    fn stage(&self, withdrawal: &str) -> Option<Stage> {
        self.withdrawals.get(withdrawal).map(|known| known.stage)
    }

    fn spend(&self, agent: usize, amount: i64) -> Prediction {
        if self.accounts[agent].available < amount {
            Prediction::Refused("insufficient-quota")
        } else {
            Prediction::Done
        }
    }

    /// Whether so much is taken back that one person may not do it alone.
    fn waits(&self, intent: &Intent) -> bool {
        let paid = |batch: &String| self.batches.get(batch).map_or(0, |batch| batch.issued * PRICE);
        let amount = match intent {
            Intent::Reverse { journal, amount, .. } => {
                amount.or(self.journals.get(journal).map(|journal| journal.amount)).unwrap_or_default()
            }
            Intent::RefundBatch { batch } => paid(batch),
            Intent::RefundOrder { order, money } => match self.orders.get(order) {
                Some(Order { batch: Some(batch), left, .. }) if money.is_none_or(|money| money == *left) => paid(batch),
                _ => 0,
            },
            _ => 0,
        };
        amount > SECOND_PERSON_ABOVE
    }

    /// Does what was predicted to be done; `id` is what the command was told.
    pub fn take(&mut self, intent: &Intent, id: &str) {
        if self.waits(intent) {
            let act = match intent {
                // What is left of an order is said when it is proposed.
                Intent::RefundOrder { order, money } => {
                    let left = self.orders.get(order).map(|order| order.left);
                    Intent::RefundOrder { order: order.clone(), money: money.or(left) }
                }
                other => other.clone(),
            };
            self.proposals.insert(id.to_owned(), Proposal { act, is_open: true });
        } else {
            self.carry_out(intent, id, false);
        }
    }

    fn carry_out(&mut self, intent: &Intent, id: &str, by_two: bool) {
        match intent {
            Intent::Transfer { from, to, amount } | Intent::PaidTopUp { from, to, amount } => {
                if *amount > SUSPENDED_ABOVE {
                    self.hold(*from, *amount);
                    let transfer = Transfer { from: Some(*from), to: *to, amount: *amount, is_open: true };
                    self.transfers.insert(id.to_owned(), transfer);
                } else {
                    self.accounts[*from].available -= amount;
                    self.give(id, Some(*from), *to, *amount);
                }
            }
            Intent::TopUp { to, amount } if *amount > SECOND_PERSON_ABOVE => {
                let transfer = Transfer { from: None, to: *to, amount: *amount, is_open: true };
                self.transfers.insert(id.to_owned(), transfer);
            }
            Intent::TopUp { to, amount } => self.give(id, None, *to, *amount),
            Intent::Batch { agent, count } => {
                self.hold(*agent, count * PRICE);
                let batch = Batch {
                    agent: *agent,
                    left: *count,
                    issued: 0,
                    earned: 0,
                    order: None,
                    is_refunded: false,
                    is_disabled: false,
                };
                self.batches.insert(id.to_owned(), batch);
            }
            Intent::Withdrawal { agent, amount } => {
                self.hold(*agent, *amount);
                let stage = if *amount > SUSPENDED_ABOVE { Stage::Suspended } else { Stage::Requested };
                self.withdrawals.insert(id.to_owned(), Withdrawal { agent: *agent, amount: *amount, stage });
            }
            Intent::OwnDecision { .. } => {}
            Intent::Decision { withdrawal, decision } => match decision {
                Decision::Approve => {
                    if let Some(known) = self.withdrawals.get_mut(withdrawal) {
                        known.stage = Stage::Approved;
                        self.accounts[known.agent].held -= known.amount;
                    }
                }
                Decision::Refuse => self.give_back(withdrawal, Stage::Refused),
                Decision::MarkPaid => {
                    if let Some(known) = self.withdrawals.get_mut(withdrawal) {
                        known.stage = Stage::Paid;
                    }
                }
            },
            Intent::Cancel { withdrawal } => self.give_back(withdrawal, Stage::Cancelled),
            Intent::ReleaseWithdrawal { withdrawal, amount } => {
                if let Some(known) = self.withdrawals.get_mut(withdrawal) {
                    let let_go = amount.unwrap_or(known.amount);
                    self.accounts[known.agent].held -= known.amount - let_go;
                    self.accounts[known.agent].available += known.amount - let_go;
                    (known.amount, known.stage) = (let_go, Stage::Requested);
                }
            }
            Intent::ReleaseTransfer { transfer, amount } => {
                let all = self.transfers.get(transfer).map(|known| known.amount).unwrap_or_default();
                self.end_transfer(transfer, amount.unwrap_or(all));
            }
            Intent::RefuseTransfer { transfer } => self.end_transfer(transfer, 0),
            Intent::Order { number, batch, money, .. } => {
                if let Some(known) = batch.as_ref().and_then(|batch| self.batches.get_mut(batch)) {
                    known.order = Some(id.to_owned());
                }
                let order = Order { number: number.clone(), batch: batch.clone(), left: *money };
                self.orders.insert(id.to_owned(), order);
            }
            Intent::RefundOrder { order, money } => {
                if let Some(known) = self.orders.get_mut(order) {
                    known.left -= money.unwrap_or(known.left);
                    if let Some(batch) = known.batch.clone().filter(|_| known.left == 0) {
                        self.refund_batch(&batch);
                    }
                }
            }
            Intent::RefundBatch { batch } => self.refund_batch(batch),
            Intent::Reverse { journal, amount, .. } => self.reverse(journal, *amount, by_two),
            Intent::Confirm { proposal } => {
                if let Some(known) = self.proposals.get_mut(proposal) {
                    known.is_open = false;
                    let act = known.act.clone();
                    self.carry_out(&act, id, true);
                }
            }
            Intent::Decline { proposal } => {
                if let Some(known) = self.proposals.get_mut(proposal) {
                    known.is_open = false;
                }
            }
        }
    }

    fn reverse(&mut self, journal: &str, amount: Option<i64>, by_two: bool) {
        if let Some(known) = self.journals.get_mut(journal) {
            let back = amount.unwrap_or(known.amount);
            known.reversed = Some((back, by_two));
            self.accounts[known.receiver].available -= back;
            if let Some(giver) = known.giver {
                self.accounts[giver].available += back;
            }
        }
    }

    /// Somebody has quota from a journal that can be taken back.
    fn give(&mut self, journal: &str, giver: Option<usize>, receiver: usize, amount: i64) {
        self.accounts[receiver].available += amount;
        self.journals.insert(journal.to_owned(), Journal { giver, receiver, amount, reversed: None });
    }

    /// What was paid for a batch returns, what is held for the rest of it too, and the account above gives back what it earned
    /// and still has.
    fn refund_batch(&mut self, batch: &str) {
        let Some(known) = self.batches.get_mut(batch) else { return };
        known.is_refunded = true;
        let open = std::mem::take(&mut known.left) * PRICE;
        let account = &mut self.accounts[known.agent];
        account.held -= open;
        account.available += open + known.issued * PRICE;
        let earner = &mut self.accounts[EARNER];
        earner.available -= known.earned.min(earner.available);
    }

    fn hold(&mut self, agent: usize, amount: i64) {
        self.accounts[agent].available -= amount;
        self.accounts[agent].held += amount;
    }

    /// Lets a part of a suspended transfer go; the rest returns.
    fn end_transfer(&mut self, transfer: &str, let_go: i64) {
        if let Some(known) = self.transfers.get_mut(transfer) {
            known.is_open = false;
            if let Some(from) = known.from {
                self.accounts[from].held -= known.amount;
                self.accounts[from].available += known.amount - let_go;
            }
            self.accounts[known.to].available += let_go;
        }
    }

    /// Ends a withdrawal; its amount returns.
    fn give_back(&mut self, withdrawal: &str, stage: Stage) {
        if let Some(known) = self.withdrawals.get_mut(withdrawal) {
            known.stage = stage;
            self.accounts[known.agent].held -= known.amount;
            self.accounts[known.agent].available += known.amount;
        }
    }

    /// Ends a suspended transfer or withdrawal whose time is over, as the clock's worker does; what is wrong with that.
    pub fn expire(&mut self, id: &str) -> Result<(), String> {
        if self.transfers.get(id).is_some_and(|known| known.is_open) {
            self.end_transfer(id, 0);
            Ok(())
        } else if self.stage(id) == Some(Stage::Suspended) {
            self.give_back(id, Stage::Expired);
            Ok(())
        } else {
            Err(format!("{id} expired and was not suspended"))
        }
    }

    /// Issues licences of a batch, as the process manager does; what is wrong with that.
    pub fn issue(&mut self, batch: &str, count: i64) -> Result<(), String> {
        let Some(known) = self.batches.get_mut(batch) else { return Err(format!("no batch {batch} was asked for")) };
        if count < 1 || known.left < count {
            return Err(format!("{count} licences issued of batch {batch}, of which {} are left", known.left));
        }
        // Of all that was paid for the batch, rounded down, so that it does not matter how it is cut.
        let earned = |issued: i64| if known.agent < BELOW { 0 } else { issued * PRICE * EARNED_PERCENT / 100 };
        let more = earned(known.issued + count) - earned(known.issued);
        known.left -= count;
        known.issued += count;
        known.earned += more;
        self.accounts[known.agent].held -= count * PRICE;
        self.accounts[EARNER].available += more;
        Ok(())
    }

    /// Disables the licences of a refunded batch, as another process manager does; what is wrong with that.
    pub fn disable(&mut self, batch: &str, count: i64) -> Result<(), String> {
        match self.batches.get_mut(batch) {
            Some(known) if known.is_refunded && !known.is_disabled && known.issued == count => {
                known.is_disabled = true;
                Ok(())
            }
            known => Err(format!("{count} licences disabled of {known:?}")),
        }
    }

    /// Licences of refunded batches that are not disabled.
    pub fn licenses_not_disabled(&self) -> i64 {
        let refunded = self.batches.values().filter(|batch| batch.is_refunded && !batch.is_disabled);
        refunded.map(|batch| batch.issued).sum()
    }

    /// Licences that were asked for and are not issued.
    pub fn licenses_open(&self) -> i64 {
        self.batches.values().map(|batch| batch.left).sum()
    }
}
