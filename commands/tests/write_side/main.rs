//! The write side against a real PostgreSQL: one module per promise.
//!
//! What always holds: every test has a database of its own and ends by reading the whole log, which must be dense, ordered
//! in time, and balanced at every commit, with no balance ever below zero.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod access;
mod batches;
mod claims;
mod cut_connections;
mod dice;
mod erasures;
mod glances;
mod house;
mod licenses;
mod model;
mod old_states;
mod positions;
mod proposals;
mod receipts;
mod refunds;
mod reviewed_model;
mod reviews;
mod snapshots;
mod stock;
mod tenants;
mod void_states;
