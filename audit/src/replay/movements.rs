//! Suspended transfers, withdrawals and reversals: legal changes of state, and the hold that moves with each decision.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{Ledger, spot, spot_finding};
use super::shapes::{MovementKind, ReversalEvent, TransferEvent, WithdrawalEvent};
use super::step::{Reserved, Reversal, SpotKind, Step};
use super::values::{Id, Time};
use super::{Found, Kind, Seen};

/// How far the clock that decides on an expiry may be ahead of the one that stamps events.
const CLOCK_TOLERANCE_US: i64 = 1_000_000;

/// Everything that waits for somebody's decision, and what was decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Movements {
    pub transfers: HashMap<Id, Transfer>,
    pub withdrawals: HashMap<Id, Withdrawal>,
    /// How much of a journal was taken back by a reversal.
    pub taken_back: HashMap<Id, u64>,
}

/// A transfer that a rule suspended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub tenant: u32,
    pub from: Option<Id>,
    pub to: Id,
    pub asked_by: Id,
    pub amount: u64,
    pub kind: MovementKind,
    pub expires_at: Option<i64>,
    pub status: TransferStatus,
    pub sequence: u64,
    pub position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TransferStatus {
    Suspended,
    Completed(u64),
    Refused,
    Expired,
}

impl TransferStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Completed(_) => "completed",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// Quota that is to leave as money.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Withdrawal {
    pub tenant: u32,
    pub agent: Id,
    /// What was asked for.
    pub asked: u64,
    /// What is to be paid.
    pub amount: u64,
    pub expires_at: Option<i64>,
    pub status: WithdrawalStatus,
    pub released_by: Option<Id>,
    pub sequence: u64,
    pub position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WithdrawalStatus {
    Requested,
    Suspended,
    Approved,
    Refused,
    Paid,
    Cancelled,
    Expired,
}

impl WithdrawalStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Suspended => "suspended",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

fn is_early(seen: &Seen<'_>, expires_at: Option<i64>) -> bool {
    expires_at.is_none_or(|end| seen.at.saturating_add(CLOCK_TOLERANCE_US) < end)
}

