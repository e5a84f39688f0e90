//! Random histories of quota that the domain itself allows.

use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use quotary_domain::agent_quota::{
    AgentQuota, AgentQuotaCommand, AgentQuotaEvent, Destination, HoldPurpose, TransferKind,
};
use quotary_domain::{AccountId, Aggregate as _, BatchId, HoldId, JournalId, ProjectId, Quota, WithdrawalId};
use uuid::Uuid;

use crate::read_model_fixture::{Dice, Fact, fact};

/// The agents' quota as the domain folds it, and what happened.
#[derive(Default)]
pub struct History {
    pub agents: BTreeMap<AccountId, AgentQuota>,
    next: u128,
}

pub fn agent(number: u64) -> AccountId {
    AccountId(Uuid::from_u128(0xa000 + u128::from(number)))
}

impl History {
    fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + (self.next << 8))
    }

    fn decide(&mut self, agent: AccountId, command: AgentQuotaCommand) -> Option<Vec<AgentQuotaEvent>> {
        self.agents.entry(agent).or_default().decide(command).ok()
    }

    fn apply(&mut self, agent: AccountId, events: Vec<AgentQuotaEvent>, facts: &mut Vec<Fact>) {
        for event in events {
            facts.push(fact::<AgentQuota>(agent.0, &event));
            self.agents.entry(agent).or_default().apply(event);
        }
    }

    /// The facts of one business step, if the domain allows it.
    pub fn step(&mut self, dice: &mut Dice, agents: u64) -> Vec<Fact> {
        let mut facts = Vec::new();
        let (one, other) = (agent(dice.below(agents)), agent(dice.below(agents)));
        let amount = Quota::new(i64::try_from(1 + dice.below(500)).unwrap()).unwrap();
        let journal_id = JournalId(self.id());
        let fresh = self.id();
        let project_id = ProjectId(Uuid::from_u128(0xb000 + u128::from(dice.below(3))));
        let sales = Destination::Sales { project_id, batch_id: BatchId(fresh) };
        let hold = self.agents.get(&one).and_then(|quota| quota.holds.iter().next().map(|(id, hold)| (*id, hold.left)));
        let command = match dice.below(7) {
            0 => AgentQuotaCommand::TopUp { journal_id, amount, note: Some("päivää \u{0}\t\"".to_owned()) },
            1 | 2 => {
                let kind = if dice.below(2) == 0 { TransferKind::Transfer } else { TransferKind::TopUp };
                let at = chrono::DateTime::UNIX_EPOCH;
                let send = AgentQuotaCommand::Send { journal_id, kind, to: other, amount, note: None, at };
                let receive = AgentQuotaCommand::Receive { journal_id, kind, from: one, amount, note: None };
                if one != other
                    && let (Some(sent), Some(received)) = (self.decide(one, send), self.decide(other, receive))
                {
                    self.apply(one, sent, &mut facts);
                    self.apply(other, received, &mut facts);
                }
                return facts;
            }
            3 => AgentQuotaCommand::Spend { journal_id, amount, to: sales },
            4 => {
                let purpose = if dice.below(2) == 0 {
                    HoldPurpose::Batch(BatchId(fresh))
                } else {
                    HoldPurpose::Withdrawal(WithdrawalId(fresh))
                };
                let (at, expires_at) = (chrono::DateTime::UNIX_EPOCH, None);
                AgentQuotaCommand::Hold { hold_id: HoldId(fresh), amount, purpose, at, expires_at }
            }
            5 => match hold {
                Some((hold_id, left)) => {
                    let part = i64::try_from(1 + dice.below(left.minor_units().unsigned_abs())).unwrap();
                    let paid_out = Destination::PaidOut { withdrawal_id: WithdrawalId(hold_id.0) };
                    let to = if dice.below(2) == 0 { sales } else { paid_out };
                    AgentQuotaCommand::Settle { hold_id, journal_id, amount: Quota::new(part).unwrap(), to }
                }
                None => return facts,
            },
            _ => match hold {
                Some((hold_id, _)) => AgentQuotaCommand::Release { hold_id, journal_id },
                None => return facts,
            },
        };
        if let Some(events) = self.decide(one, command) {
            self.apply(one, events, &mut facts);
        }
        facts
    }

    /// At least `events` facts.
    pub fn facts(&mut self, dice: &mut Dice, agents: u64, events: usize) -> Vec<Fact> {
        let mut facts = Vec::new();
        while facts.len() < events {
            facts.extend(self.step(dice, agents));
        }
        facts
    }
}
