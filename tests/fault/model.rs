//! A second, simple ledger that predicts every answer.
//!
//! It is written separately: plain numbers in maps, no events, no aggregates, one command after the other in the order of
//! the log.

use std::collections::BTreeMap;

use super::record::{Decision, Intent};
use super::world::{ADMINS, AGENTS, BELOW, OPENING, PRICE};

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
    Requested,
    Approved,
    Refused,
    Paid,
}

#[derive(Clone, Copy, Debug)]
struct Withdrawal {
    agent: usize,
    amount: i64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    agent: usize,
    left: i64,
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Model {
    /// By agent.
    pub accounts: [Account; AGENTS],
    withdrawals: BTreeMap<String, Withdrawal>,
    batches: BTreeMap<String, Batch>,
    /// Quota that came from the tenant during the load.
    pub topped_up: i64,
    /// Quota that bought licences.
    pub sold: i64,
    /// Quota that left as money.
    pub paid_out: i64,
}

impl Default for Model {
    /// As the load finds it.
    fn default() -> Self {
        let account = Account { available: OPENING, held: 0 };
        let (withdrawals, batches) = (BTreeMap::new(), BTreeMap::new());
        Self { accounts: [account; AGENTS], withdrawals, batches, topped_up: 0, sold: 0, paid_out: 0 }
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
            Intent::Decision { withdrawal, decision } => {
                let Some(known) = self.withdrawals.get(withdrawal) else { return Prediction::Refused("not-found") };
                match (decision, known.stage) {
                    (Decision::Approve | Decision::Refuse, Stage::Requested)
                    | (Decision::MarkPaid, Stage::Approved) => Prediction::Done,
                    (Decision::Approve, Stage::Approved)
                    | (Decision::Refuse, Stage::Refused)
                    | (Decision::MarkPaid, Stage::Paid) => Prediction::Already,
                    _ => Prediction::Refused("wrong-status"),
                }
            }
        }
    }

    fn spend(&self, agent: usize, amount: i64) -> Prediction {
        if self.accounts[agent].available < amount {
            Prediction::Refused("insufficient-quota")
        } else {
            Prediction::Done
        }
    }

    /// Does what was predicted to be done; `id` is what the command was told.
    pub fn take(&mut self, intent: &Intent, id: &str) {
        match intent {
            Intent::Transfer { from, to, amount } | Intent::PaidTopUp { from, to, amount } => {
                self.accounts[*from].available -= amount;
                self.accounts[*to].available += amount;
            }
            Intent::TopUp { to, amount } => {
                self.accounts[*to].available += amount;
                self.topped_up += amount;
            }
            Intent::Batch { agent, count } => {
                self.hold(*agent, count * PRICE);
                self.batches.insert(id.to_owned(), Batch { agent: *agent, left: *count });
            }
            Intent::Withdrawal { agent, amount } => {
                self.hold(*agent, *amount);
                let withdrawal = Withdrawal { agent: *agent, amount: *amount, stage: Stage::Requested };
                self.withdrawals.insert(id.to_owned(), withdrawal);
            }
            Intent::OwnDecision { .. } => {}
            Intent::Decision { withdrawal, decision } => {
                let Some(known) = self.withdrawals.get_mut(withdrawal) else { return };
                let account = &mut self.accounts[known.agent];
                match decision {
                    Decision::Approve => {
                        known.stage = Stage::Approved;
                        account.held -= known.amount;
                        self.paid_out += known.amount;
                    }
                    Decision::Refuse => {
                        known.stage = Stage::Refused;
                        account.held -= known.amount;
                        account.available += known.amount;
                    }
                    Decision::MarkPaid => known.stage = Stage::Paid,
                }
            }
        }
    }

    fn hold(&mut self, agent: usize, amount: i64) {
        self.accounts[agent].available -= amount;
        self.accounts[agent].held += amount;
    }

    /// Issues licences of a batch, as the process manager does; what is wrong with that.
    pub fn issue(&mut self, batch: &str, count: i64) -> Result<(), String> {
        let Some(known) = self.batches.get_mut(batch) else { return Err(format!("no batch {batch} was asked for")) };
        if count < 1 || known.left < count {
            return Err(format!("{count} licences issued of batch {batch}, of which {} are left", known.left));
        }
        known.left -= count;
        self.accounts[known.agent].held -= count * PRICE;
        self.sold += count * PRICE;
        Ok(())
    }

    /// Licences that were asked for and are not issued.
    pub fn licenses_open(&self) -> i64 {
        self.batches.values().map(|batch| batch.left).sum()
    }
}