impl Movements {
    /// An event of a suspended transfer.
    pub fn transfer(&mut self, seen: &Seen<'_>, event: TransferEvent, step: &mut Step, found: &mut Found) {
        let reserved = step.transfers.entry(seen.id).or_insert_with(|| Reserved::new(spot(seen, SpotKind::Transfer)));
        if let TransferEvent::TransferSuspended(request) = event {
            if self.transfers.contains_key(&seen.id) {
                return found.add(seen.finding(Kind::StreamStart, "the transfer was suspended before"));
            }
            if request.reasons.is_empty() {
                found.add(seen.finding(Kind::State, "no rule suspends it"));
            }
            if request.amount.0 == 0 || request.from == Some(request.to) {
                found.add(seen.finding(Kind::Amount, "it moves nothing, or to oneself"));
            }
            let transfer = Transfer {
                tenant: seen.tenant,
                from: request.from,
                to: request.to,
                asked_by: request.asked_by,
                amount: request.amount.0,
                kind: request.kind,
                expires_at: request.expires_at.map(|Time(end)| end),
                status: TransferStatus::Suspended,
                sequence: seen.sequence,
                position: seen.position,
            };
            self.transfers.insert(seen.id, transfer);
            return;
        }
        let Some(transfer) = self.transfers.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "the transfer was never suspended"));
        };
        transfer.sequence = seen.sequence;
        if transfer.status != TransferStatus::Suspended {
            let text = format!("the transfer is {} already", transfer.status.name());
            found.add(seen.finding(Kind::State, text));
        }
        let party = |by: Id| by == transfer.to || by == transfer.asked_by || Some(by) == transfer.from;
        transfer.status = match event {
            TransferEvent::TransferSuspended(_) => transfer.status,
            TransferEvent::TransferReleased { by, amount } => {
                if party(by) {
                    found.add(seen.finding(Kind::Party, format!("{by} is a party to the transfer")));
                }
                if amount.0 == 0 || amount.0 > transfer.amount {
                    found.add(seen.finding(Kind::Amount, format!("{amount} of {} is let go", transfer.amount)));
                }
                reserved.leaves = Some(amount.0);
                TransferStatus::Completed(amount.0)
            }
            TransferEvent::TransferRefused { by, .. } => {
                if party(by) {
                    found.add(seen.finding(Kind::Party, format!("{by} is a party to the transfer")));
                }
                TransferStatus::Refused
            }
            TransferEvent::TransferExpired {} => {
                if is_early(seen, transfer.expires_at) {
                    found.add(seen.finding(Kind::ExpiredEarly, "the transfer had not come to its end"));
                }
                TransferStatus::Expired
            }
        };
    }

    /// An event of a withdrawal.
    pub fn withdrawal(&mut self, seen: &Seen<'_>, event: WithdrawalEvent, step: &mut Step, found: &mut Found) {
        use WithdrawalStatus::{Approved, Cancelled, Expired, Paid, Refused, Requested, Suspended};
        let reserved =
            step.withdrawals.entry(seen.id).or_insert_with(|| Reserved::new(spot(seen, SpotKind::Withdrawal)));
        if let WithdrawalEvent::WithdrawalRequested(request) = event {
            if self.withdrawals.contains_key(&seen.id) {
                return found.add(seen.finding(Kind::StreamStart, "the withdrawal was asked for before"));
            }
            let withdrawal = Withdrawal {
                tenant: seen.tenant,
                agent: request.agent_id,
                asked: request.amount.0,
                amount: request.amount.0,
                expires_at: request.expires_at.map(|Time(end)| end),
                status: if request.reasons.is_empty() { Requested } else { Suspended },
                released_by: None,
                sequence: seen.sequence,
                position: seen.position,
            };
            self.withdrawals.insert(seen.id, withdrawal);
            return;
        }
        let Some(withdrawal) = self.withdrawals.get_mut(&seen.id) else {
            return found.add(seen.finding(Kind::StreamStart, "the withdrawal was never asked for"));
        };
        withdrawal.sequence = seen.sequence;
        let before = withdrawal.status;
        let own = |by: Id| (by == withdrawal.agent).then(|| format!("{by} decides on the own withdrawal"));
        let (next, legal, party) = match event {
            WithdrawalEvent::WithdrawalRequested(_) => (before, false, None),
            WithdrawalEvent::WithdrawalReleased { by, amount } => {
                if amount.0 == 0 || amount.0 > withdrawal.asked {
                    found.add(seen.finding(Kind::Amount, format!("{amount} of {} is let go", withdrawal.asked)));
                }
                let party = own(by);
                withdrawal.amount = amount.0;
                withdrawal.released_by = Some(by);
                reserved.released = Some(amount.0);
                (Requested, before == Suspended, party)
            }
            WithdrawalEvent::WithdrawalCancelled {} => (Cancelled, matches!(before, Requested | Suspended), None),
            WithdrawalEvent::WithdrawalExpired {} => {
                if is_early(seen, withdrawal.expires_at) {
                    found.add(seen.finding(Kind::ExpiredEarly, "the withdrawal had not come to its end"));
                }
                (Expired, before == Suspended, None)
            }
            WithdrawalEvent::WithdrawalApproved { by } => {
                let same = (withdrawal.released_by == Some(by)).then(|| format!("{by} released and approves it"));
                reserved.leaves = Some(withdrawal.amount);
                (Approved, before == Requested, own(by).or(same))
            }
            WithdrawalEvent::WithdrawalRefused { .. } => (Refused, matches!(before, Requested | Suspended), None),
            WithdrawalEvent::WithdrawalPaid { by, .. } => (Paid, before == Approved, own(by)),
        };
        if !legal {
            let text = format!("the withdrawal is {} and can't become {}", before.name(), next.name());
            found.add(seen.finding(Kind::State, text));
        }
        if let Some(text) = party {
            found.add(seen.finding(Kind::Party, text));
        }
        withdrawal.status = next;
    }

    /// A journal that is taken back; what it needs is checked at the step's end.
    pub fn reversal(&mut self, seen: &Seen<'_>, event: &ReversalEvent, step: &mut Step, found: &mut Found) {
        let ReversalEvent::JournalReversed { journal_id, reverses, amount, .. } = event;
        if seen.sequence != 1 {
            found.add(seen.finding(Kind::Reversal, "the journal was reversed before"));
        }
        if *reverses != seen.id {
            found.add(seen.finding(Kind::Reversal, "the stream is not that of the journal it reverses"));
        }
        self.taken_back.insert(*reverses, amount.0);
        let at = spot(seen, SpotKind::Reversal);
        step.reversals.push(Reversal { at, journal: *journal_id, reverses: *reverses, amount: amount.0 });
    }

    /// Holds are what the decisions say.
    pub fn end_step(&mut self, step: &mut Step, ledger: &Ledger, found: &mut Found, tenant: impl Fn(u32) -> Uuid) {
        for (id, reserved) in &step.transfers {
            let text = match self.transfers.get(id) {
                None => Some("a hold is for a transfer that is not suspended".to_owned()),
                Some(transfer) => check_transfer(*id, transfer, reserved, step, ledger),
            };
            if let Some(text) = text {
                found.add(spot_finding(reserved.at, Kind::HoldState, text, &tenant));
            }
        }
        for (id, reserved) in &step.withdrawals {
            let text = match self.withdrawals.get(id) {
                None => Some("a hold is for a withdrawal that was never asked for".to_owned()),
                Some(withdrawal) => check_withdrawal(*id, withdrawal, reserved, ledger),
            };
            if let Some(text) = text {
                found.add(spot_finding(reserved.at, Kind::HoldState, text, &tenant));
            }
        }
    }
}

