//! The read side: one file per read model (a pure fold into rows, and its queries), the runner that keeps them up to date,
//! the feed of events from JetStream and the log, and the models that the API keeps in memory.
//!
//! What must always hold: a read model and its checkpoint commit together, so every event takes effect exactly once; every
//! query names its tenant.

pub mod account_statements;
pub mod accounts;
mod apply;
pub mod audit;
pub mod bus;
pub mod callbacks;
pub mod cases;
mod copy_rows;
pub mod directory;
pub mod feed;
pub mod freshness;
pub mod generation;
pub mod holds;
pub mod journal_search;
pub mod journals;
pub mod ledger;
pub mod ledger_account;
pub mod license_ends;
pub mod license_index;
pub mod license_stats;
pub mod licenses;
pub mod log_reader;
pub mod log_signal;
pub mod moment;
pub mod movements;
pub mod notices;
pub mod orders;
pub mod page;
pub mod projection;
pub mod projects;
pub mod proposals;
pub mod raw_log;
pub mod rebuild;
pub mod reconciliation_walk;
pub mod reconciliations;
mod rows;
pub mod runner;
pub mod seal;
pub mod source;
pub mod statement_walk;
pub mod statements;
pub mod trial_balance;
mod visibility;
pub mod wait;
pub mod withdrawals;
