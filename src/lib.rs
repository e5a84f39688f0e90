//! The parts of the one binary that are its own: configuration, wiring of the crates into processes, the embedded servers,
//! the import of a vendor's history, the auditor's tools, the witness and the measurements.

pub mod audit;
pub mod bench;
pub mod config;
pub mod database;
pub mod demo;
pub mod dev;
pub mod embedded;
pub mod files;
pub mod import;
pub mod service;
pub mod witness;