fn check_transfer(id: Id, transfer: &Transfer, reserved: &Reserved, step: &Step, ledger: &Ledger) -> Option<String> {
    let is_open = transfer.status == TransferStatus::Suspended && transfer.from.is_some();
    let (expected, left) = (if is_open { transfer.amount } else { 0 }, ledger.hold_left(id));
    if left != expected {
        return Some(format!("the transfer is {} and {left} is held, not {expected}", transfer.status.name()));
    }
    if is_open && ledger.hold_agent(id) != transfer.from {
        return Some("the hold is not the giver's".to_owned());
    }
    let leaves = reserved.leaves.unwrap_or(0);
    if transfer.from.is_some() {
        let to_receiver = reserved.to.is_none_or(|to| to == transfer.to);
        return (reserved.settled != leaves || !to_receiver)
            .then(|| format!("{leaves} was let go and {} left the hold", reserved.settled));
    }
    let top_ups = step.top_ups.iter().filter(|top_up| top_up.journal == id);
    let topped_up: u64 = top_ups.map(|top_up| if top_up.agent == transfer.to { top_up.amount } else { 0 }).sum();
    (topped_up != leaves).then(|| format!("{leaves} was let go and {topped_up} was given"))
}

fn check_withdrawal(id: Id, withdrawal: &Withdrawal, reserved: &Reserved, ledger: &Ledger) -> Option<String> {
    use WithdrawalStatus::{Requested, Suspended};
    let is_open = matches!(withdrawal.status, Requested | Suspended);
    let (expected, left) = (if is_open { withdrawal.amount } else { 0 }, ledger.hold_left(id));
    if left != expected {
        return Some(format!("the withdrawal is {} and {left} is held, not {expected}", withdrawal.status.name()));
    }
    if is_open && ledger.hold_agent(id) != Some(withdrawal.agent) {
        return Some("the hold is not the agent's".to_owned());
    }
    if reserved.held_again && reserved.released.is_none() {
        return Some("the amount was held again without a decision".to_owned());
    }
    let leaves = reserved.leaves.unwrap_or(0);
    (reserved.settled != leaves).then(|| format!("{leaves} was approved and {} left the hold", reserved.settled))
}
