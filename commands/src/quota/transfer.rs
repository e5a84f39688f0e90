//! Moves quota from the actor to another agent, named by its username (row Q2).
//!
//! Both halves stand in one atomic step, so no reader ever sees the amount held or half moved.

use quotary_domain::account::{Account, Username};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaError, TransferKind};
use quotary_domain::{AccountId, JournalId, Quota};
use serde::{Deserialize, Serialize};

use super::top_up::{check_note, check_receiver, move_quota};
use crate::account::claims::find_account;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// A transfer that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The movement.
    pub id: JournalId,
    /// Who gave.
    pub from: AccountId,
    /// Who got.
    pub to: AccountId,
    /// How much.
    pub amount: Quota,
    /// A remark.
    pub note: Option<String>,
}

impl Commands {
    /// Transfers quota to the agent of a username.
    ///
    /// # Errors
    /// [`Refusal`] if the receiver is unknown, disabled or oneself, or the amount is zero or more than available.
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
        let sender = plan.open::<AgentQuota>(from);
        let receiver = plan.open::<AgentQuota>(to);
        let account = plan.open::<Account>(to);
        self.log
            .execute(context, &plan, |unit| {
                acting.check_holds_quota(unit)?;
                check_receiver(unit, account)?;
                let (kind, note) = (TransferKind::Transfer, note.clone());
                move_quota(unit, (from, sender), (to, receiver), id, kind, amount, note.clone(), context.now)?;
                Ok(Transferred { id, from, to, amount, note })
            })
            .await
    }
}
