//! A second, simple ledger that predicts every answer of the first under a random load.
//!
//! It is written separately: plain numbers in maps, no events, no aggregates. Commands are given one after the other, by
//! two processes in turn, so that every prediction is exact.

use std::collections::HashMap;

use quotary_commands::{CommandError, Commands, Refusal};
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::ledger::LedgerAccount;
use quotary_domain::license_batch::{BatchStatus, LicenseBatchError};
use quotary_domain::withdrawal::WithdrawalError;
use quotary_domain::{Actor, BatchId, WithdrawalId};

use crate::dice::Dice;
use crate::house::{House, by_itself, context, quota};

const AGENTS: usize = 5;
const PRICE: i64 = 3;

/// What a command is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Zero,
    /// What was available.
    Insufficient(i64),
    ToOneself,
    WrongStatus,
    BadCount,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Approved,
    Refused,
}

#[derive(Default)]
struct Model {
    available: [i64; AGENTS],
    held: [i64; AGENTS],
    withdrawals: HashMap<usize, (usize, i64, Stage)>,
    batches: HashMap<usize, (usize, i64, bool)>,
    topped_up: i64,
    sold: i64,
    paid_out: i64,
}

impl Model {
    fn take(&mut self, agent: usize, amount: i64) -> Answer {
        if amount == 0 {
            return Answer::Zero;
        }
        if self.available[agent] < amount {
            return Answer::Insufficient(self.available[agent]);
        }
        self.available[agent] -= amount;
        Answer::Done
    }

    fn top_up(&mut self, agent: usize, amount: i64) -> Answer {
        if amount == 0 {
            return Answer::Zero;
        }
        self.available[agent] += amount;
        self.topped_up += amount;
        Answer::Done
    }

    fn transfer(&mut self, from: usize, to: usize, amount: i64) -> Answer {
        if from == to {
            return Answer::ToOneself;
        }
        let answer = self.take(from, amount);
        if answer == Answer::Done {
            self.available[to] += amount;
        }
        answer
    }

    fn hold(&mut self, agent: usize, amount: i64) -> Answer {
        let answer = self.take(agent, amount);
        if answer == Answer::Done {
            self.held[agent] += amount;
        }
        answer
    }

    fn decide(&mut self, withdrawal: usize, wanted: Stage) -> Answer {
        let (agent, amount, stage) = self.withdrawals[&withdrawal];
        if stage == wanted {
            return Answer::Done;
        }
        if stage != Stage::Asked {
            return Answer::WrongStatus;
        }
        self.held[agent] -= amount;
        if wanted == Stage::Approved {
            self.paid_out += amount;
        } else {
            self.available[agent] += amount;
        }
        self.withdrawals.insert(withdrawal, (agent, amount, wanted));
        Answer::Done
    }

    fn issue(&mut self, batch: usize) -> Answer {
        let (agent, price, issued) = self.batches[&batch];
        if !issued {
            self.held[agent] -= price;
            self.sold += price;
            self.batches.insert(batch, (agent, price, true));
        }
        Answer::Done
    }
}

fn seen<T: std::fmt::Debug>(outcome: quotary_commands::Outcome<T>) -> Result<T, Answer> {
    match outcome {
        Ok(done) => Ok(done.value),
        Err(CommandError::Refused(refusal)) => Err(match refusal {
            Refusal::AgentQuota(AgentQuotaError::ZeroAmount) => Answer::Zero,
            Refusal::AgentQuota(AgentQuotaError::Insufficient { available, .. }) => {
                Answer::Insufficient(available.minor_units())
            }
            Refusal::AgentQuota(AgentQuotaError::ToOneself) => Answer::ToOneself,
            Refusal::Withdrawal(WithdrawalError::WrongStatus(_)) => Answer::WrongStatus,
            Refusal::LicenseBatch(LicenseBatchError::InvalidCount) => Answer::BadCount,
            other => panic!("{other:?}"),
        }),
        Err(other) => panic!("{other:?}"),
    }
}

