//! A decision on a suspended transfer: who may take it, and what it does to the held amount (row Q4).
//!
//! The decision and the movement of the amount stand in one atomic step. Whoever comes second finds the transfer decided
//! and changes nothing.

use chrono::{DateTime, Utc};
use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Destination};
use quotary_domain::transfer::{Transfer, TransferCommand, TransferError, TransferRequest, TransferStatus};
use quotary_domain::{AccountId, HoldId, JournalId, Quota, Role};
use serde::{Deserialize, Serialize};

use super::movement::check_receiver;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan, Seen, Unit};
use crate::use_case::{Acting, Commands, Outcome};

/// A transfer after a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferAfter {
    /// The transfer.
    pub id: JournalId,
    /// What was asked for.
    pub request: TransferRequest,
    /// Where it stands.
    pub status: TransferStatus,
    /// The journal of what moved, if anything did.
    pub journal_id: Option<JournalId>,
    /// The sequence of its last event.
    pub sequence: u64,
}

/// Who decides.
pub(super) enum Decider {
    /// An admin, by this command.
    Admin(Acting),
    /// Nobody: its time is over.
    Clock(DateTime<Utc>),
}

/// A suspended transfer within a plan.
struct Suspended {
    id: JournalId,
    request: TransferRequest,
    transfer: Handle<Transfer>,
    giver: Option<(AccountId, Handle<AgentQuota>, Seen<Account>)>,
    receiver: Handle<AgentQuota>,
    receiver_account: Seen<Account>,
}

impl Commands {
    /// Lets a suspended transfer decide, and moves or returns its amount accordingly.
    pub(super) async fn decide_transfer(
        &self,
        context: &Context,
        id: JournalId,
        decider: impl FnOnce(&mut Plan) -> Result<Decider, CommandError<Refusal>>,
        command: impl Fn(AccountId) -> TransferCommand + Send + Sync,
    ) -> Outcome<TransferAfter> {
        // Who gives and who gets never changes, so it can be read before the step.
        let unknown = || CommandError::Refused(Refusal::NotFound("transfer"));
        let (known, _) = self.log.current::<Transfer>(context.tenant_id, id).await?.ok_or_else(unknown)?;
        let request = known.request.ok_or_else(unknown)?;
        let mut plan = Plan::new();
        let suspended = Suspended {
            id,
            transfer: plan.open::<Transfer>(id),
            giver: request.from.map(|from| (from, plan.open::<AgentQuota>(from), plan.read::<Account>(from))),
            receiver: plan.open::<AgentQuota>(request.to),
            receiver_account: plan.read::<Account>(request.to),
            request,
        };
        let decider = decider(&mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                let command = match &decider {
                    Decider::Admin(acting) => {
                        suspended.check_decides(unit, acting)?;
                        command(acting.actor.account_id)
                    }
                    Decider::Clock(now) => TransferCommand::Expire { now: *now },
                };
                suspended.decide(unit, command, context.now)
            })
            .await
    }
}

impl Suspended {
    /// The decider manages the giver, or is a super admin where the tenant itself gives, and is no party.
    fn check_decides(&self, unit: &Unit, acting: &Acting) -> Result<(), Refusal> {
        acting.check(unit)?;
        if self.request.has_party(acting.actor.account_id) {
            return Err(TransferError::Party.into());
        }
        let outcome = match self.giver {
            Some((from, _, account)) => acting.check_manages(unit, from, account),
            None if acting.actor.role == Role::SuperAdmin => Ok(()),
            None => Err(Refusal::NotFound("account")),
        };
        outcome.map_err(|refusal| match refusal {
            // Whoever manages the receiver sees the transfer and still has no say in it.
            Refusal::NotFound(_) if acting.check_manages(unit, self.request.to, self.receiver_account).is_ok() => {
                Refusal::Forbidden
            }
            Refusal::NotFound(_) => Refusal::NotFound("transfer"),
            other => other,
        })
    }

    fn decide(&self, unit: &mut Unit, command: TransferCommand, now: DateTime<Utc>) -> Result<TransferAfter, Refusal> {
        let before = unit.get(self.transfer).status;
        unit.decide(self.transfer, command)?;
        let status = unit.get(self.transfer).status;
        if status != before {
            match status {
                TransferStatus::Suspended => {}
                TransferStatus::Completed(amount) => self.let_go(unit, amount)?,
                TransferStatus::Refused => self.give_back(unit)?,
                TransferStatus::Expired => self.expire(unit, now)?,
            }
        }
        let journal_id = matches!(status, TransferStatus::Completed(_)).then(|| self.request.settlement(self.id));
        let sequence = unit.sequence(self.transfer);
        Ok(TransferAfter { id: self.id, request: self.request.clone(), status, journal_id, sequence })
    }

    fn let_go(&self, unit: &mut Unit, amount: Quota) -> Result<(), Refusal> {
        check_receiver(unit, self.receiver_account)?;
        let (journal_id, kind, note) = (self.request.settlement(self.id), self.request.kind, self.request.note.clone());
        let Some((from, giver, account)) = self.giver else {
            unit.decide(self.receiver, AgentQuotaCommand::TopUp { journal_id, amount, note })?;
            return Ok(());
        };
        // An account that was disabled in the meantime can do nothing, also not by what it asked for before.
        check_receiver(unit, account)?;
        let (hold_id, to) = (HoldId::of_transfer(self.id), Destination::Agent { account_id: self.request.to, kind });
        unit.decide(giver, AgentQuotaCommand::Settle { hold_id, journal_id, amount, to })?;
        unit.decide(self.receiver, AgentQuotaCommand::Receive { journal_id, kind, from, amount, note })?;
        if amount < self.request.amount {
            self.give_back(unit)?;
        }
        Ok(())
    }

    /// Returns what is left of the hold to the giver; the tenant itself holds nothing.
    fn give_back(&self, unit: &mut Unit) -> Result<(), Refusal> {
        if let Some((_, giver, _)) = self.giver {
            let (hold_id, journal_id) = (HoldId::of_transfer(self.id), JournalId::derived(self.id.0, "release"));
            unit.decide(giver, AgentQuotaCommand::Release { hold_id, journal_id })?;
        }
        Ok(())
    }

    fn expire(&self, unit: &mut Unit, now: DateTime<Utc>) -> Result<(), Refusal> {
        if let Some((_, giver, _)) = self.giver {
            let (hold_id, journal_id) = (HoldId::of_transfer(self.id), JournalId::derived(self.id.0, "expire"));
            unit.decide(giver, AgentQuotaCommand::Expire { hold_id, journal_id, now })?;
        }
        Ok(())
    }
}
