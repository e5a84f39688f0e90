//! What one step of the log contains: the events that were appended together, as far as rules span them.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::shapes::{MovementKind, Reversed};
use super::values::Id;

/// Everything of the step that has to fit together at its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Step {
    /// Counts steps, so that a journal can be told from one of the same id elsewhere.
    pub number: u64,
    /// Movements between agents of which the second half is missing.
    pub halves: HashMap<(u32, Id), Half>,
    /// Top-ups by the tenant itself.
    pub top_ups: Vec<TopUp>,
    /// Payments for licences, by journal.
    pub payments: HashMap<Id, Payment>,
    /// What ancestors earned.
    pub earnings: Vec<Earning>,
    /// What was taken back and given back.
    pub returns: Vec<Returned>,
    /// Journals that were reversed.
    pub reversals: Vec<Reversal>,
    /// Proposals that a second person confirmed.
    pub confirmed: Vec<Confirmed>,
    /// Batches that something happened to.
    pub batches: HashMap<Id, BatchStep>,
    /// Withdrawals that something happened to, or their holds.
    pub withdrawals: HashMap<Id, Reserved>,
    /// Suspended transfers that something happened to, or their holds.
    pub transfers: HashMap<Id, Reserved>,
}

impl Step {
    /// Whether no rule has to look at the step's end.
    pub fn is_empty(&self) -> bool {
        self.halves.is_empty()
            && self.top_ups.is_empty()
            && self.payments.is_empty()
            && self.earnings.is_empty()
            && self.returns.is_empty()
            && self.reversals.is_empty()
            && self.confirmed.is_empty()
            && self.batches.is_empty()
            && self.withdrawals.is_empty()
            && self.transfers.is_empty()
    }

    /// Forgets the step and keeps the room.
    pub fn clear(&mut self) {
        self.halves.clear();
        self.top_ups.clear();
        self.payments.clear();
        self.earnings.clear();
        self.returns.clear();
        self.reversals.clear();
        self.confirmed.clear();
        self.batches.clear();
        self.withdrawals.clear();
        self.transfers.clear();
    }
}

/// Where a rule's finding is to point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spot {
    pub position: u64,
    pub tenant: u32,
    pub kind: SpotKind,
    pub id: Id,
}

/// The type of the stream at a spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SpotKind {
    AgentQuota,
    LicenseBatch,
    Withdrawal,
    Transfer,
    Reversal,
    Proposal,
}

impl SpotKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentQuota => "AgentQuota",
            Self::LicenseBatch => "LicenseBatch",
            Self::Withdrawal => "Withdrawal",
            Self::Transfer => "Transfer",
            Self::Reversal => "Reversal",
            Self::Proposal => "Proposal",
        }
    }
}

/// The first half of a movement between two agents.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Half {
    pub at: Spot,
    pub giver: Id,
    pub receiver: Id,
    pub amount: u64,
    pub kind: Option<MovementKind>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct TopUp {
    pub journal: Id,
    pub agent: Id,
    pub amount: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Payment {
    pub tenant: u32,
    pub batch: Id,
    pub project: Id,
    pub agent: Id,
    pub amount: u64,
    pub earned: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Earning {
    pub at: Spot,
    pub journal: Id,
    pub batch: Id,
    pub project: Id,
    pub seller: Id,
    pub agent: Id,
    pub amount: u64,
    pub level: u8,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Returned {
    pub at: Spot,
    pub journal: Id,
    pub of: Reversed,
    pub agent: Id,
    pub amount: u64,
    /// Given back to the agent, and not taken from it.
    pub given: bool,
    /// A reversal or refund of the step says so.
    pub claimed: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reversal {
    pub at: Spot,
    pub journal: Id,
    pub reverses: Id,
    pub amount: u64,
}

/// A proposal that a second person confirmed, so that what it proposes stands in the step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Confirmed {
    pub at: Spot,
    pub subject: Subject,
}

/// What a proposal takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Subject {
    /// So much of a journal.
    Journal(Id, u64),
    /// A batch, with its order or without.
    Batch(Id),
}

/// What happened to a batch in the step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BatchStep {
    pub at: Spot,
    /// Paid for its licences, less what chunks say they cost.
    pub unpaid: i128,
    /// Licences issued, less what chunks announce.
    pub unissued: i64,
    /// What each ancestor earned, less what chunks say.
    pub unearned: Vec<(Id, i128)>,
    /// The refund, if there was one.
    pub refund: Option<(Id, u64)>,
    /// A person said so, and nothing that runs by itself.
    pub by_a_person: bool,
}

impl BatchStep {
    pub fn new(at: Spot) -> Self {
        Self { at, unpaid: 0, unissued: 0, unearned: Vec::new(), refund: None, by_a_person: false }
    }

    /// Adds to what an ancestor earned.
    pub fn earn(&mut self, agent: Id, amount: i128) {
        match self.unearned.iter_mut().find(|(known, _)| *known == agent) {
            Some((_, sum)) => *sum += amount,
            None => self.unearned.push((agent, amount)),
        }
    }
}

/// What happened to a withdrawal or suspended transfer in the step, and to its hold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reserved {
    pub at: Spot,
    /// Taken from the hold.
    pub settled: u64,
    /// Who got it, for transfers.
    pub to: Option<Id>,
    /// A hold of this id was made although an earlier one had ended.
    pub held_again: bool,
    /// How much was let go by a decision of this step.
    pub released: Option<u64>,
    /// A decision of this step lets the amount leave.
    pub leaves: Option<u64>,
}

impl Reserved {
    pub fn new(at: Spot) -> Self {
        Self { at, settled: 0, to: None, held_again: false, released: None, leaves: None }
    }
}
