//! What the replay says of every agent, hold, withdrawal, transfer, order and batch, for a comparison with read models.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Replay;
use super::ledger::{CounterAccount, Journal, JournalKind, Posting};
use super::movements::TransferStatus;
use super::shapes::Purpose;
use super::values::{Fingerprint, Id};

/// An agent's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
    /// What it can spend.
    pub available: i128,
    /// What it has reserved.
    pub held: i128,
    /// The position of its last event.
    pub position: u64,
}

/// An open hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The hold.
    pub hold_id: Uuid,
    /// Whose it is.
    pub agent_id: Uuid,
    /// What was reserved.
    pub amount: u64,
    /// What is left of it.
    pub left: u64,
    /// `batch`, `withdrawal` or `transfer`, and which.
    pub purpose: (&'static str, Uuid),
    /// When it was made, in microseconds since 1970.
    pub held_at: i64,
    /// When it ends by itself, in microseconds since 1970.
    pub expires_at: Option<i64>,
    /// Where it was made.
    pub position: u64,
}

/// A withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawalStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The withdrawal.
    pub withdrawal_id: Uuid,
    /// Whose quota it is.
    pub agent_id: Uuid,
    /// What is to be paid.
    pub amount: u64,
    /// What was asked for.
    pub asked: u64,
    /// `requested`, `suspended` …
    pub status: &'static str,
    /// Of its last event.
    pub sequence: u64,
    /// Of its request.
    pub position: u64,
}

/// A transfer that a rule suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovementStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The transfer.
    pub transfer_id: Uuid,
    /// Who gives; none for a top-up by the tenant itself.
    pub from: Option<Uuid>,
    /// Who gets.
    pub to: Uuid,
    /// What was asked for.
    pub asked: u64,
    /// What was let go.
    pub released: u64,
    /// `suspended`, `completed` …
    pub status: &'static str,
    /// Of its last event.
    pub sequence: u64,
    /// Of its suspension.
    pub position: u64,
}

/// An order at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// What was paid.
    pub amount: u64,
    /// What was paid back.
    pub refunded: Option<u64>,
    /// The licences it bought.
    pub batch_id: Option<Uuid>,
    /// The agent whose sale it is.
    pub agent_id: Uuid,
    /// When it was paid, in microseconds since 1970.
    pub paid_at: i64,
    /// When the payment was recorded.
    pub recorded_at: i64,
    /// In how many parts it was paid back.
    pub refunds: u64,
    /// When the last part was paid back.
    pub refunded_at: Option<i64>,
    /// What it says in words.
    pub texts: OrderTexts,
    /// Of its last event.
    pub sequence: u64,
    /// Of its payment.
    pub position: u64,
}

/// The texts of an order by their fingerprints ([`fingerprint`]): the replay keeps no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTexts {
    /// The provider.
    pub provider: [u8; 16],
    /// The provider's number of the payment.
    pub number: [u8; 16],
    /// The currency.
    pub currency: [u8; 16],
    /// The provider's number of the last refund that has one.
    pub refund_number: Option<[u8; 16]>,
    /// Why, of the last refund that says so.
    pub refund_reason: Option<[u8; 16]>,
}

/// What the replay keeps of a text of which only sameness matters: the first half of a SHA-256.
#[must_use]
pub fn fingerprint(text: &str) -> [u8; 16] {
    Fingerprint::of(&[text.as_bytes()]).0
}

/// A batch of licences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The batch.
    pub batch_id: Uuid,
    /// Who pays.
    pub agent_id: Uuid,
    /// How many licences were asked for.
    pub asked: u32,
    /// How many chunks say there are.
    pub announced: u32,
    /// How many there are.
    pub issued: u32,
    /// What all of them cost.
    pub price: u64,
    /// `issuing`, `completed` or `stopped`.
    pub status: &'static str,
    /// Of its request.
    pub position: u64,
}

/// A movement of quota to an agent: a top-up or a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStanding {
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The journal.
    pub journal_id: Uuid,
    /// `transfer` or `top_up`.
    pub kind: &'static str,
    /// Who gave; none for the tenant itself.
    pub from: Option<Uuid>,
    /// Who got it.
    pub to: Option<Uuid>,
    /// How much.
    pub amount: u64,
    /// Of its first event.
    pub position: u64,
}

/// Licences in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LicenseCounts {
    /// Issued.
    pub issued: u64,
    /// Revoked.
    pub revoked: u64,
}

impl Replay {
    /// What the last event moved, if it was one of an agent's quota.
    #[must_use]
    pub fn posting(&self) -> Option<&Posting> {
        self.ledger.last.as_ref().filter(|posting| posting.position == self.position)
    }

    /// Every agent that ever had quota, in no order.
    pub fn agents(&self) -> impl Iterator<Item = AgentStanding> {
        self.ledger.agents.iter().map(|(id, agent)| AgentStanding {
            tenant_id: self.tenants.id(agent.tenant),
            agent_id: (*id).into(),
            available: agent.available,
            held: agent.held,
            position: agent.position,
        })
    }

    /// Every top-up and transfer, in no order.
    pub fn movements(&self) -> impl Iterator<Item = JournalStanding> {
        self.ledger.journals.iter().filter_map(|(id, journal)| self.standing(*id, journal))
    }

