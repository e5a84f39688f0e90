//! Erases a person's data: the key that sealed it is deleted, and with it everything it sealed, wherever that stands
//! (row O7). Two super admins have to want it (row U12).
//!
//! The event comes first, so nothing is lost that nobody decided on. Whoever is cut off in between repeats the command:
//! deleting a key twice changes nothing.

use quotary_domain::AccountId;
use quotary_domain::account::{Account, AccountCommand};
use quotary_domain::agent_quota::{AgentQuota, HoldPurpose};

use super::disable::AccountAfter;
use super::secrets;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::session::tokens;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Asks for the erasure of the personal data of a disabled account, or confirms what another super admin asked for.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the account is not disabled, or withdrawals of it wait: they could not
    /// be paid any more.
    pub async fn erase_personal_data(&self, context: &Context, id: AccountId) -> Outcome<AccountAfter> {
        let mut plan = Plan::new();
        let account = plan.open::<Account>(id);
        let quota = plan.read::<AgentQuota>(id);
        let acting = Acting::open(context, &mut plan)?;
        let done = self
            .log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                acting.check_manages(unit, id, account)?;
                let waits = |purpose| matches!(purpose, HoldPurpose::Withdrawal(_));
                if unit.see(quota).holds.values().any(|hold| waits(hold.purpose)) {
                    return Err(Refusal::WithdrawalsWait);
                }
                unit.decide(account, AccountCommand::ErasePersonalData { by: acting.actor.account_id })?;
                Ok(AccountAfter { account: unit.get(account).clone(), sequence: unit.sequence(account) })
            })
            .await?;
        if done.value.account.erased {
            secrets::erase(self.log.pool(), context.tenant_id, id, context.now).await?;
            tokens::end_all(self.log.pool(), id, context.now).await?;
        }
        Ok(done)
    }
}
