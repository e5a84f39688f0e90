//! What the clients asked for and were told, kept for the checks: nothing of it is judged here.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// What a command does, as the one who sent it understands it. Agents are places in the list of agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Quota from one agent to another.
    Transfer { from: usize, to: usize, amount: i64 },
    /// Quota from an agent admin's own, as a top-up.
    PaidTopUp { from: usize, to: usize, amount: i64 },
    /// New quota.
    TopUp { to: usize, amount: i64 },
    /// Licences.
    Batch { agent: usize, count: i64 },
    /// Quota to be paid out.
    Withdrawal { agent: usize, amount: i64 },
    /// The answer to a withdrawal, by the super admin.
    Decision { withdrawal: String, decision: Decision },
    /// The answer to a withdrawal by whoever asked for it.
    OwnDecision { withdrawal: String, agent: usize },
    /// A withdrawal that a rule suspended goes on, or a part of it, by the second super admin.
    ReleaseWithdrawal { withdrawal: String, amount: Option<i64> },
    /// A withdrawal is taken back by whoever asked for it.
    Cancel { withdrawal: String },
    /// A transfer that a rule suspended goes on, or a part of it.
    ReleaseTransfer { transfer: String, amount: Option<i64> },
    /// A transfer that a rule suspended is refused.
    RefuseTransfer { transfer: String },
    /// A payment at a provider under its number there, maybe for a batch.
    Order { number: String, agent: usize, batch: Option<String>, money: i64 },
    /// An order is paid back, or a part of it.
    RefundOrder { order: String, money: Option<i64> },
    /// A batch is taken back.
    RefundBatch { batch: String },
    /// A top-up or transfer, told at a position, is taken back, or a part of it.
    Reverse { journal: String, told_at: i64, amount: Option<i64> },
    /// The second super admin agrees to what the first may not take back alone.
    Confirm { proposal: String },
    /// The first super admin does not want it any more.
    Decline { proposal: String },
}

/// What is answered to a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The amount leaves.
    Approve,
    /// The amount returns.
    Refuse,
    /// The money was sent.
    MarkPaid,
}

impl Intent {
    /// The command's name in the log.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Transfer { .. } => "quota.transfer",
            Self::PaidTopUp { .. } | Self::TopUp { .. } => "quota.top_up",
            Self::Batch { .. } => "license_batch.request",
            Self::Withdrawal { .. } => "withdrawal.request",
            Self::Decision { decision: Decision::Approve, .. } | Self::OwnDecision { .. } => "withdrawal.approve",
            Self::Decision { decision: Decision::Refuse, .. } => "withdrawal.refuse",
            Self::Decision { decision: Decision::MarkPaid, .. } => "withdrawal.mark_paid",
            Self::ReleaseWithdrawal { .. } => "withdrawal.release",
            Self::Cancel { .. } => "withdrawal.cancel",
            Self::ReleaseTransfer { .. } => "quota.release_transfer",
            Self::RefuseTransfer { .. } => "quota.refuse_transfer",
            Self::Order { .. } => "order.record",
            Self::RefundOrder { .. } => "order.refund",
            Self::RefundBatch { .. } => "license_batch.refund",
            Self::Reverse { .. } => "ledger.reverse",
            Self::Confirm { .. } => "proposal.confirm",
            Self::Decline { .. } => "proposal.decline",
        }
    }

    /// What it lets go on, which its time may have ended.
    pub fn lets_go_on(&self) -> Option<&str> {
        match self {
            Self::ReleaseTransfer { transfer: id, .. }
            | Self::ReleaseWithdrawal { withdrawal: id, .. }
            | Self::Confirm { proposal: id } => Some(id),
            _ => None,
        }
    }

    /// Up to where the read models must have the log for it.
    pub fn read_up_to(&self) -> Option<i64> {
        if let Self::Reverse { told_at, .. } = self { Some(*told_at) } else { None }
    }
}

/// A stored or fresh answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// What `Quotary-Position` said.
    pub position: i64,
    /// The id in the answer.
    pub id: String,
    /// The whole body.
    pub body: String,
    /// Whether it was said to be the stored answer.
    pub replayed: bool,
}

/// What came back from one attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was acknowledged.
    Acknowledged(Acknowledgement),
    /// A rule forbade it; the code.
    Refused(String),
    /// The request was sent and what became of it was not said: why.
    Lost(&'static str),
    /// There was no connection: the request was never sent.
    NotSent,
}

/// One attempt of a command. Moments count requests sent and answers read by all clients, so they order them all.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it was sent.
    pub sent: u64,
    /// When its outcome was known.
    pub known: u64,
    /// Which.
    pub outcome: Outcome,
}

/// How a command was sent, which decides what its answers may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Under a key of its own.
    Alone,
    /// Under a key that another command has, or had: the number of that record's pair.
    SharesKey(Uuid),
}

/// A command and what its client was told.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it does.
    pub intent: Intent,
    /// What its events carry.
    pub correlation: Uuid,
    /// How it was sent.
    pub manner: Manner,
    /// Every attempt, in the order of their outcomes.
    pub attempts: Vec<Attempt>,
}

impl Record {
    /// The answers that acknowledged it.
    pub fn acknowledgements(&self) -> impl Iterator<Item = (&Attempt, &Acknowledgement)> {
        self.attempts.iter().filter_map(|attempt| match &attempt.outcome {
            Outcome::Acknowledged(told) => Some((attempt, told)),
            Outcome::Refused(_) | Outcome::Lost(_) | Outcome::NotSent => None,
        })
    }

    /// The first answer that acknowledged it.
    pub fn acknowledged(&self) -> Option<&Acknowledgement> {
        self.acknowledgements().next().map(|(_, told)| told)
    }

    /// The answers that refused it.
    pub fn refusals(&self) -> impl Iterator<Item = (&Attempt, &str)> {
        self.attempts.iter().filter_map(|attempt| match &attempt.outcome {
            Outcome::Refused(code) => Some((attempt, code.as_str())),
            Outcome::Acknowledged(_) | Outcome::Lost(_) | Outcome::NotSent => None,
        })
    }

    /// Whether its client knows what became of it.
    pub fn has_fate(&self) -> bool {
        self.acknowledged().is_some()
            || matches!(self.attempts.last(), Some(Attempt { outcome: Outcome::Refused(_), .. }))
    }

    /// Attempts whose outcome was not said.
    pub fn lost(&self) -> usize {
        self.attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Lost(_))).count()
    }

    /// When it was first sent.
    pub fn first_sent(&self) -> u64 {
        self.attempts.iter().map(|attempt| attempt.sent).min().unwrap_or_default()
    }
}

/// A balance that a client read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Whose.
    pub agent: usize,
    /// What had to be in it.
    pub at_least: i64,
    /// The position of the last movement in it.
    pub position: i64,
    /// What can be spent.
    pub available: i64,
    /// What is reserved.
    pub held: i64,
}

/// Everything that clients did.
#[derive(Debug, Default)]
pub struct Done {
    /// Commands.
    pub records: Vec<Record>,
    /// Balances read.
    pub readings: Vec<Reading>,
    /// What must not happen, seen by a client.
    pub violations: Vec<String>,
}

impl Done {
    /// Adds what another client did.
    pub fn absorb(&mut self, other: Self) {
        self.records.extend(other.records);
        self.readings.extend(other.readings);
        self.violations.extend(other.violations);
    }
}

/// Orders what all clients send and read.
#[derive(Debug, Default)]
pub struct Moments(AtomicU64);

impl Moments {
    /// The next moment.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
