//! Gives quota to an agent: a super admin's comes from the tenant, an agent admin pays with its own (row Q1).

use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, TransferKind};
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{AccountId, JournalId, Quota, Role};
use serde::{Deserialize, Serialize};

use super::movement::{Movement, Suspension, check_note, check_receiver};
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::unit::{Handle, Plan};
use crate::use_case::{Acting, Commands, Outcome};

/// A top-up that was made, or waits for another person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToppedUp {
    /// The movement.
    pub id: JournalId,
    /// Who gets it.
    pub agent_id: AccountId,
    /// Whose quota pays it; `None` for the tenant's.
    pub paid_by: Option<AccountId>,
    /// How much.
    pub amount: Quota,
    /// A remark.
    pub note: Option<String>,
    /// Why it waits, if it does.
    #[serde(default)]
    pub suspension: Option<Suspension>,
}

impl Commands {
    /// Tops up an agent.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor does not manage the agent, the amount is zero or too small, or
    /// the actor's own quota is too small.
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
        let agent = plan.read::<Account>(agent_id);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        let acting = Acting::open(context, &mut plan)?;
        let payer = payer(&acting, &mut plan);
        self.log
            .execute(context, &plan, |unit| {
                // A super admin has nobody above: its own quota comes from the tenant too.
                if payer.is_none() && agent_id == acting.actor.account_id {
                    acting.check(unit)?;
                } else {
                    acting.check_manages(unit, agent_id, agent)?;
                }
                check_receiver(unit, agent)?;
                let movement = Movement {
                    id,
                    kind: TransferKind::TopUp,
                    from: payer,
                    to: (agent_id, quota),
                    amount,
                    note: note.as_deref(),
                    asked_by: acting.actor.account_id,
                    now: context.now,
                };
                let suspension = movement.make(unit, policy)?;
                let paid_by = payer.map(|(payer, _)| payer);
                Ok(ToppedUp { id, agent_id, paid_by, amount, note: note.clone(), suspension })
            })
            .await
    }
}

/// Whose quota pays a top-up by the actor: `None` for the tenant's.
pub(crate) fn payer(acting: &Acting, plan: &mut Plan) -> Option<(AccountId, Handle<AgentQuota>)> {
    let Acting { actor, .. } = acting;
    (actor.role != Role::SuperAdmin).then(|| (actor.account_id, plan.open::<AgentQuota>(actor.account_id)))
}
