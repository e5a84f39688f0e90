//! Asks for quota to be paid out as money; the amount is held at once (row Q3), and the tenant's rules may suspend the
//! request until an admin lets it go on (row Q4).

use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, HoldPurpose};
use quotary_domain::risk::RiskPolicy;
use quotary_domain::withdrawal::{Withdrawal, WithdrawalCommand, WithdrawalRequest};
use quotary_domain::{HoldId, Quota, WithdrawalId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::secrets;
use crate::clock;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A withdrawal after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalAfter {
    /// The withdrawal.
    pub withdrawal_id: WithdrawalId,
    /// Its state.
    pub withdrawal: Withdrawal,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Requests a withdrawal of the actor's own quota. `payee` is the JSON of the bank details, in the clear.
    ///
    /// # Errors
    /// [`Refusal`] if the amount is zero, more than available, less than the tenant's minimum or more than it lets anyone
    /// ask for in a day.
    pub async fn request_withdrawal(
        &self,
        context: &Context,
        amount: Quota,
        payee: Zeroizing<String>,
    ) -> Outcome<WithdrawalAfter> {
        let withdrawal_id = WithdrawalId(clock::new_id());
        let mut plan = Plan::new();
        let withdrawal = plan.open_new::<Withdrawal>(withdrawal_id);
        let acting = Acting::open(context, &mut plan)?;
        let agent_id = acting.actor.account_id;
        let quota = plan.open::<AgentQuota>(agent_id);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        let key = secrets::data_key(self.log.pool(), self.log.vault(), context.tenant_id, agent_id).await?;
        let payee = key.seal(&payee_purpose(withdrawal_id), payee.as_bytes())?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_holds_quota(unit)?;
                let (now, rules) = (context.now, &unit.see(policy).rules);
                let reasons = rules.assess_withdrawal(&unit.get(quota).activity, amount, now)?;
                let expires_at = if reasons.is_empty() { None } else { rules.review_ends(now) };
                let request = WithdrawalRequest { agent_id, amount, payee: payee.clone(), reasons, expires_at };
                unit.decide(withdrawal, WithdrawalCommand::Request(request))?;
                let (hold_id, purpose) = (HoldId::of_withdrawal(withdrawal_id), HoldPurpose::Withdrawal(withdrawal_id));
                unit.decide(quota, AgentQuotaCommand::Hold { hold_id, amount, purpose, at: now, expires_at })?;
                let (withdrawal, sequence) = (unit.get(withdrawal).clone(), unit.sequence(withdrawal));
                Ok::<_, Refusal>(WithdrawalAfter { withdrawal_id, withdrawal, sequence })
            })
            .await
    }
}

/// What sealed bank details are for.
#[must_use]
pub fn payee_purpose(id: WithdrawalId) -> String {
    format!("payee/{id}")
}
