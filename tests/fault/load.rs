//! The load: each client does one thing after the other until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::client::{Client, Command, Sendable};
use super::record::{Acknowledgement, Decision, Done, Intent, Manner};
use super::stage::Stage;
use super::world::{REVIEWS, SECOND_PERSON_ABOVE, SUSPENDED_ABOVE, World};
use crate::support::dice::Dice;

/// Clients at a time.
const CLIENTS: u64 = 18;
/// How long a client thinks between two things, at most.
const THINK_MS: u64 = 60;

/// Starts all clients; what they did comes when they have ended.
pub fn start(stage: &Arc<Stage>, world: &Arc<World>, dice: &Dice) -> JoinSet<Done> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (stage, world, dice) = (stage.clone(), world.clone(), dice.fork(number));
        let mut client = Client { stage, world, dice, done: Done::default(), late: None, batches: Vec::new() };
        clients.spawn(async move {
            while !client.stage.is_over() {
                client.step().await;
                let thought = client.dice.within(0, THINK_MS);
                tokio::time::sleep(Duration::from_millis(thought)).await;
            }
            client.done
        });
    }
    clients
}

impl Client {
    /// One thing that an agent, or an admin, does.
    async fn step(&mut self) {
        if self.dice.chance(25) && self.faulty_step().await {
            return;
        }
        let (agent, other) = (self.an_agent(), self.an_agent());
        let amount = self.amount();
        let told = match self.dice.next() % 14 {
            0..5 => {
                let told = self.alone(self.transfer(agent, other, amount)).await;
                match &told {
                    Some(told) if amount > SUSPENDED_ABOVE => self.review(&told.id, amount).await,
                    Some(told) => self.perhaps_reverse(told, amount).await,
                    None => {}
                }
                told
            }
            5 => {
                let told = self.alone(self.top_up(other, amount)).await;
                match &told {
                    Some(told) if amount > SECOND_PERSON_ABOVE => self.review(&told.id, amount).await,
                    Some(told) => self.perhaps_reverse(told, amount).await,
                    None => {}
                }
                told
            }
            6 => {
                // An agent admin pays for those below it; to all others this is refused.
                let to = if self.dice.chance(70) { *self.dice.pick(&[6, 7]) } else { other };
                let told = self.alone(self.paid_top_up(to, amount)).await;
                if let Some(told) = told.as_ref().filter(|_| amount <= SUSPENDED_ABOVE) {
                    self.perhaps_reverse(told, amount).await;
                }
                told
            }
            7 | 8 => {
                // Half of them by those whose sales earn a commission.
                let agent = if self.dice.chance(50) { *self.dice.pick(&[6, 7]) } else { agent };
                let count = i64::try_from(self.dice.within(1, 9)).unwrap();
                let told = self.alone(self.batch(agent, count)).await;
                self.batches.extend(told.as_ref().map(|told| (agent, told.id.clone())));
                told
            }
            9 | 10 => self.sale().await,
            _ => self.withdraw(agent, amount).await,
        };
        if let Some(told) = told
            && self.dice.chance(15)
        {
            self.read(agent, told.position).await;
        }
    }

    /// Sends a command under a key of its own.
    pub async fn alone(&mut self, command: Command) -> Option<Acknowledgement> {
        self.perform(&Sendable::new(command), Manner::Alone).await
    }

    /// Decides on a suspended transfer, or leaves it until it ends by itself.
    async fn review(&mut self, transfer: &str, amount: i64) {
        let release = |amount| Intent::ReleaseTransfer { transfer: transfer.to_owned(), amount };
        let intent = match self.dice.next() % 4 {
            0 => return,
            1 => Intent::RefuseTransfer { transfer: transfer.to_owned() },
            2 => release(Some(i64::try_from(self.dice.within(1, amount.unsigned_abs())).unwrap())),
            _ => release(None),
        };
        // Now and then once more: it is decided on already then.
        for _ in 0..=self.dice.next() % 2 {
            self.alone(self.transfer_review(intent.clone())).await;
        }
    }

    fn transfer_review(&self, intent: Intent) -> Command {
        let (path, body) = match &intent {
            Intent::ReleaseTransfer { transfer, amount } => {
                (format!("/v1/quota/transfers/{transfer}/release"), json!({ "amount": amount }))
            }
            Intent::RefuseTransfer { transfer } => (format!("/v1/quota/transfers/{transfer}/refuse"), json!({})),
            other => panic!("{other:?} is no review"),
        };
        // Not whoever asked for it, if it is a top-up.
        Command { intent, token: self.world.second_admin.clone(), path, body }
    }

