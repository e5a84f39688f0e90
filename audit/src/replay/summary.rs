//! What a log says as a whole.

use serde::Serialize;

use super::Replay;

/// Totals over all tenants. `topped_up = sold + paid_out + available + held`, since the ledger sums to zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last position.
    pub last_position: u64,
    /// Streams.
    pub streams: u64,
    /// Tenants.
    pub tenants: u64,
    /// Licences issued.
    pub licenses: u64,
    /// Quota brought in by the tenants, less what was reversed.
    pub topped_up: i128,
    /// Quota spent on licences, less commissions and refunds.
    pub sold: i128,
    /// Quota paid out as money.
    pub paid_out: i128,
    /// Quota that agents can spend.
    pub available: i128,
    /// Quota that agents have reserved.
    pub held: i128,
    /// Agents that ever had quota.
    pub agents: u64,
    /// Journals, those that only reserve left out.
    pub journals: u64,
    /// Holds that are open.
    pub open_holds: u64,
    /// Holds that expired.
    pub expired_holds: u64,
    /// Quota that ancestors earned by sales.
    pub commissions: i128,
    /// Quota taken back by reversals.
    pub reversed: i128,
    /// Quota given back by refunds.
    pub refunded: i128,
    /// Transfers that a rule suspended.
    pub suspended_transfers: u64,
    /// Withdrawals asked for.
    pub withdrawals: u64,
    /// Orders at providers.
    pub orders: u64,
}

impl Replay {
    /// What the log says so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            last_position: self.position,
            streams: self.streams.len() as u64 + self.licensing.streams(),
            tenants: self.tenants.ids.len() as u64,
            licenses: self.licensing.issued,
            agents: self.ledger.agents.len() as u64,
            journals: self.ledger.journals.len() as u64,
            open_holds: self.ledger.holds.len() as u64,
            expired_holds: self.ledger.expired,
            commissions: self.ledger.commissions,
            reversed: self.ledger.reversed,
            refunded: self.ledger.refunded,
            suspended_transfers: self.movements.transfers.len() as u64,
            withdrawals: self.movements.withdrawals.len() as u64,
            orders: self.records.orders.len() as u64,
            ..Summary::default()
        };
        for book in &self.ledger.books {
            summary.topped_up -= book.issuance;
            summary.sold += book.sold;
            summary.paid_out += book.paid_out;
            summary.available += book.available;
            summary.held += book.held;
        }
        summary
    }
}
