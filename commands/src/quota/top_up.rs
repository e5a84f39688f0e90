//! Gives quota to an agent: a super admin's comes from the tenant, an agent admin pays with its own (row Q1).

use chrono::{DateTime, Utc};
use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, TransferKind};
use quotary_domain::{AccountId, JournalId, Quota, Role};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// A top-up that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToppedUp {
    /// The movement.
    pub id: JournalId,
    /// Who got it.
    pub agent_id: AccountId,
    /// Whose quota paid it; `None` for the tenant's.
    pub paid_by: Option<AccountId>,
    /// How much.
    pub amount: Quota,
    /// A remark.
    pub note: Option<String>,
}

impl Commands {
    /// Tops up an agent.
    ///
    /// # Errors
    /// [`Refusal`] if the actor does not manage the agent, the amount is zero, or the actor's own quota is too small.
    pub async fn top_up(
        &self,
        context: &Context,
        agent_id: AccountId,
        amount: Quota,
        note: Option<String>,
    ) -> Outcome<ToppedUp> {
        check_note(note.as_deref()).map_err(CommandError::Refused)?;
        let id = JournalId(clock::new_id());
        let mut plan = Plan::new();
        let quota = plan.open::<AgentQuota>(agent_id);
        let agent = plan.open::<Account>(agent_id);
        let acting = Acting::open(context, &mut plan)?;
        let payer = plan.open::<AgentQuota>(acting.actor.account_id);
        let by_tenant = acting.actor.role == Role::SuperAdmin;
        self.log
            .execute(context, &plan, |unit| {
                // A super admin has nobody above: its own quota comes from the tenant too.
                if by_tenant && agent_id == acting.actor.account_id {
                    acting.check(unit)?;
                } else {
                    acting.check_manages(unit, agent_id, agent)?;
                }
                check_receiver(unit, agent)?;
                pay(unit, &acting, payer, (agent_id, quota), id, amount, note.as_deref(), context.now)?;
                let paid_by = (!by_tenant).then_some(acting.actor.account_id);
                Ok(ToppedUp { id, agent_id, paid_by, amount, note: note.clone() })
            })
            .await
    }
}

/// Moves a top-up: from the tenant if a super admin gives it, from the actor's own quota otherwise.
#[expect(clippy::too_many_arguments, reason = "each is a part of one movement")]
pub(crate) fn pay(
    unit: &mut Unit,
    acting: &Acting,
    payer: Handle<AgentQuota>,
    (agent_id, quota): (AccountId, Handle<AgentQuota>),
    journal_id: JournalId,
    amount: Quota,
    note: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), Refusal> {
    let note = note.map(str::to_owned);
    if acting.actor.role == Role::SuperAdmin {
        unit.decide(quota, AgentQuotaCommand::TopUp { journal_id, amount, note })?;
        return Ok(());
    }
    let from = acting.actor.account_id;
    move_quota(unit, (from, payer), (agent_id, quota), journal_id, TransferKind::TopUp, amount, note, at)
}

/// Moves quota between two agents: both halves in one step.
#[expect(clippy::too_many_arguments, reason = "each is a part of one movement")]
pub(crate) fn move_quota(
    unit: &mut Unit,
    (from, sender): (AccountId, Handle<AgentQuota>),
    (to, receiver): (AccountId, Handle<AgentQuota>),
    journal_id: JournalId,
    kind: TransferKind,
    amount: Quota,
    note: Option<String>,
    at: DateTime<Utc>,
) -> Result<(), Refusal> {
    unit.decide(sender, AgentQuotaCommand::Send { journal_id, kind, to, amount, note: note.clone(), at })?;
    unit.decide(receiver, AgentQuotaCommand::Receive { journal_id, kind, from, amount, note })?;
    Ok(())
}

/// Refuses receivers that are unknown, disabled, or of a role without quota.
pub(crate) fn check_receiver(unit: &Unit, account: Handle<Account>) -> Result<(), Refusal> {
    let account = unit.get(account);
    let Some(profile) = &account.profile else { return Err(Refusal::NotFound("account")) };
    if account.disabled {
        return Err(Refusal::AccountDisabled);
    }
    if profile.role.holds_quota() {
        Ok(())
    } else {
        Err(Refusal::invalid("agent_id", "accounts of this role don't hold quota"))
    }
}

pub(crate) fn check_note(note: Option<&str>) -> Result<(), Refusal> {
    note.map_or(Ok(()), |note| Refusal::check_text("note", note, 0, 500))
}
