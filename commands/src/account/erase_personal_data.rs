//! Erases a person's data: the key that sealed it is deleted, and with it everything it sealed, wherever that stands
//! (row O7). Two super admins have to want it (row U12).
//!
//! The event comes before the deletion, so nothing is lost that nobody decided on, and an intention beside the log before
//! both, so that what was cut off in between is found and finished. Deleting a key twice changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use quotary_domain::account::{Account, AccountCommand};
use quotary_domain::agent_quota::{AgentQuota, HoldPurpose};
use quotary_domain::{AccountId, TenantId};

use super::disable::AccountAfter;
use super::secrets;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::session::tokens;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// How long a command may be under way between its intention and its event.
const UNDER_WAY: TimeDelta = TimeDelta::minutes(10);
/// How many intentions are looked at in one go.
const LIST: i64 = 100;

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
        secrets::intend_erasure(self.log.pool(), context.tenant_id, id, context.now).await?;
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
            self.delete_key(context.tenant_id, id, context.now).await?;
        }
        Ok(done)
    }

    /// Finishes erasures that were cut off behind their event; answers how many.
    ///
    /// # Errors
    /// If the database can't be reached; the rest is left for the next time.
    pub async fn finish_erasures(&self, now: DateTime<Utc>) -> Result<usize, CommandError<Refusal>> {
        let mut finished = 0;
        for (tenant_id, id, since) in secrets::intended_erasures(self.log.pool(), LIST).await? {
            let account = self.log.current::<Account>(tenant_id, id).await?;
            if account.is_some_and(|(account, _)| account.erased) {
                self.delete_key(tenant_id, id, now).await?;
                finished += 1;
            } else if since + UNDER_WAY < now {
                // Refused, or only asked for: the second person's confirmation will be an intention of its own.
                secrets::forget_intention(self.log.pool(), tenant_id, id, since).await?;
            }
        }
        Ok(finished)
    }

    async fn delete_key(&self, tenant_id: TenantId, id: AccountId, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        secrets::erase(self.log.pool(), tenant_id, id, now).await?;
        tokens::end_all(self.log.pool(), id, now).await
    }
}
