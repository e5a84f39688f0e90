//! `quotary audit`: checks that share nothing with what they check, and what belongs to the seal of the log.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use quotary::audit::{bundle, cross_check, verify_bundle};
use quotary::config::Config;
use quotary::files;
use quotary_audit::note::{Algorithm, SignerKey, VerifierKey};
use quotary_commands::vault::random;
use quotary_projections::bus::connect::connect;

use super::{Failure, open_to_read};

#[derive(Subcommand)]
pub enum Audit {
    /// Rebuilds every aggregate through stock cqrs-es and postgres-es and compares.
    Crosscheck,
    /// Writes all that is sealed into an empty folder, for `audit verify`.
    Export {
        /// The folder.
        folder: PathBuf,
        /// Every checkpoint ever published, and not only as many as are enough.
        #[arg(long)]
        all_checkpoints: bool,
    },
    /// Checks a bundle, with no access to the system. Names the first position that is wrong, and fails then.
    Verify {
        /// The folder that `audit export` has written.
        folder: PathBuf,
        /// A verifier key of the log that was handed over by other means; may be repeated.
        #[arg(long = "vkey")]
        keys: Vec<VerifierKey>,
        /// A checkpoint that was kept from earlier; may be repeated.
        #[arg(long = "checkpoint")]
        checkpoints: Vec<PathBuf>,
        /// A verifier key of a witness; may be repeated.
        #[arg(long = "witness")]
        witnesses: Vec<VerifierKey>,
        /// Threads that hash; as many as there are cores if absent.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Makes a key that seals the log, or a witness's, in a new file that only its owner can read; prints its verifier key.
    NewKey {
        /// The log's or the witness's name, e.g. ledger.example.com/prod; without spaces and plus signs.
        name: String,
        /// The file.
        file: PathBuf,
        /// A witness's key.
        #[arg(long)]
        witness: bool,
    },
    /// Prints the verifier keys of a file of keys.
    Vkey {
        /// The file.
        file: PathBuf,
    },
    /// Keeps the last published checkpoint as the head outside of PostgreSQL, where none is kept: after the place was
    /// moved, and only if the log is known to be the right one.
    AdoptHead,
}

impl Audit {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub async fn run(self, config: impl Fn() -> Result<Config, Failure>) -> Result<ExitCode, Failure> {
        match self {
            Self::Crosscheck => {
                let compared = cross_check::run(&open_to_read(&config()?).await?).await?;
                println!("{compared} aggregates are equal");
            }
            Self::Export { folder, all_checkpoints } => {
                let pool = open_to_read(&config()?).await?;
                let manifest = bundle::export(&pool, &folder, all_checkpoints).await?;
                println!("{}", serde_json::to_string(&manifest)?);
            }
            Self::Verify { folder, keys, checkpoints, witnesses, threads } => {
                let options = verify_bundle::options(keys, &checkpoints, witnesses, threads)?;
                let report = tokio::task::spawn_blocking(move || verify_bundle::run(&folder, &options)).await?;
                println!("{}", serde_json::to_string(&report)?);
                return Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Self::NewKey { name, file, witness } => println!("{}", new_key(&name, &file, witness)?),
            Self::Vkey { file } => {
                let text = zeroize::Zeroizing::new(std::fs::read_to_string(file)?);
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    println!("{}", line.trim().parse::<SignerKey>()?.verifier());
                }
            }
            Self::AdoptHead => {
                let config = config()?;
                let nats = match config.nats_url()? {
                    Some(url) if config.seal_bucket.is_some() => Some(async_nats::jetstream::new(connect(&url).await?)),
                    _ => None,
                };
                let heads = quotary::service::seal_heads(&config, nats.as_ref()).await?;
                let checkpoint = quotary_workers::seal::adopt(&open_to_read(&config).await?, &heads).await?;
                println!("the head of {} events of {} is kept", checkpoint.size, checkpoint.origin);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn new_key(name: &str, file: &Path, witness: bool) -> Result<VerifierKey, Failure> {
    if file.exists() {
        return Err(format!("{} is there already", file.display()).into());
    }
    let algorithm = if witness { Algorithm::Cosignature } else { Algorithm::Ed25519 };
    let key = SignerKey::from_seed(name, algorithm, &*random::<32>()?)?;
    files::write_secret(file, format!("{}\n", key.to_secret_text()).as_bytes())?;
    Ok(key.verifier())
}
