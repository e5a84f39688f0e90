//! `quotary audit verify`: the checks of `quotary-audit` on a bundle, and nothing else. No database, no network, and no
//! code of the write side.

use std::io;
use std::path::{Path, PathBuf};

use quotary_audit::bundle::{self, Held, Options};
use quotary_audit::finding::Finding;
use quotary_audit::note::VerifierKey;
use quotary_audit::replay::{Replay, Summary};
use serde::Serialize;

/// What a check says, for people and programs.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// Entries that were checked.
    pub entries: u64,
    /// The root over them.
    pub root: Option<String>,
    /// Checkpoints that were checked.
    pub checkpoints: u64,
    /// Whether a key that was handed over vouches for the log's keys. If not, the bundle vouches for itself.
    pub is_pinned: bool,
    /// Events under the last checkpoint that a witness has cosigned, and when, in seconds since 1970.
    pub witnessed: Option<(u64, u64)>,
    /// What the log says as a whole, if nothing is wrong.
    pub summary: Option<Summary>,
    /// The first thing that is wrong.
    pub first: Option<Finding>,
    /// All that was found, the first position first.
    pub findings: Vec<Finding>,
}

/// Reads what the auditor brings along.
///
/// # Errors
/// If a checkpoint's file can't be read or is no signed note.
pub fn options(
    pinned: Vec<VerifierKey>,
    checkpoints: &[PathBuf],
    witnesses: Vec<VerifierKey>,
    threads: Option<usize>,
) -> io::Result<Options> {
    let held = checkpoints.iter().map(|path| {
        let note = std::fs::read_to_string(path)?.parse().map_err(io::Error::other)?;
        Ok(Held { name: path.display().to_string(), note })
    });
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    Ok(Options { pinned, held: held.collect::<io::Result<_>>()?, witnesses, threads })
}

/// Checks the bundle in `folder`.
#[must_use]
pub fn run(folder: &Path, options: &Options) -> Report {
    let report = bundle::verify(folder, options, Replay::default());
    Report {
        origin: report.origin,
        entries: report.entries,
        root: report.root,
        checkpoints: report.checkpoints,
        is_pinned: report.is_pinned,
        witnessed: report.witnessed,
        summary: report.summary,
        first: report.findings.first().cloned(),
        findings: report.findings,
    }
}
