//! Erases a person's data: the key that sealed it is deleted, and with it everything it sealed, wherever that stands
//! (row O7). Two super admins have to want it (row U12).
//!
//! The event comes before the deletion, so nothing is lost that nobody decided on, and an intention beside the log before
//! both, so that what was cut off in between is found and finished. Deleting a key twice changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use quotary_domain::account::{Account, AccountCommand};
use quotary_domain::agent_quota::{AgentQuota, HoldPurpose};
use quotary_domain::{AccountId, TenantId, WithdrawalId};
use uuid::Uuid;

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
    /// [`Refusal`] if the actor is no super admin, the account is not disabled, or withdrawals of it wait or are approved
    /// and not paid: they could not be paid any more.
    pub async fn erase_personal_data(&self, context: &Context, id: AccountId) -> Outcome<AccountAfter> {
        // Whatever is asked for or approved moves the quota, so what is found here holds while that stands still.
        let known = self.log.current::<AgentQuota>(context.tenant_id, id).await?;
        let looked_at = known.map_or(0, |(_, sequence)| sequence);
        let unpaid = self.unpaid_withdrawal(context.tenant_id, id).await?;
        let mut plan = Plan::new();
        let account = plan.open::<Account>(id);
        let quota = plan.open::<AgentQuota>(id);
        let acting = Acting::open(context, &mut plan)?;
        secrets::intend_erasure(self.log.pool(), context.tenant_id, id, context.now).await?;
        let done = self
            .log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                acting.check_manages(unit, id, account)?;
                let waits = |purpose| matches!(purpose, HoldPurpose::Withdrawal(_));
                if unit.get(quota).holds.values().any(|hold| waits(hold.purpose)) {
                    return Err(Refusal::WithdrawalsWait);
                }
                if let Some(unpaid) = unpaid {
                    return Err(Refusal::WithdrawalUnpaid(unpaid));
                }
                if unit.sequence(quota) != looked_at {
                    return Err(Refusal::QuotaMoved);
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

    /// The first withdrawal of the account whose amount has left and whose money is not sent yet.
    async fn unpaid_withdrawal(
        &self,
        tenant_id: TenantId,
        id: AccountId,
    ) -> Result<Option<WithdrawalId>, CommandError<Refusal>> {
        let found: Option<Uuid> = sqlx::query_scalar(
            "select s.withdrawal::uuid
             from (select position, payload #>> '{HoldSettled,to,paid_out,withdrawal_id}' as withdrawal from events
                   where aggregate_type = 'AgentQuota' and aggregate_id = $1 and tenant_id = $2
                     and event_type = 'HoldSettled') s
             where s.withdrawal is not null
               and not exists (select from events w
                               where w.aggregate_type = 'Withdrawal' and w.aggregate_id = s.withdrawal
                                 and w.event_type = 'WithdrawalPaid')
             order by s.position limit 1",
        )
        .bind(id.to_string())
        .bind(tenant_id.0)
        .fetch_optional(self.log.pool())
        .await?;
        Ok(found.map(WithdrawalId))
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
