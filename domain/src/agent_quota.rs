//! `AgentQuota`: the prepaid value an agent holds (rows Q1–Q3). Its id is the agent's account id.
//!
//! `available` can be spent; `held` is reserved and is always the sum of the open holds. Amounts only ever move by the
//! events below, and each event has both its postings in it (see [`crate::ledger`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Open holds with what is left of each.
    pub holds: BTreeMap<HoldId, Quota>,
}

/// Why quota is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPurpose {
    /// To pay for the licences of a batch.
    Batch(BatchId),
    /// To leave as money.
    Withdrawal(WithdrawalId),
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
    },
    /// Quota comes from another agent; always in the same step as its `Send`.
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
}

event_names!(AgentQuotaEvent {
    QuotaToppedUp,
    QuotaSent,
    QuotaReceived,
    QuotaSpent,
    QuotaHeld,
    HoldSettled,
    HoldReleased,
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
            AgentQuotaCommand::Send { journal_id, kind, to, amount, note } => {
                self.check_available(amount)?;
                AgentQuotaEvent::QuotaSent { journal_id, kind, to, amount, note }
            }
            AgentQuotaCommand::Receive { journal_id, kind, from, amount, note } => {
                self.check_room(amount)?;
                AgentQuotaEvent::QuotaReceived { journal_id, kind, from, amount, note }
            }
            AgentQuotaCommand::Spend { journal_id, amount, to } => {
                self.check_available(amount)?;
                AgentQuotaEvent::QuotaSpent { journal_id, amount, to }
            }
            AgentQuotaCommand::Hold { hold_id, amount, purpose } => return self.hold(hold_id, amount, purpose),
            AgentQuotaCommand::Settle { hold_id, journal_id, amount, to } => {
                let left = self.open_hold(hold_id)?;
                positive(amount)?;
                if left < amount {
                    return Err(AgentQuotaError::HoldExceeded { requested: amount, left });
                }
                AgentQuotaEvent::HoldSettled { hold_id, journal_id, amount, to }
            }
            AgentQuotaCommand::Release { hold_id, journal_id } => {
                AgentQuotaEvent::HoldReleased { hold_id, journal_id, amount: self.open_hold(hold_id)? }
            }
        };
        Ok(vec![event])
    }

    /// Reserves `amount` until it is settled or released; a repeat with the same amount changes nothing.
    fn hold(
        &self,
        hold_id: HoldId,
        amount: Quota,
        purpose: HoldPurpose,
    ) -> Result<Vec<AgentQuotaEvent>, AgentQuotaError> {
        if let Some(known) = self.holds.get(&hold_id) {
            return if *known == amount { Ok(vec![]) } else { Err(AgentQuotaError::HoldReused(hold_id)) };
        }
        self.check_available(amount)?;
        if self.holds.len() >= MAX_OPEN_HOLDS {
            return Err(AgentQuotaError::TooManyHolds);
        }
        Ok(vec![AgentQuotaEvent::QuotaHeld { hold_id, amount, purpose }])
    }

    fn check_available(&self, amount: Quota) -> Result<(), AgentQuotaError> {
        positive(amount)?;
        if self.available < amount {
            return Err(AgentQuotaError::Insufficient { requested: amount, available: self.available });
        }
        Ok(())
    }

    /// The whole balance, held quota included, must stay an amount.
    fn check_room(&self, amount: Quota) -> Result<(), AgentQuotaError> {
        positive(amount)?;
        self.available.plus(self.held)?.plus(amount)?;
        Ok(())
    }

    fn open_hold(&self, hold_id: HoldId) -> Result<Quota, AgentQuotaError> {
        self.holds.get(&hold_id).copied().ok_or(AgentQuotaError::UnknownHold(hold_id))
    }

    #[expect(clippy::needless_pass_by_value, reason = "every aggregate takes its event")]
    fn evolve(&mut self, event: AgentQuotaEvent) {
        match event {
            AgentQuotaEvent::QuotaToppedUp { amount, .. } | AgentQuotaEvent::QuotaReceived { amount, .. } => {
                self.available = self.available.saturating_plus(amount);
            }
            AgentQuotaEvent::QuotaSent { amount, .. } | AgentQuotaEvent::QuotaSpent { amount, .. } => {
                self.available = self.available.saturating_minus(amount);
            }
            AgentQuotaEvent::QuotaHeld { hold_id, amount, .. } => {
                self.available = self.available.saturating_minus(amount);
                self.held = self.held.saturating_plus(amount);
                self.holds.insert(hold_id, amount);
            }
            AgentQuotaEvent::HoldSettled { hold_id, amount, .. } => self.shrink_hold(hold_id, amount),
            AgentQuotaEvent::HoldReleased { hold_id, amount, .. } => {
                self.shrink_hold(hold_id, amount);
                self.available = self.available.saturating_plus(amount);
            }
        }
    }

    fn shrink_hold(&mut self, hold_id: HoldId, amount: Quota) {
        self.held = self.held.saturating_minus(amount);
        if let Some(left) = self.holds.get_mut(&hold_id) {
            *left = left.saturating_minus(amount);
            if left.is_zero() {
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
