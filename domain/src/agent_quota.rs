//! `AgentQuota`: the prepaid value an agent holds (rows Q1–Q3, Q9–Q11). Its id is the agent's account id.
//!
//! `available` can be spent; `held` is reserved and is always the sum of the open holds. Amounts only ever move by the
//! events below, and each event has both its postings in it (see [`crate::ledger`]). What the tenant's risk rules look at
//! (recent movements, known receivers) is part of the state, so that a rule is decided on the ledger alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::activity::Activity;
use crate::{
    AccountId, BatchId, HoldId, JournalId, ProjectId, Quota, QuotaError, WithdrawalId, event_names, impl_aggregate,
};

/// How many holds of one agent can be open at a time.
pub const MAX_OPEN_HOLDS: usize = 10_000;

/// The state of an agent's quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentQuota {
    /// What can be spent.
    pub available: Quota,
    /// What is reserved: the sum of `holds`.
    pub held: Quota,
    /// Open holds.
    pub holds: BTreeMap<HoldId, OpenHold>,
    /// What risk rules look at.
    pub activity: Activity,
}

/// A hold that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHold {
    /// What was reserved.
    pub amount: Quota,
    /// What is left of it.
    pub left: Quota,
    /// Why.
    pub purpose: HoldPurpose,
    /// When it was made; `None` for holds that no rule counts.
    pub at: Option<DateTime<Utc>>,
    /// When what is left returns by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why quota is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPurpose {
    /// To pay for the licences of a batch.
    Batch(BatchId),
    /// To leave as money.
    Withdrawal(WithdrawalId),
    /// To go to another agent once an admin lets it (see [`crate::transfer`]).
    Transfer(JournalId),
}

/// What moves quota from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// One agent gives to another.
    Transfer,
    /// An admin's own quota pays for a top-up.
    TopUp,
}

/// Where spent quota goes. Accounts without a limit, so no aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Licences of a project were bought.
    Sales {
        /// The project.
        project_id: ProjectId,
        /// The batch whose licences were bought.
        batch_id: BatchId,
    },
    /// Money was paid out.
    PaidOut {
        /// The withdrawal.
        withdrawal_id: WithdrawalId,
    },
    /// Another agent got it, after a review; always in the same step as the other's `QuotaReceived`.
    Agent {
        /// The receiver.
        account_id: AccountId,
        /// What kind of movement it is.
        kind: TransferKind,
    },
}

/// The other side of a movement that is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The tenant itself had given it.
    Issuance,
    /// It had moved between two agents; always in the same step as the other's half.
    Agent {
        /// The other agent.
        account_id: AccountId,
    },
    /// It had been paid for licences, or earned by their sale.
    Sales {
        /// The project.
        project_id: ProjectId,
        /// The batch.
        batch_id: BatchId,
    },
}

/// What a reversal takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversed {
    /// One journal.
    Journal(JournalId),
    /// All payments of a batch.
    Batch(BatchId),
}

/// What can be asked of an agent's quota.
#[derive(Clone, Debug)]
pub enum AgentQuotaCommand {
    /// Quota comes into being by a super admin's top-up.
    TopUp {
        /// The movement.
        journal_id: JournalId,
        /// More than zero.
        amount: Quota,
        /// A remark for the statement.
        note: Option<String>,
    },
    /// Quota leaves for another agent.
    Send {
        /// The movement, the same as the receiver's.
        journal_id: JournalId,
        /// What kind of movement it is.
        kind: TransferKind,
        /// The receiver.
        to: AccountId,
        /// More than zero.
        amount: Quota,
        /// A remark for both statements.
        note: Option<String>,
        /// When; risk rules count by it.
        at: DateTime<Utc>,
    },
    /// Quota comes from another agent; always in the same step as its `Send` or the settling of its hold.
    Receive {
        /// The movement, the same as the sender's.
        journal_id: JournalId,
        /// What kind of movement it is.
        kind: TransferKind,
        /// The sender.
        from: AccountId,
        /// More than zero.
        amount: Quota,
        /// A remark for both statements.
        note: Option<String>,
    },
    /// Quota is spent in one step.
    Spend {
        /// The movement.
        journal_id: JournalId,
        /// More than zero.
        amount: Quota,
        /// Where it goes.
        to: Destination,
    },
    /// An amount is reserved until it is settled or released.
    Hold {
        /// The reservation.
        hold_id: HoldId,
        /// More than zero.
        amount: Quota,
        /// Why.
        purpose: HoldPurpose,
        /// When; risk rules count by it.
        at: DateTime<Utc>,
        /// When what is left returns by itself.
        expires_at: Option<DateTime<Utc>>,
    },
    /// All or a part of a hold is taken.
    Settle {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
        /// More than zero, at most what is left of the hold.
        amount: Quota,
        /// Where it goes.
        to: Destination,
    },
    /// What is left of a hold is given back.
    Release {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
    },
    /// What is left of a hold is given back because its time is over; nothing happens if the hold has ended already.
    Expire {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
        /// Now.
        now: DateTime<Utc>,
    },
    /// A part of a sale by an agent below is earned; always in the same step as the payment.
    EarnCommission(Commission),
    /// Quota is taken back from the agent, by a reversal.
    TakeBack(Return),
    /// Quota is given back to the agent, by a reversal.
    GiveBack(Return),
}

