//! A movement of quota to an agent, made at once or suspended by the tenant's risk rules (rows Q1, Q2, Q4).
//!
//! Both halves of a movement stand in one atomic step; so do a suspension and the hold of its amount. The rules are read
//! in the same step, so what they say is what holds at that place of the log.

use chrono::{DateTime, Utc};
use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, HoldPurpose, TransferKind};
use quotary_domain::risk::{RiskPolicy, RiskReason};
use quotary_domain::transfer::{Transfer, TransferCommand, TransferRequest};
use quotary_domain::{AccountId, HoldId, JournalId, Quota};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::unit::{Handle, Seen, Unit};

/// Why a movement waits for an admin, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The rules that suspended it; at least one.
    pub reasons: Vec<RiskReason>,
    /// When it ends by itself and the amount returns.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A movement that is asked for.
pub(crate) struct Movement<'a> {
    pub(crate) id: JournalId,
    pub(crate) kind: TransferKind,
    /// Whose quota it is; `None` for the tenant's own.
    pub(crate) from: Option<(AccountId, Handle<AgentQuota>)>,
    pub(crate) to: (AccountId, Handle<AgentQuota>),
    pub(crate) amount: Quota,
    pub(crate) note: Option<&'a str>,
    pub(crate) asked_by: AccountId,
    pub(crate) now: DateTime<Utc>,
}

impl Movement<'_> {
    /// Moves the quota, or holds it until an admin decides if a rule of the tenant says so.
    pub(crate) fn make(&self, unit: &mut Unit, policy: Seen<RiskPolicy>) -> Result<Option<Suspension>, Refusal> {
        let rules = &unit.see(policy).rules;
        let reasons = match self.from {
            Some((_, giver)) => rules.assess_transfer(&unit.get(giver).activity, self.to.0, self.amount, self.now)?,
            None => rules.assess_alone(self.amount),
        };
        if reasons.is_empty() {
            return self.complete(unit).map(|()| None);
        }
        let suspension = Suspension { reasons, expires_at: rules.review_ends(self.now) };
        self.suspend(unit, &suspension)?;
        Ok(Some(suspension))
    }

    fn complete(&self, unit: &mut Unit) -> Result<(), Refusal> {
        let (journal_id, kind, amount, at) = (self.id, self.kind, self.amount, self.now);
        let ((to, receiver), note) = (self.to, self.note.map(str::to_owned));
        match self.from {
            Some((from, giver)) => {
                let sent = AgentQuotaCommand::Send { journal_id, kind, to, amount, note: note.clone(), at };
                unit.decide(giver, sent)?;
                unit.decide(receiver, AgentQuotaCommand::Receive { journal_id, kind, from, amount, note })?;
            }
            None => unit.decide(receiver, AgentQuotaCommand::TopUp { journal_id, amount, note })?,
        }
        Ok(())
    }

    fn suspend(&self, unit: &mut Unit, suspension: &Suspension) -> Result<(), Refusal> {
        let Suspension { reasons, expires_at } = suspension.clone();
        if let Some((_, giver)) = self.from {
            let (hold_id, purpose) = (HoldId::of_transfer(self.id), HoldPurpose::Transfer(self.id));
            let (amount, at) = (self.amount, self.now);
            unit.decide(giver, AgentQuotaCommand::Hold { hold_id, amount, purpose, at, expires_at })?;
        }
        let request = TransferRequest {
            kind: self.kind,
            from: self.from.map(|(from, _)| from),
            to: self.to.0,
            amount: self.amount,
            note: self.note.map(str::to_owned),
            asked_by: self.asked_by,
            reasons,
            expires_at,
        };
        unit.begin::<Transfer>(self.id, TransferCommand::Suspend(request))?;
        Ok(())
    }
}

/// Refuses receivers that are unknown, disabled, or of a role without quota.
pub(crate) fn check_receiver(unit: &Unit, account: impl Into<Seen<Account>>) -> Result<(), Refusal> {
    let account = unit.see(account.into());
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

/// Refuses remarks that are too long or have control characters.
pub(crate) fn check_note(note: Option<&str>) -> Result<(), Refusal> {
    note.map_or(Ok(()), |note| Refusal::check_text("note", note, 0, 500))
}
