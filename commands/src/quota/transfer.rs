//! Moves quota from the actor to another agent, named by its username (row Q2), or holds it for a review (row Q4).
//!
//! Both halves stand in one atomic step, so no reader ever sees a transfer half moved.

use quotary_domain::account::{Account, Username};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaError, TransferKind};
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{AccountId, JournalId, Quota};
use serde::{Deserialize, Serialize};

use super::movement::{Movement, Suspension, check_note, check_receiver};
use crate::account::claims::find_account;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A transfer that was made, or waits for an admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The movement.
    pub id: JournalId,
    /// Who gives.
    pub from: AccountId,
    /// Who gets.
    pub to: AccountId,
    /// How much.
    pub amount: Quota,
    /// A remark.
    pub note: Option<String>,
    /// Why it waits, if it does.
    #[serde(default)]
    pub suspension: Option<Suspension>,
}

impl Commands {
    /// Transfers quota to the agent of a username.
    ///
    /// # Errors
    /// [`Refusal`] if the receiver is unknown, disabled or oneself, or the amount is zero, less than the tenant's
    /// minimum or more than available.
    pub async fn transfer(
        &self,
        context: &Context,
        to_username: &Username,
        amount: Quota,
        note: Option<String>,
    ) -> Outcome<Transferred> {
        let to = find_account(self.log.pool(), self.log.vault(), context.tenant_id, to_username.as_str()).await?;
        let to = to.ok_or(CommandError::Refused(Refusal::NotFound("account")))?;
        self.transfer_to(context, to, amount, note).await
    }

    /// Transfers quota to an agent whose id is known.
    ///
    /// # Errors
    /// Those of [`Commands::transfer`].
    pub async fn transfer_to(
        &self,
        context: &Context,
        to: AccountId,
        amount: Quota,
        note: Option<String>,
    ) -> Outcome<Transferred> {
        check_note(note.as_deref()).map_err(CommandError::Refused)?;
        let id = JournalId(clock::new_id());
        let mut plan = Plan::new();
        let acting = Acting::open(context, &mut plan)?;
        let from = acting.actor.account_id;
        if from == to {
            return Err(CommandError::Refused(AgentQuotaError::ToOneself.into()));
        }
        let giver = plan.open::<AgentQuota>(from);
        let receiver = plan.open::<AgentQuota>(to);
        let account = plan.read::<Account>(to);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        self.log
            .execute(context, &plan, |unit| {
                acting.check_holds_quota(unit)?;
                check_receiver(unit, account)?;
                let movement = Movement {
                    id,
                    kind: TransferKind::Transfer,
                    from: Some((from, giver)),
                    to: (to, receiver),
                    amount,
                    note: note.as_deref(),
                    asked_by: from,
                    now: context.now,
                };
                let suspension = movement.make(unit, policy)?;
                Ok(Transferred { id, from, to, amount, note: note.clone(), suspension })
            })
            .await
    }
}
