//! The pure heart of Quotary: aggregates, events, decisions, postings, money and ids.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time, ids and prices come in with the command, so
//! that replaying the log gives the same state, bit for bit.

pub mod access;
pub mod account;
pub mod activity;
pub mod agent_quota;
pub mod aggregate;
pub mod callback;
pub mod case;
pub mod commission;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod license;
pub mod license_batch;
pub mod order;
pub mod project;
pub mod proposal;
pub mod quota;
pub mod reconciliation;
pub mod reversal;
pub mod risk;
pub mod sealed;
pub mod tenant;
pub mod transfer;
pub mod withdrawal;

pub use access::{Actor, Role};
pub use aggregate::{Aggregate, EventName};
pub use event::{DecodeError, Event, Metadata, RecordedEvent};
pub use ids::{
    AccountId, ApiKeyId, BatchId, CaseId, DeliveryId, HoldId, JournalId, LicenseId, OrderId, PlanId, ProjectId,
    ProposalId, ReconciliationId, TenantId, WithdrawalId,
};
pub use quota::{Quota, QuotaError};
pub use sealed::Sealed;
