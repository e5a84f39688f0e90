//! Who has to be told of what happened to a suspended transfer or a withdrawal.
//!
//! What must always hold: told are the giver, the receiver and whoever asked, everybody above the giver, and the tenant's super
//! admins who were there before; each once.

use uuid::Uuid;

use super::Seen;
use super::movements::Movements;
use super::records::Records;
use super::shapes::{TransferEvent, WithdrawalEvent};
use super::values::{Amount, Id, occurred_at};

/// What an event tells, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Of the event.
    pub position: u64,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// E.g. `transfer-suspended`.
    pub kind: &'static str,
    /// The transfer or withdrawal.
    pub subject_id: Uuid,
    /// How much.
    pub amount: u64,
    /// When, in microseconds since 1970.
    pub occurred_at: i64,
    /// Who is told, sorted.
    pub whom: Vec<Uuid>,
}

/// What an event tells: its name, and how much if that is not what was asked for.
pub(super) type Told = (&'static str, Option<Amount>);

pub(super) fn of_transfer(event: &TransferEvent) -> Told {
    match event {
        TransferEvent::TransferSuspended(_) => ("transfer-suspended", None),
        TransferEvent::TransferReleased { amount, .. } => ("transfer-released", Some(*amount)),
        TransferEvent::TransferRefused { .. } => ("transfer-refused", None),
        TransferEvent::TransferExpired {} => ("transfer-expired", None),
    }
}

pub(super) fn of_withdrawal(event: &WithdrawalEvent) -> Told {
    match event {
        WithdrawalEvent::WithdrawalRequested(request) if !request.reasons.is_empty() => ("withdrawal-suspended", None),
        WithdrawalEvent::WithdrawalRequested(_) => ("withdrawal-requested", None),
        WithdrawalEvent::WithdrawalReleased { amount, .. } => ("withdrawal-released", Some(*amount)),
        WithdrawalEvent::WithdrawalCancelled {} => ("withdrawal-cancelled", None),
        WithdrawalEvent::WithdrawalExpired {} => ("withdrawal-expired", None),
        WithdrawalEvent::WithdrawalApproved { .. } => ("withdrawal-approved", None),
        WithdrawalEvent::WithdrawalRefused { .. } => ("withdrawal-refused", None),
        WithdrawalEvent::WithdrawalPaid { .. } => ("withdrawal-paid", None),
    }
}

/// The notice of an event that was applied; none if nobody ever asked for what it is about.
pub(super) fn of(seen: &Seen<'_>, (kind, amount): Told, movements: &Movements, records: &Records) -> Option<Notice> {
    let transfer = movements.transfers.get(&seen.id).filter(|_| seen.aggregate_type == "Transfer");
    let (giver, others, asked) = if let Some(transfer) = transfer {
        (transfer.from, [transfer.to, transfer.asked_by], transfer.amount)
    } else {
        let withdrawal = movements.withdrawals.get(&seen.id)?;
        (Some(withdrawal.agent), [withdrawal.agent; 2], withdrawal.asked)
    };
    let above = giver.and_then(|giver| records.accounts.get(&giver)).map_or(&[][..], |giver| &giver.ancestors[..]);
    let admins = records.super_admins.get(&seen.tenant).map_or(&[][..], Vec::as_slice);
    let admins = admins.iter().filter(|(_, since)| *since < seen.position).map(|(admin, _)| *admin);
    let mut whom: Vec<Id> = giver.into_iter().chain(others).chain(above.iter().copied()).chain(admins).collect();
    whom.sort_unstable();
    whom.dedup();
    Some(Notice {
        position: seen.position,
        tenant_id: seen.tenant_id,
        kind,
        subject_id: seen.id.into(),
        amount: amount.map_or(asked, |amount| amount.0),
        occurred_at: occurred_at(seen.metadata, seen.at),
        whom: whom.into_iter().map(Into::into).collect(),
    })
}

impl super::Replay {
    /// What the last event told, if it told anything.
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }
}
