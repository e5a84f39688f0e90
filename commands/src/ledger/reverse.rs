//! Takes one journal back by a new one: a top-up returns to whoever gave it, a transfer to its giver (row C5).
//!
//! What the journal moved is read from the log, at positions that the caller names and that are checked here: a read model
//! only says where to look. A journal is reversed once, never for more than it moved.

use cqrs_es::Aggregate as _;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, AgentQuotaEvent, Origin, Return, Reversed};
use quotary_domain::ledger::{JournalKind, journal};
use quotary_domain::proposal::Act;
use quotary_domain::reversal::{Reversal, ReversalCommand, ReversalMade};
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{AccountId, Aggregate as _, JournalId, ProposalId, Quota, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::log::stream::LoadError;
use crate::proposal::propose::{Alone, Taken};
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// How many positions of a journal are looked at.
const MAX_POSITIONS: usize = 64;

/// A journal that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalReversed {
    /// What was done.
    pub made: ReversalMade,
    /// Who gave it back.
    pub from: AccountId,
    /// Who got it back; `None` for the tenant itself.
    pub to: Option<AccountId>,
    /// False if the same had been done before.
    pub added: bool,
}

/// What a journal moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) giver: Option<AccountId>,
    pub(crate) receiver: AccountId,
    pub(crate) amount: Quota,
}

/// The aggregates of a reversal within a plan.
pub(crate) struct Taking {
    reverses: JournalId,
    moved: Moved,
    reversal: Handle<Reversal>,
    receiver: Handle<AgentQuota>,
    giver: Option<Handle<AgentQuota>>,
}

impl Taking {
    /// Opens what the reversal of a journal needs that moved so much.
    pub(crate) fn open(reverses: JournalId, moved: Moved, plan: &mut Plan) -> Self {
        let reversal = plan.open::<Reversal>(reverses);
        let receiver = plan.open::<AgentQuota>(moved.receiver);
        let giver = moved.giver.map(|giver| plan.open::<AgentQuota>(giver));
        Self { reverses, moved, reversal, receiver, giver }
    }

    /// What is to be done.
    pub(crate) fn made(&self, amount: Quota, reason: String, by: AccountId) -> ReversalMade {
        let journal_id = JournalId::derived(self.reverses.0, "reversal");
        ReversalMade { journal_id, reverses: self.reverses, amount, reason, by }
    }

    /// Whether it would move anything: not if the same was done before.
    fn would_move(&self, unit: &Unit, made: &ReversalMade) -> Result<bool, Refusal> {
        let command = ReversalCommand::Make { made: made.clone(), original: self.moved.amount };
        Ok(!unit.get(self.reversal).decide(command)?.is_empty())
    }

    /// Decides it on all aggregates concerned.
    pub(crate) fn carry_out(&self, unit: &mut Unit, made: ReversalMade) -> Result<JournalReversed, Refusal> {
        let (Moved { giver: to, receiver: from, amount: original }, reverses) = (self.moved, self.reverses);
        let added = unit.get(self.reversal).made.is_none();
        unit.decide(self.reversal, ReversalCommand::Make { made: made.clone(), original })?;
        if added {
            let (journal_id, amount) = (made.journal_id, made.amount);
            let part = |origin| Return { journal_id, reverses: Reversed::Journal(reverses), amount, origin };
            let origin = to.map_or(Origin::Issuance, |account_id| Origin::Agent { account_id });
            unit.decide(self.receiver, AgentQuotaCommand::TakeBack(part(origin)))?;
            if let Some(giver) = self.giver {
                unit.decide(giver, AgentQuotaCommand::GiveBack(part(Origin::Agent { account_id: from })))?;
            }
        }
        Ok(JournalReversed { made, from, to, added })
    }
}

