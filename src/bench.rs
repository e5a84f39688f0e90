//! Measurements, each beside a rival in the same run on the same machine, so that a noisy machine moves both.
//!
//! Results go to `target/bench.jsonl`, one line each, and to a table.

use std::path::PathBuf;

use crate::embedded::{EmbeddedConfig, Profile, Servers};
use report::Report;
use scene::Failure;

pub mod bundle_verify;
pub mod cold_start;
pub mod commands;
pub mod http;
pub mod import;
pub mod issue_and_activate;
pub mod license_cache;
pub mod load;
pub mod memory;
pub mod read_side;
pub mod reconcile_external;
pub mod reconcile_internal;
pub mod report;
pub mod revoke_coherence;
pub mod scene;
pub mod sealing;
pub mod shop;
pub mod statement;
pub mod transfers;
pub mod verify_http;

/// What is measured, and where it goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only measurements whose name starts with this.
    pub only: Option<String>,
    /// The file of lines.
    pub out: PathBuf,
    /// The orders to import.
    pub orders: Option<PathBuf>,
}

/// Runs the measurements on private servers and prints the table.
///
/// # Errors
/// If a measurement fails.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub async fn run(options: &Options) -> Result<(), Failure> {
    let mut report = Report::create(&options.out)?;
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(&EmbeddedConfig::new(folder.path().join("servers"), Profile::Bench)).await?;
    let outcome = measure(&servers, &mut report, options).await;
    servers.destroy().await?;
    println!("\n{}", report.table());
    outcome
}

async fn measure(servers: &Servers, report: &mut Report, options: &Options) -> Result<(), Failure> {
    let wanted = |names: &[&str]| {
        options.only.as_ref().is_none_or(|only| names.iter().any(|name| name.starts_with(only.as_str())))
    };
    // First, while the process is small.
    if wanted(&["license_cache_1m"]) {
        license_cache::measure(report)?;
    }
    for (name, in_flight) in [("commands_1", 1), ("commands_64", 64), ("commands_512", 512)] {
        if wanted(&[name]) {
            commands::measure(servers, report, in_flight).await?;
        }
    }
    if wanted(&["transfers_spread_64", "transfers_hot_64"]) {
        transfers::measure(servers, report).await?;
    }
    if wanted(&["transfers_full_64"]) {
        transfers::measure_full(servers, report).await?;
    }
    if wanted(&["relay", "projection"]) {
        read_side::measure(servers, report).await?;
    }
    if wanted(&["bundle_verify"]) {
        bundle_verify::measure(servers, report).await?;
    }
    if wanted(&["statement_1m"]) {
        statement::measure(servers, report).await?;
    }
    if wanted(&["verify_http"]) {
        verify_http::measure(servers, report).await?;
    }
    if wanted(&["issue_100k", "activate_64", "cold_start_1m"]) {
        issue_and_activate::measure(servers, report).await?;
    }
    if wanted(&["revoke_coherence"]) {
        revoke_coherence::measure(servers, report).await?;
    }
    if wanted(&["import_cdnow"]) {
        import::measure(servers, report, options.orders.as_deref()).await?;
    }
    if wanted(&["reconcile_internal"]) {
        reconcile_internal::measure(servers, report).await?;
    }
    if wanted(&["reconcile_external_100k"]) {
        reconcile_external::measure(report)?;
    }
    Ok(())
}
