//! Lets a withdrawal's amount leave the ledger (row Q3).

use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Destination};
use quotary_domain::withdrawal::{Withdrawal, WithdrawalCommand, WithdrawalError, WithdrawalStatus};
use quotary_domain::{AccountId, HoldId, JournalId, Quota, WithdrawalId};

use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Approves a withdrawal: the held amount leaves. The approver manages the requester and is another person.
    ///
    /// # Errors
    /// [`Refusal`] if the actor may not decide on it or it was decided on already.
    pub async fn approve_withdrawal(&self, context: &Context, id: WithdrawalId) -> Outcome<WithdrawalAfter> {
        self.decide_withdrawal(
            context,
            id,
            |by| WithdrawalCommand::Approve { by },
            |unit, quota, amount| {
                let (hold_id, journal_id) = (HoldId::of_withdrawal(id), JournalId::derived(id.0, "settle"));
                let to = Destination::PaidOut { withdrawal_id: id };
                unit.decide(quota, AgentQuotaCommand::Settle { hold_id, journal_id, amount, to })?;
                Ok(())
            },
        )
        .await
    }

    /// Lets a withdrawal decide, and moves its hold if this ended its wait.
    pub(crate) async fn decide_withdrawal(
        &self,
        context: &Context,
        id: WithdrawalId,
        command: impl Fn(AccountId) -> WithdrawalCommand + Send + Sync,
        move_hold: impl Fn(&mut Unit, Handle<AgentQuota>, Quota) -> Result<(), Refusal> + Send + Sync,
    ) -> Outcome<WithdrawalAfter> {
        // Who asked never changes, so it can be read before the step.
        let (known, _) = self
            .log
            .current::<Withdrawal>(context.tenant_id, id)
            .await?
            .ok_or(CommandError::Refused(Refusal::NotFound("withdrawal")))?;
        let request = known.request.ok_or(CommandError::Refused(Refusal::NotFound("withdrawal")))?;
        let mut plan = Plan::new();
        let withdrawal = plan.open::<Withdrawal>(id);
        let agent = plan.open::<Account>(request.agent_id);
        let quota = plan.open::<AgentQuota>(request.agent_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                if acting.actor.account_id == request.agent_id {
                    return Err(WithdrawalError::OwnRequest.into());
                }
                acting.check_own_or_managed(unit, request.agent_id, agent, "withdrawal")?;
                let waited = unit.get(withdrawal).status == WithdrawalStatus::Requested;
                unit.decide(withdrawal, command(acting.actor.account_id))?;
                if waited && unit.get(withdrawal).status != WithdrawalStatus::Requested {
                    move_hold(unit, quota, request.amount)?;
                }
                let (withdrawal, sequence) = (unit.get(withdrawal).clone(), unit.sequence(withdrawal));
                Ok(WithdrawalAfter { withdrawal_id: id, withdrawal, sequence })
            })
            .await
    }
}