    /// Asks for money, and an admin decides on it.
    async fn withdraw(&mut self, agent: usize, amount: i64) -> Option<Acknowledgement> {
        let asked = self.alone(self.withdrawal(agent, amount)).await?;
        if amount > SUSPENDED_ABOVE && self.dice.chance(60) {
            let part = i64::try_from(self.dice.within(1, amount.unsigned_abs())).unwrap();
            let amount = Some(part).filter(|_| self.dice.chance(50));
            self.alone(self.withdrawal_release(&asked.id, amount)).await;
        }
        match self.dice.next() % 12 {
            // Stays open.
            0 => Some(asked),
            10.. if REVIEWS => self.alone(self.cancel(agent, &asked.id)).await,
            1 => {
                let own = self.own_decision(agent, &asked.id);
                self.alone(own).await;
                Some(asked)
            }
            2..6 => self.alone(self.decision(&asked.id, Decision::Refuse)).await,
            _ => {
                self.alone(self.decision(&asked.id, Decision::Approve)).await?;
                // Marked as paid, and sometimes again.
                for _ in 0..self.dice.within(0, 3) {
                    self.alone(self.decision(&asked.id, Decision::MarkPaid)).await;
                }
                Some(asked)
            }
        }
    }

    /// An agent by chance.
    pub fn an_agent(&mut self) -> usize {
        let count = self.world.agents.len() as u64;
        usize::try_from(self.dice.next() % count).unwrap()
    }

    /// An amount; one in twenty is more than there can be: what is refused must leave nothing.
    fn amount(&mut self) -> i64 {
        let amount = i64::try_from(self.dice.within(1, 600)).unwrap();
        if self.dice.chance(5) { amount + 90_000_000_000 } else { amount }
    }

    /// Quota from one agent to another.
    pub fn transfer(&self, from: usize, to: usize, amount: i64) -> Command {
        Command {
            intent: Intent::Transfer { from, to, amount },
            token: self.world.agents[from].token.clone(),
            path: "/v1/quota/transfers".to_owned(),
            body: json!({ "to_username": self.world.agents[to].username, "amount": amount, "note": "load" }),
        }
    }

    /// New quota.
    pub fn top_up(&self, to: usize, amount: i64) -> Command {
        Command {
            intent: Intent::TopUp { to, amount },
            token: self.world.admin.clone(),
            path: "/v1/quota/top-ups".to_owned(),
            body: json!({ "agent_id": self.world.agents[to].id, "amount": amount }),
        }
    }

    fn paid_top_up(&self, to: usize, amount: i64) -> Command {
        Command {
            intent: Intent::PaidTopUp { from: 0, to, amount },
            token: self.world.agents[0].token.clone(),
            path: "/v1/quota/top-ups".to_owned(),
            body: json!({ "agent_id": self.world.agents[to].id, "amount": amount }),
        }
    }

    fn batch(&self, agent: usize, count: i64) -> Command {
        Command {
            intent: Intent::Batch { agent, count },
            token: self.world.agents[agent].token.clone(),
            path: "/v1/license-batches".to_owned(),
            body: json!({ "project_id": self.world.project.id, "plan_id": self.world.plan_id, "count": count }),
        }
    }

    /// Quota to be paid out.
    pub fn withdrawal(&self, agent: usize, amount: i64) -> Command {
        Command {
            intent: Intent::Withdrawal { agent, amount },
            token: self.world.agents[agent].token.clone(),
            path: "/v1/withdrawals".to_owned(),
            body: json!({ "amount": amount, "payee": { "bank": "First", "account_number": "6222021234567890" } }),
        }
    }

    /// The super admin's answer to a withdrawal.
    pub fn decision(&self, withdrawal: &str, decision: Decision) -> Command {
        let verb = match decision {
            Decision::Approve => "approve",
            Decision::Refuse => "refuse",
            Decision::MarkPaid => "mark-paid",
        };
        Command {
            intent: Intent::Decision { withdrawal: withdrawal.to_owned(), decision },
            token: self.world.admin.clone(),
            path: format!("/v1/withdrawals/{withdrawal}/{verb}"),
            body: json!({}),
        }
    }

    fn withdrawal_release(&self, withdrawal: &str, amount: Option<i64>) -> Command {
        Command {
            intent: Intent::ReleaseWithdrawal { withdrawal: withdrawal.to_owned(), amount },
            token: self.world.second_admin.clone(),
            path: format!("/v1/withdrawals/{withdrawal}/release"),
            body: json!({ "amount": amount }),
        }
    }

    /// A withdrawal is taken back by whoever asked for it.
    fn cancel(&self, agent: usize, withdrawal: &str) -> Command {
        Command {
            intent: Intent::Cancel { withdrawal: withdrawal.to_owned() },
            token: self.world.agents[agent].token.clone(),
            path: format!("/v1/withdrawals/{withdrawal}/cancel"),
            body: json!({}),
        }
    }

    fn own_decision(&self, agent: usize, withdrawal: &str) -> Command {
        Command {
            intent: Intent::OwnDecision { withdrawal: withdrawal.to_owned(), agent },
            token: self.world.agents[agent].token.clone(),
            path: format!("/v1/withdrawals/{withdrawal}/approve"),
            body: json!({}),
        }
    }
}
