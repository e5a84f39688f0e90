//! The HTTP API: one file per endpoint, all routes in [`mod@router`].
//!
//! What must always hold: nothing is written but through [`quotary_commands`]; every query names its tenant and what the
//! actor may see; every error becomes a [`problem`] with a stable code.

pub mod access;
pub mod agents;
pub mod audit;
pub mod auth;
pub mod callbacks;
pub mod cases;
pub mod client;
pub mod client_signature;
pub mod export;
pub mod extract;
pub mod feed;
pub mod health;
pub mod ledger;
pub mod license_batches;
pub mod licenses;
pub mod me;
pub mod metrics;
pub mod notices;
pub mod openapi;
pub mod orders;
pub mod policy;
pub mod problem;
mod problem_of;
pub mod projects;
pub mod proposals;
pub mod quota;
pub mod reason;
pub mod reconciliations;
pub mod reply;
pub mod report;
pub mod risk_rules;
pub mod route;
pub mod router;
pub mod sessions;
pub mod signed_file;
pub mod state;
pub mod stats;
pub mod tokens;
pub mod withdrawals;

pub use openapi::openapi_json;
pub use router::{router, serve, serve_operations};
pub use state::{AppState, Parts};