/// What an ancestor earns by a sale (row Q11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    /// The movement, the same as that of the payment.
    pub journal_id: JournalId,
    /// More than zero.
    pub amount: Quota,
    /// What was sold.
    pub project_id: ProjectId,
    /// In which batch.
    pub batch_id: BatchId,
    /// Who sold it.
    pub seller: AccountId,
    /// How far the seller is below: 1 for one's own agents.
    pub level: u8,
}

/// One agent's part of a reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The movement.
    pub journal_id: JournalId,
    /// What it takes back.
    pub reverses: Reversed,
    /// More than zero.
    pub amount: Quota,
    /// The other side.
    pub origin: Origin,
}

/// What happened to an agent's quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentQuotaEvent {
    /// New quota from the tenant itself.
    QuotaToppedUp {
        /// The movement.
        journal_id: JournalId,
        /// How much.
        amount: Quota,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Quota left for another agent.
    QuotaSent {
        /// The movement.
        journal_id: JournalId,
        /// What kind of movement it is.
        kind: TransferKind,
        /// The receiver.
        to: AccountId,
        /// How much.
        amount: Quota,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// When, as risk rules count it; absent in what was recorded before there were rules.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<DateTime<Utc>>,
    },
    /// Quota came from another agent.
    QuotaReceived {
        /// The movement.
        journal_id: JournalId,
        /// What kind of movement it is.
        kind: TransferKind,
        /// The sender.
        from: AccountId,
        /// How much.
        amount: Quota,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Quota was spent in one step.
    QuotaSpent {
        /// The movement.
        journal_id: JournalId,
        /// How much.
        amount: Quota,
        /// Where it went.
        to: Destination,
    },
    /// An amount was reserved.
    QuotaHeld {
        /// The reservation.
        hold_id: HoldId,
        /// How much.
        amount: Quota,
        /// Why.
        purpose: HoldPurpose,
        /// When, as risk rules count it; absent in what no rule counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<DateTime<Utc>>,
        /// When what is left returns by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// All or a part of a hold was taken.
    HoldSettled {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
        /// How much.
        amount: Quota,
        /// Where it went.
        to: Destination,
    },
    /// What was left of a hold was given back.
    HoldReleased {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
        /// How much.
        amount: Quota,
    },
    /// What was left of a hold was given back because its time was over.
    HoldExpired {
        /// The reservation.
        hold_id: HoldId,
        /// The movement.
        journal_id: JournalId,
        /// How much.
        amount: Quota,
    },
    /// A part of a sale by an agent below was earned.
    CommissionEarned(Commission),
    /// Quota was taken back from the agent.
    QuotaTakenBack(Return),
    /// Quota was given back to the agent.
    QuotaGivenBack(Return),
}

event_names!(AgentQuotaEvent {
    QuotaToppedUp,
    QuotaSent,
    QuotaReceived,
    QuotaSpent,
    QuotaHeld,
    HoldSettled,
    HoldReleased,
    HoldExpired,
    CommissionEarned,
    QuotaTakenBack,
    QuotaGivenBack,
});

/// Why a command on an agent's quota is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentQuotaError {
    /// An amount must be more than zero.
    #[error("the amount must be more than zero")]
    ZeroAmount,
    /// More was asked for than is available.
    #[error("{requested} was asked for and {available} is available")]
    Insufficient {
        /// What was asked for.
        requested: Quota,
        /// What can be spent.
        available: Quota,
    },
    /// The balance would be larger than [`Quota::MAX`].
    #[error("the balance would be too large")]
    TooLarge(#[from] QuotaError),
    /// Sender and receiver are one.
    #[error("quota can't be sent to oneself")]
    ToOneself,
    /// The hold is open with another amount.
    #[error("the hold {0} is open with another amount")]
    HoldReused(HoldId),
    /// No such hold is open.
    #[error("no hold {0} is open")]
    UnknownHold(HoldId),
    /// More was to be settled than the hold has left.
    #[error("the hold has {left} left and {requested} was to be settled")]
    HoldExceeded {
        /// What was to be settled.
        requested: Quota,
        /// What the hold has left.
        left: Quota,
    },
    /// The hold's time is not over, or it has none.
    #[error("the hold {0} has not expired")]
    NotExpired(HoldId),
    /// [`MAX_OPEN_HOLDS`] are open.
    #[error("{MAX_OPEN_HOLDS} holds are open already")]
    TooManyHolds,
}

impl_aggregate!(AgentQuota, "AgentQuota", AgentQuotaCommand, AgentQuotaEvent, AgentQuotaError);

impl AgentQuota {
    fn decisions(&self, command: AgentQuotaCommand) -> Result<Vec<AgentQuotaEvent>, AgentQuotaError> {
        let event = match command {
            AgentQuotaCommand::TopUp { journal_id, amount, note } => {
                self.check_room(amount)?;
                AgentQuotaEvent::QuotaToppedUp { journal_id, amount, note }
            }
            AgentQuotaCommand::Send { journal_id, kind, to, amount, note, at } => {
                self.check_available(amount)?;
                AgentQuotaEvent::QuotaSent { journal_id, kind, to, amount, note, at: Some(at) }
            }
            AgentQuotaCommand::Receive { journal_id, kind, from, amount, note } => {
                self.check_room(amount)?;
                AgentQuotaEvent::QuotaReceived { journal_id, kind, from, amount, note }
            }
            AgentQuotaCommand::Spend { journal_id, amount, to } => {
                self.check_available(amount)?;
                AgentQuotaEvent::QuotaSpent { journal_id, amount, to }
            }
            AgentQuotaCommand::Hold { hold_id, amount, purpose, at, expires_at } => {
                return self.hold(hold_id, amount, purpose, at, expires_at);
            }
            AgentQuotaCommand::Settle { hold_id, journal_id, amount, to } => {
                let left = self.open_hold(hold_id)?.left;
                positive(amount)?;
                if left < amount {
                    return Err(AgentQuotaError::HoldExceeded { requested: amount, left });
                }
                AgentQuotaEvent::HoldSettled { hold_id, journal_id, amount, to }
            }
            AgentQuotaCommand::Release { hold_id, journal_id } => {
                AgentQuotaEvent::HoldReleased { hold_id, journal_id, amount: self.open_hold(hold_id)?.left }
            }
            AgentQuotaCommand::Expire { hold_id, journal_id, now } => return self.expire(hold_id, journal_id, now),
            AgentQuotaCommand::EarnCommission(commission) => {
                self.check_room(commission.amount)?;
                AgentQuotaEvent::CommissionEarned(commission)
            }
            AgentQuotaCommand::TakeBack(taken) => {
                self.check_available(taken.amount)?;
                AgentQuotaEvent::QuotaTakenBack(taken)
            }
            AgentQuotaCommand::GiveBack(given) => {
                self.check_room(given.amount)?;
                AgentQuotaEvent::QuotaGivenBack(given)
            }
        };
        Ok(vec![event])
    }

    /// Gives a hold back whose time is over. Whoever comes second finds no hold and changes nothing: each expires once.
    fn expire(
        &self,
        hold_id: HoldId,
        journal_id: JournalId,
        now: DateTime<Utc>,
    ) -> Result<Vec<AgentQuotaEvent>, AgentQuotaError> {
        let Some(hold) = self.holds.get(&hold_id) else { return Ok(vec![]) };
        if hold.expires_at.is_none_or(|end| now < end) {
            return Err(AgentQuotaError::NotExpired(hold_id));
        }
        Ok(vec![AgentQuotaEvent::HoldExpired { hold_id, journal_id, amount: hold.left }])
    }

    /// Reserves `amount` until it is settled, released or expires; a repeat with the same amount changes nothing.
    fn hold(
        &self,
        hold_id: HoldId,
        amount: Quota,
        purpose: HoldPurpose,
        at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Vec<AgentQuotaEvent>, AgentQuotaError> {
        if let Some(known) = self.holds.get(&hold_id) {
            return if known.left == amount { Ok(vec![]) } else { Err(AgentQuotaError::HoldReused(hold_id)) };
        }
        self.check_available(amount)?;
        if self.holds.len() >= MAX_OPEN_HOLDS {
            return Err(AgentQuotaError::TooManyHolds);
        }
        // Batches are counted by no rule; their holds stay as small as they were.
        let at = if let HoldPurpose::Batch(_) = purpose { None } else { Some(at) };
        Ok(vec![AgentQuotaEvent::QuotaHeld { hold_id, amount, purpose, at, expires_at }])
    }

    fn check_available(&self, amount: Quota) -> Result<(), AgentQuotaError> {
        positive(amount)?;
        if self.available < amount {
            return Err(AgentQuotaError::Insufficient { requested: amount, available: self.available });
        }
        Ok(())
    }

    /// Whether the whole balance, held quota included, stays an amount with so much more.
    #[must_use]
    pub fn has_room(&self, amount: Quota) -> bool {
        self.available.plus(self.held).and_then(|balance| balance.plus(amount)).is_ok()
    }

    /// The whole balance, held quota included, must stay an amount.
    fn check_room(&self, amount: Quota) -> Result<(), AgentQuotaError> {
        positive(amount)?;
        self.available.plus(self.held)?.plus(amount)?;
        Ok(())
    }

    fn open_hold(&self, hold_id: HoldId) -> Result<OpenHold, AgentQuotaError> {
        self.holds.get(&hold_id).copied().ok_or(AgentQuotaError::UnknownHold(hold_id))
    }

    #[expect(clippy::needless_pass_by_value, reason = "every aggregate takes its event")]
    fn evolve(&mut self, event: AgentQuotaEvent) {
        match event {
            AgentQuotaEvent::QuotaToppedUp { amount, .. }
            | AgentQuotaEvent::QuotaReceived { amount, .. }
            | AgentQuotaEvent::CommissionEarned(Commission { amount, .. })
            | AgentQuotaEvent::QuotaGivenBack(Return { amount, .. }) => {
                self.available = self.available.saturating_plus(amount);
            }
            AgentQuotaEvent::QuotaSpent { amount, .. } | AgentQuotaEvent::QuotaTakenBack(Return { amount, .. }) => {
                self.available = self.available.saturating_minus(amount);
            }
            // A top-up that an admin pays counts like any transfer: its rules are the same.
            AgentQuotaEvent::QuotaSent { amount, to, at, .. } => {
                self.available = self.available.saturating_minus(amount);
                self.activity.sent(to, amount, at);
            }
            AgentQuotaEvent::QuotaHeld { hold_id, amount, purpose, at, expires_at } => {
                self.available = self.available.saturating_minus(amount);
                self.held = self.held.saturating_plus(amount);
                self.holds.insert(hold_id, OpenHold { amount, left: amount, purpose, at, expires_at });
                self.activity.held(purpose, amount, at);
            }
            AgentQuotaEvent::HoldSettled { hold_id, amount, to, .. } => {
                self.shrink_hold(hold_id, amount);
                if let Destination::Agent { account_id, .. } = to {
                    self.activity.knows(account_id);
                }
            }
            AgentQuotaEvent::HoldReleased { hold_id, amount, .. }
            | AgentQuotaEvent::HoldExpired { hold_id, amount, .. } => {
                if let Some(hold) = self.holds.get(&hold_id) {
                    self.activity.returned(hold, amount);
                }
                self.shrink_hold(hold_id, amount);
                self.available = self.available.saturating_plus(amount);
            }
        }
    }

    fn shrink_hold(&mut self, hold_id: HoldId, amount: Quota) {
        self.held = self.held.saturating_minus(amount);
        if let Some(hold) = self.holds.get_mut(&hold_id) {
            hold.left = hold.left.saturating_minus(amount);
            if hold.left.is_zero() {
                self.holds.remove(&hold_id);
            }
        }
    }
}

fn positive(amount: Quota) -> Result<(), AgentQuotaError> {
    if amount.is_zero() { Err(AgentQuotaError::ZeroAmount) } else { Ok(()) }
}

#[cfg(test)]
#[path = "agent_quota_tests.rs"]
mod tests;
