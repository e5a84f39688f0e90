//! Ends what was reserved for a time that is over (rows Q4, Q10).
//!
//! What waits behind a hold (a transfer, a withdrawal) ends in the same step as the hold. Each ends once: whoever comes
//! second finds it ended and changes nothing.

use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, HoldPurpose};
use quotary_domain::transfer::TransferCommand;
use quotary_domain::withdrawal::WithdrawalCommand;
use quotary_domain::{AccountId, HoldId, JournalId};

use super::decide_transfer::Decider;
use crate::context::Context;
use crate::event_log::Done;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};
use crate::withdrawal::decide::Decider as WithdrawalDecider;

/// What ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// A suspended transfer, and its hold if an agent gives.
    Transfer(JournalId),
    /// A hold, with what waits behind it.
    Hold {
        /// Whose.
        agent_id: AccountId,
        /// Which.
        hold_id: HoldId,
        /// What for.
        purpose: HoldPurpose,
    },
}

impl Commands {
    /// Ends what has expired by `context.now`; nothing happens if it has ended already.
    ///
    /// # Errors
    /// [`Refusal`] if its time is not over or there is no such thing.
    pub async fn expire(&self, context: &Context, what: Expiring) -> Outcome<()> {
        let now = context.now;
        match what {
            Expiring::Transfer(id) | Expiring::Hold { purpose: HoldPurpose::Transfer(id), .. } => {
                let decider = |_: &mut Plan| Ok(Decider::Clock(now));
                let expire = move |_| TransferCommand::Expire { now };
                self.decide_transfer(context, id, decider, expire).await.map(without_value)
            }
            Expiring::Hold { purpose: HoldPurpose::Withdrawal(id), .. } => {
                let expire = move |_| WithdrawalCommand::Expire { now };
                self.decide_withdrawal(context, id, WithdrawalDecider::Clock, expire).await.map(without_value)
            }
            Expiring::Hold { purpose: HoldPurpose::Batch(_), agent_id, hold_id } => {
                let mut plan = Plan::new();
                let quota = plan.open::<AgentQuota>(agent_id);
                self.log
                    .execute(context, &plan, |unit| {
                        let journal_id = JournalId::derived(hold_id.0, "expire");
                        unit.decide(quota, AgentQuotaCommand::Expire { hold_id, journal_id, now })?;
                        Ok::<_, Refusal>(())
                    })
                    .await
            }
        }
    }
}

fn without_value<T>(Done { position, replayed, .. }: Done<T>) -> Done<()> {
    Done { value: (), position, replayed }
}
