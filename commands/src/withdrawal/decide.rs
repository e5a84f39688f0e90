//! A decision on a withdrawal: who may take it, and what it does to the held amount (rows Q3, Q4).
//!
//! The decision and the movement of the amount stand in one atomic step: a hold is open exactly as long as the withdrawal
//! waits, and is what is to be paid.

use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Destination, HoldPurpose};
use quotary_domain::withdrawal::{Withdrawal, WithdrawalCommand, WithdrawalError, WithdrawalStatus};
use quotary_domain::{AccountId, HoldId, JournalId, WithdrawalId};

use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Seen, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// Who decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decider {
    /// An admin who manages the requester.
    Admin,
    /// The requester.
    Requester,
    /// Nobody: its time is over.
    Clock,
}

impl Commands {
    /// Lets a withdrawal decide, and moves its hold accordingly.
    pub(crate) async fn decide_withdrawal(
        &self,
        context: &Context,
        id: WithdrawalId,
        decider: Decider,
        command: impl Fn(AccountId) -> WithdrawalCommand + Send + Sync,
    ) -> Outcome<WithdrawalAfter> {
        // Who asked never changes, so it can be read before the step.
        let unknown = || CommandError::Refused(Refusal::NotFound("withdrawal"));
        let (known, _) = self.log.current::<Withdrawal>(context.tenant_id, id).await?.ok_or_else(unknown)?;
        let agent_id = known.request.ok_or_else(unknown)?.agent_id;
        let mut plan = Plan::new();
        let withdrawal = plan.open::<Withdrawal>(id);
        let agent = plan.read::<Account>(agent_id);
        let quota = plan.open::<AgentQuota>(agent_id);
        let acting = if decider == Decider::Clock { None } else { Some(Acting::open(context, &mut plan)?) };
        self.log
            .execute(context, &plan, |unit| {
                if let Some(acting) = &acting {
                    check(unit, acting, decider, (agent_id, agent))?;
                }
                let before = unit.get(withdrawal).status;
                // What ends by itself names nobody.
                let by = acting.map_or_else(AccountId::default, |acting| acting.actor.account_id);
                unit.decide(withdrawal, command(by))?;
                let after = unit.get(withdrawal).clone();
                if after.status != before {
                    move_hold(unit, quota, id, &after, context)?;
                }
                let sequence = unit.sequence(withdrawal);
                Ok(WithdrawalAfter { withdrawal_id: id, withdrawal: after, sequence })
            })
            .await
    }
}

fn check(
    unit: &Unit,
    acting: &Acting,
    decider: Decider,
    (agent_id, agent): (AccountId, Seen<Account>),
) -> Result<(), Refusal> {
    acting.check(unit)?;
    if decider == Decider::Admin && acting.actor.account_id == agent_id {
        return Err(WithdrawalError::OwnRequest.into());
    }
    acting.check_own_or_managed(unit, agent_id, agent, "withdrawal")
}

/// Moves the hold as the withdrawal has moved.
fn move_hold(
    unit: &mut Unit,
    quota: Handle<AgentQuota>,
    id: WithdrawalId,
    after: &Withdrawal,
    context: &Context,
) -> Result<(), Refusal> {
    let (hold_id, journal) = (HoldId::of_withdrawal(id), |step| JournalId::derived(id.0, step));
    let command = match after.status {
        WithdrawalStatus::Suspended | WithdrawalStatus::Paid => return Ok(()),
        WithdrawalStatus::Requested => {
            // What a review lets go is held anew: without an end, and without the part that returned.
            let at = unit.get(quota).holds.get(&hold_id).and_then(|hold| hold.at).unwrap_or(context.now);
            unit.decide(quota, AgentQuotaCommand::Release { hold_id, journal_id: journal("review") })?;
            let purpose = HoldPurpose::Withdrawal(id);
            AgentQuotaCommand::Hold { hold_id, amount: after.amount, purpose, at, expires_at: None }
        }
        WithdrawalStatus::Approved => {
            let to = Destination::PaidOut { withdrawal_id: id };
            AgentQuotaCommand::Settle { hold_id, journal_id: journal("settle"), amount: after.amount, to }
        }
        WithdrawalStatus::Refused | WithdrawalStatus::Cancelled => {
            AgentQuotaCommand::Release { hold_id, journal_id: journal("release") }
        }
        WithdrawalStatus::Expired => {
            AgentQuotaCommand::Expire { hold_id, journal_id: journal("expire"), now: context.now }
        }
    };
    unit.decide(quota, command)?;
    Ok(())
}
