//! A measurement's line, and the file and table that collect them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::load::Measured;

/// One measurement; fields that make no sense for it are null.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// The unit of `value` and `baseline`.
    pub unit: &'static str,
    /// The figure.
    pub value: f64,
    /// The rival's figure in the same run.
    pub baseline: Option<f64>,
    /// `value / baseline`.
    pub ratio: Option<f64>,
    /// Median latency.
    pub p50_us: Option<u64>,
    /// 99th percentile of latency.
    pub p99_us: Option<u64>,
    /// Conditions, and the rival's latencies.
    pub note: String,
}

impl Line {
    /// A figure without a rival.
    #[must_use]
    pub fn plain(name: impl Into<String>, unit: &'static str, value: f64, note: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit,
            value,
            baseline: None,
            ratio: None,
            p50_us: None,
            p99_us: None,
            note: note.into(),
        }
    }

    /// Adds the rival's figure.
    #[must_use]
    pub fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline > 0.0).then(|| self.value / baseline);
        self
    }

    /// A loop's figure, beside a rival's loop if there is one.
    #[must_use]
    pub fn of_loop(name: impl Into<String>, unit: &'static str, ours: &Measured, rival: Option<&Measured>) -> Self {
        let note = rival.map_or_else(String::new, |r| format!("baseline p50 {} µs, p99 {} µs", r.p50_us, r.p99_us));
        let line = Self::plain(name, unit, ours.per_second, note);
        let line = match rival {
            Some(rival) => line.beside(rival.per_second),
            None => line,
        };
        Self { p50_us: Some(ours.p50_us), p99_us: Some(ours.p99_us), ..line }
    }

    /// Adds to the note.
    #[must_use]
    pub fn noting(mut self, more: &str) -> Self {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(more);
        self
    }
}

/// Collects lines.
#[derive(Debug)]
pub struct Report {
    file: PathBuf,
    lines: Vec<Line>,
}

impl Report {
    /// An empty report that writes to `file`.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn create(file: &Path) -> std::io::Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, "")?;
        Ok(Self { file: file.to_owned(), lines: Vec::new() })
    }

    /// Adds a line, writes it to the file and to the terminal.
    ///
    /// # Errors
    /// If the file can't be written.
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub fn add(&mut self, line: Line) -> std::io::Result<()> {
        let text = serde_json::to_string(&line)?;
        writeln!(OpenOptions::new().append(true).open(&self.file)?, "{text}")?;
        println!("{text}");
        self.lines.push(line);
        Ok(())
    }

    /// The table of all lines.
    ///
    /// # Panics
    /// Never: writing to a string can't fail.
    #[must_use]
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let mut table = format!(
            "{:<22} {:>14} {:>14} {:>7} {:>9} {:>9}  {}\n",
            "name", "value", "baseline", "ratio", "p50 µs", "p99 µs", "unit; note"
        );
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
        let whole = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
        for line in &self.lines {
            let row = writeln!(
                table,
                "{:<22} {:>14} {:>14} {:>7} {:>9} {:>9}  {}; {}",
                line.name,
                number(Some(line.value)),
                number(line.baseline),
                line.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
                whole(line.p50_us),
                whole(line.p99_us),
                line.unit,
                line.note
            );
            row.expect("writing to a string can't fail");
        }
        table
    }
}
