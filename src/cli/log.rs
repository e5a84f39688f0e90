//! `quotary log`: the event log for auditors.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use quotary::audit::{export, replay, verify};
use quotary::config::Config;
use quotary_projections::log_reader::LogReader;

use super::{Failure, open_to_read};

#[derive(Subcommand)]
pub enum Log {
    /// Writes the whole log to a file, one JSON object a line.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Folds the log and prints every agent's quota as it was.
    Replay {
        /// Up to this position; to the end if absent.
        #[arg(long)]
        until: Option<u64>,
    },
    /// Checks every event: order, streams, shapes, and the ledger at every position.
    Verify {
        /// An exported file; the database if absent.
        file: Option<PathBuf>,
    },
}

impl Log {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: impl Fn() -> Result<Config, Failure>) -> Result<(), Failure> {
        match self {
            Self::Export { file } => {
                let log = LogReader::new(open_to_read(&config()?).await?);
                let last = export::export(&log, &mut BufWriter::new(File::create(&file)?)).await?;
                println!("{last} events in {}", file.display());
            }
            Self::Replay { until } => {
                let log = LogReader::new(open_to_read(&config()?).await?);
                let (position, standing) = replay::balances(&log, until).await?;
                let mut out = BufWriter::new(std::io::stdout().lock());
                writeln!(out, "{}", serde_json::json!({ "position": position, "agents": standing.len() }))?;
                for standing in standing {
                    writeln!(out, "{}", serde_json::to_string(&standing)?)?;
                }
                out.flush()?;
            }
            Self::Verify { file } => {
                let mut verifier = verify::Verifier::default();
                if let Some(file) = file {
                    export::walk_file(BufReader::new(File::open(file)?), |event| verifier.check(&event))?;
                } else {
                    let log = LogReader::new(open_to_read(&config()?).await?);
                    export::walk(&log, None, |event| verifier.check(&event)).await?;
                }
                println!("{}", serde_json::to_string(&verifier.finish()?)?);
            }
        }
        Ok(())
    }
}