async fn run(seed: u64, steps: usize) {
    let house = House::new().await;
    let processes: [Commands; 2] = [house.here.clone(), house.another("there").await];
    let shop = house.shop(PRICE, 1).await;
    let mut agents: Vec<Actor> = vec![];
    for _ in 0..AGENTS {
        agents.push(house.seller(shop, 0).await);
    }
    let (mut dice, mut model) = (Dice::new(seed), Model::default());
    let (mut withdrawals, mut batches): (Vec<WithdrawalId>, Vec<BatchId>) = (vec![], vec![]);
    for step in 0..steps {
        let by = &processes[dice.below(2)];
        let (one, two) = (dice.below(AGENTS), dice.below(AGENTS));
        let (agent, boss) = (context(agents[one]), context(house.boss));
        let amount = dice.pick(&[0, 1, 2, 5, 10, 50, 200]);
        let (expected, answered) = match dice.below(10) {
            0 | 1 => {
                let answered = seen(by.top_up(&boss, agents[one].account_id, quota(amount), None).await).map(|_| ());
                (model.top_up(one, amount), answered)
            }
            2..=4 => {
                let to = agents[two].account_id;
                let answered = seen(by.transfer_to(&agent, to, quota(amount), None).await).map(|_| ());
                (model.transfer(one, two, amount), answered)
            }
            5 => {
                let asked = seen(by.request_withdrawal(&agent, quota(amount), "{}".to_owned().into()).await);
                let expected = model.hold(one, amount);
                let answered = asked.map(|after| {
                    model.withdrawals.insert(withdrawals.len(), (one, amount, Stage::Asked));
                    withdrawals.push(after.withdrawal_id);
                });
                (expected, answered)
            }
            6 | 7 if !withdrawals.is_empty() => {
                let which = dice.below(withdrawals.len());
                if dice.below(2) == 0 {
                    let answered = seen(by.approve_withdrawal(&boss, withdrawals[which]).await).map(|_| ());
                    (model.decide(which, Stage::Approved), answered)
                } else {
                    let answered = seen(by.refuse_withdrawal(&boss, withdrawals[which], None).await).map(|_| ());
                    (model.decide(which, Stage::Refused), answered)
                }
            }
            8 => {
                let count = dice.pick(&[0_u32, 1, 3, 20]);
                let price = PRICE * i64::from(count);
                let asked = seen(by.request_batch(&agent, shop.project, shop.plan, count).await);
                let expected = if count == 0 { Answer::BadCount } else { model.hold(one, price) };
                let answered = asked.map(|after| {
                    model.batches.insert(batches.len(), (one, price, false));
                    batches.push(after.batch_id);
                });
                (expected, answered)
            }
            9 if !batches.is_empty() => {
                let which = dice.below(batches.len());
                let after = seen(by.issue_chunk(&by_itself(house.boss), batches[which]).await);
                let answered = after.map(|after| assert_eq!(after.batch.status(), BatchStatus::Completed));
                (model.issue(which), answered)
            }
            _ => continue,
        };
        let answered = answered.map_or_else(|refused| refused, |()| Answer::Done);
        assert_eq!(answered, expected, "seed {seed}, step {step}");
    }
    for (n, agent) in agents.iter().enumerate() {
        assert_eq!(house.balance(*agent).await, (model.available[n], model.held[n]), "seed {seed}, agent {n}");
    }
    let reading = house.leave().await;
    let total = |account| reading.balances.get(&account).copied().unwrap_or_default();
    assert_eq!(
        (total(LedgerAccount::Issuance), total(LedgerAccount::Sales(shop.project)), total(LedgerAccount::PaidOut)),
        (-model.topped_up, model.sold, model.paid_out),
        "seed {seed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simple_ledger_predicts_every_answer_of_a_random_load() {
    for seed in 1..=3 {
        run(seed, 400).await;
    }
}