impl Commands {
    /// Reverses the journal whose events stand at `positions`, or a part of its amount. Only super admins can; more than one
    /// may move alone waits for a second one.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if no event of the journal stands there, [`Refusal::NotReversible`] if it is no top-up and
    /// no transfer, otherwise [`Refusal`] if it was reversed before, the amount is more than it moved, or the receiver
    /// has less available.
    pub async fn reverse_journal(
        &self,
        context: &Context,
        reverses: JournalId,
        positions: &[u64],
        amount: Option<Quota>,
        reason: String,
    ) -> Outcome<Taken<JournalReversed>> {
        Refusal::check_text("reason", &reason, 1, 500).map_err(CommandError::Refused)?;
        // Events never change, so they can be read before the step.
        let events = self.events_of(context.tenant_id, reverses, positions).await?;
        let moved = moved(&events).map_err(CommandError::Refused)?;
        let mut plan = Plan::new();
        let taking = Taking::open(reverses, moved, &mut plan);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        let acting = Acting::open(context, &mut plan)?;
        let amount = amount.unwrap_or(moved.amount);
        let by = acting.actor.account_id;
        let alone = Alone { id: ProposalId(clock::new_id()), policy, by, now: context.now };
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let made = taking.made(amount, reason.clone(), by);
                if taking.would_move(unit, &made)? {
                    let (Moved { giver: to, receiver: from, amount: original }, reason) = (moved, reason.clone());
                    let act = || Act::ReverseJournal { reverses, from, to, original, reason };
                    if let Some(proposed) = alone.propose(unit, amount, act)? {
                        return Ok(Taken::Proposed(proposed));
                    }
                }
                taking.carry_out(unit, made).map(Taken::Done)
            })
            .await
    }

    /// The events of a journal of the tenant at these positions.
    async fn events_of(
        &self,
        tenant_id: TenantId,
        id: JournalId,
        positions: &[u64],
    ) -> Result<Vec<(AccountId, AgentQuotaEvent)>, CommandError<Refusal>> {
        let positions: Vec<i64> =
            positions.iter().take(MAX_POSITIONS).filter_map(|position| i64::try_from(*position).ok()).collect();
        let rows: Vec<(Uuid, i64, String)> = sqlx::query_as(
            "select aggregate_id::uuid, sequence, payload::text from events \
             where position = any($1) and tenant_id = $2 and aggregate_type = $3 order by position",
        )
        .bind(positions)
        .bind(tenant_id.0)
        .bind(AgentQuota::TYPE)
        .fetch_all(self.log.pool())
        .await?;
        let mut events = Vec::with_capacity(rows.len());
        for (agent, sequence, payload) in rows {
            let event: AgentQuotaEvent = serde_json::from_str(&payload).map_err(|source| LoadError::Payload {
                aggregate_type: AgentQuota::TYPE,
                aggregate_id: agent,
                sequence,
                source,
            })?;
            if journal(&event).0 == id {
                events.push((AccountId(agent), event));
            }
        }
        if events.is_empty() { Err(CommandError::Refused(Refusal::NotFound("journal"))) } else { Ok(events) }
    }
}

/// What a journal moved, from the event of its receiver, which the sender's always stands with.
fn moved(events: &[(AccountId, AgentQuotaEvent)]) -> Result<Moved, Refusal> {
    for (receiver, event) in events {
        match event {
            AgentQuotaEvent::QuotaToppedUp { amount, .. } => {
                return Ok(Moved { giver: None, receiver: *receiver, amount: *amount });
            }
            AgentQuotaEvent::QuotaReceived { from, amount, .. } => {
                return Ok(Moved { giver: Some(*from), receiver: *receiver, amount: *amount });
            }
            _ => {}
        }
    }
    // Without its receiver's half a movement between agents is not looked at in full.
    match events.first().map(|(_, event)| journal(event).1) {
        None | Some(JournalKind::TopUp | JournalKind::Transfer) => Err(Refusal::NotFound("journal")),
        Some(kind) => Err(Refusal::NotReversible(kind)),
    }
}

#[cfg(test)]
mod tests {
    use quotary_domain::agent_quota::{Destination, TransferKind};

    use super::*;

    fn account(n: u128) -> AccountId {
        AccountId(Uuid::from_u128(n))
    }

    fn sent() -> AgentQuotaEvent {
        let (journal_id, amount) = (JournalId(Uuid::from_u128(9)), Quota::new(50).unwrap());
        AgentQuotaEvent::QuotaSent {
            journal_id,
            kind: TransferKind::Transfer,
            to: account(2),
            amount,
            note: None,
            at: None,
        }
    }

    fn received() -> AgentQuotaEvent {
        let (journal_id, amount) = (JournalId(Uuid::from_u128(9)), Quota::new(50).unwrap());
        AgentQuotaEvent::QuotaReceived {
            journal_id,
            kind: TransferKind::Transfer,
            from: account(1),
            amount,
            note: None,
        }
    }

    #[test]
    fn a_movement_is_known_by_its_receiver_s_half() {
        let amount = Quota::new(50).unwrap();
        let whole = Moved { giver: Some(account(1)), receiver: account(2), amount };
        assert_eq!(moved(&[(account(1), sent()), (account(2), received())]), Ok(whole));
        assert_eq!(moved(&[(account(2), received())]), Ok(whole));
        assert_eq!(moved(&[(account(1), sent())]), Err(Refusal::NotFound("journal")));
    }

    #[test]
    fn a_purchase_is_not_reversed() {
        let spent = AgentQuotaEvent::QuotaSpent {
            journal_id: JournalId(Uuid::from_u128(9)),
            amount: Quota::new(50).unwrap(),
            to: Destination::PaidOut { withdrawal_id: Uuid::from_u128(4).into() },
        };
        assert_eq!(moved(&[(account(1), spent)]), Err(Refusal::NotReversible(JournalKind::Withdrawal)));
    }
}