    /// A top-up or transfer.
    #[must_use]
    pub fn journal(&self, id: Uuid) -> Option<JournalStanding> {
        let id = Id::from(id);
        self.ledger.journals.get(&id).and_then(|journal| self.standing(id, journal))
    }

    /// How much of a journal was taken back by a reversal.
    #[must_use]
    pub fn taken_back(&self, journal: Uuid) -> u64 {
        self.movements.taken_back.get(&Id::from(journal)).copied().unwrap_or(0)
    }

    /// Whether a rule suspended the transfer of that id.
    #[must_use]
    pub fn is_suspended_transfer(&self, id: Uuid) -> bool {
        self.movements.transfers.contains_key(&Id::from(id))
    }

    fn standing(&self, id: Id, journal: &Journal) -> Option<JournalStanding> {
        let kind = match journal.kind {
            JournalKind::TopUp => "top_up",
            JournalKind::Transfer => "transfer",
            JournalKind::Settlement | JournalKind::Spending | JournalKind::Return | JournalKind::Reversal => {
                return None;
            }
        };
        Some(JournalStanding {
            tenant_id: self.tenants.id(journal.tenant),
            journal_id: id.into(),
            kind,
            from: journal.giver.map(Into::into),
            to: journal.receiver.map(Into::into),
            amount: journal.amount,
            position: journal.position,
        })
    }

    /// Every open hold, in no order.
    pub fn holds(&self) -> impl Iterator<Item = HoldStanding> {
        self.ledger.holds.iter().map(|(id, hold)| HoldStanding {
            tenant_id: self.ledger.agents.get(&hold.agent).map_or(Uuid::nil(), |agent| self.tenants.id(agent.tenant)),
            hold_id: (*id).into(),
            agent_id: hold.agent.into(),
            amount: hold.amount,
            left: hold.left,
            purpose: match hold.purpose {
                Purpose::Batch(id) => ("batch", id.into()),
                Purpose::Withdrawal(id) => ("withdrawal", id.into()),
                Purpose::Transfer(id) => ("transfer", id.into()),
            },
            held_at: hold.held_at,
            expires_at: hold.expires_at,
            position: hold.position,
        })
    }

    /// Every account that is no agent's and ever had a posting: tenant, account, balance.
    pub fn accounts(&self) -> impl Iterator<Item = (Uuid, CounterAccount, i128)> {
        self.ledger.books.iter().zip(&self.tenants.ids).flat_map(|(book, tenant)| {
            let named = [
                (CounterAccount::Issuance, book.issuance),
                (CounterAccount::PaidOut, book.paid_out),
                (CounterAccount::Transit, book.transit),
            ];
            let used = named.into_iter().zip(book.used).filter(|(_, used)| *used).map(|(account, _)| account);
            let sales = book.sales.iter().map(|(project, sold)| (CounterAccount::Sales((*project).into()), *sold));
            used.chain(sales).map(|(account, balance)| ((*tenant).into(), account, balance))
        })
    }

    /// Every withdrawal, in no order.
    pub fn withdrawals(&self) -> impl Iterator<Item = WithdrawalStanding> {
        self.movements.withdrawals.iter().map(|(id, withdrawal)| WithdrawalStanding {
            tenant_id: self.tenants.id(withdrawal.tenant),
            withdrawal_id: (*id).into(),
            agent_id: withdrawal.agent.into(),
            amount: withdrawal.amount,
            asked: withdrawal.asked,
            status: withdrawal.status.name(),
            sequence: withdrawal.sequence,
            position: withdrawal.position,
        })
    }

    /// Every transfer that a rule suspended, in no order.
    pub fn suspended_transfers(&self) -> impl Iterator<Item = MovementStanding> {
        self.movements.transfers.iter().map(|(id, transfer)| MovementStanding {
            tenant_id: self.tenants.id(transfer.tenant),
            transfer_id: (*id).into(),
            from: transfer.from.map(Into::into),
            to: transfer.to.into(),
            asked: transfer.amount,
            released: if let TransferStatus::Completed(amount) = transfer.status { amount } else { 0 },
            status: transfer.status.name(),
            sequence: transfer.sequence,
            position: transfer.position,
        })
    }

    /// Every order, in no order.
    pub fn orders(&self) -> impl Iterator<Item = OrderStanding> {
        self.records.orders.iter().map(|(id, order)| OrderStanding {
            tenant_id: self.tenants.id(order.tenant),
            order_id: (*id).into(),
            amount: order.amount,
            refunded: order.refunded,
            batch_id: order.batch.map(Into::into),
            agent_id: order.agent.into(),
            paid_at: order.paid_at,
            recorded_at: order.recorded_at,
            refunds: order.refunds,
            refunded_at: order.refunded_at,
            texts: order.texts,
            sequence: order.sequence,
            position: order.position,
        })
    }

    /// Every batch, in no order.
    pub fn batches(&self) -> impl Iterator<Item = BatchStanding> {
        self.licensing.batches.iter().map(|(id, batch)| BatchStanding {
            tenant_id: self.tenants.id(batch.tenant),
            batch_id: (*id).into(),
            agent_id: batch.agent.into(),
            asked: batch.asked,
            announced: batch.announced,
            issued: batch.issued,
            price: batch.price,
            status: batch.status(),
            position: batch.position,
        })
    }

    /// Licences in all.
    #[must_use]
    pub fn licenses(&self) -> LicenseCounts {
        LicenseCounts { issued: self.licensing.issued, revoked: self.licensing.revoked }
    }
}
