//! The one binary: everything that Quotary does is a command of it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use quotary::config::Config;
use quotary::dev::DevOptions;
use quotary::service::{Halves, Service};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

mod cli;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sells software licences through a tree of resellers, on an event log that proves itself.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Settings of every command that works on a database. Flags win over the environment, that over the file.
#[derive(Args, Serialize)]
struct Settings {
    /// A configuration file (TOML).
    #[arg(long, env = "QUOTARY_CONFIG", global = true)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address of the API.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// PostgreSQL, as the owner of the database.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// NATS with JetStream.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    nats_url: Option<String>,
    /// A file with the master key in base64.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key_file: Option<PathBuf>,
    /// Take database, bus and keys from the data directory of `quotary dev`, which must be running.
    #[arg(long, global = true)]
    #[serde(skip)]
    dev: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process on private servers: PostgreSQL, NATS, API and workers.
    Dev {
        /// Where all data is.
        #[arg(long, default_value = "data/dev")]
        data_dir: PathBuf,
        /// The API's port; 0 takes any that is free.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Make demo data at the first start.
        #[arg(long)]
        demo: bool,
    },
    /// API and workers against `DATABASE_URL` and `NATS_URL`.
    Serve,
    /// The API alone.
    Api,
    /// The workers alone.
    Worker,
    /// Brings the database's schema up to date.
    Migrate,
    /// Vendors of this installation.
    #[command(subcommand)]
    Tenant(cli::tenant::Tenant),
    /// Brings the history of a vendor that moves in.
    #[command(subcommand)]
    Import(cli::import::Import),
    /// The event log, for auditors.
    #[command(subcommand)]
    Log(cli::log::Log),
    /// Checks that share nothing with what they check.
    #[command(subcommand)]
    Audit(cli::audit::Audit),
    /// Records of the same payments, compared.
    #[command(subcommand)]
    Reconcile(cli::reconcile::Reconcile),
    /// Read models.
    #[command(subcommand)]
    Projection(cli::projection::Projection),
    /// Signs a request of client software and prints it as a curl configuration (for `curl -K -`).
    Sign(cli::sign::Sign),
    /// Cosigns the checkpoints of logs as long as they continue what it has seen: a second signer, on a host of its own.
    Witness(cli::witness::Witness),
    /// Measures, beside rivals in the same run, on private servers.
    Bench(cli::bench::Bench),
    /// Rewrites the files that are made from code.
    Generate,
    /// Runs a command with `DATABASE_URL` and `NATS_URL` of private servers that are gone afterwards.
    WithServers {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("QUOTARY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,quotary=info,sqlx::query=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        // Whoever reads our output has seen enough, as in `quotary log replay | head`.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Tells an error with its causes.
fn failed(error: &dyn std::error::Error) -> ExitCode {
    let causes = std::iter::successors(Some(error), |error| error.source());
    eprintln!("quotary: {}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let settings = cli.settings;
    match cli.command {
        Command::Dev { data_dir, port, demo } => {
            quotary::dev::run(&DevOptions { data_dir, port, demo }, stopped()?).await?;
        }
        Command::Serve => serve(&settings.load()?, Halves::Both).await?,
        Command::Api => serve(&settings.load()?, Halves::Api).await?,
        Command::Worker => serve(&settings.load()?, Halves::Worker).await?,
        Command::Migrate => {
            let owner = quotary::database::owner_pool(&settings.load()?.database_url()?, 2).await?;
            quotary::database::migrate(&owner).await?;
            quotary::service::ensure_read_models(&owner).await?;
        }
        Command::Tenant(command) => command.run(&settings.load()?).await?,
        Command::Import(command) => command.run(&settings.load()?).await?,
        Command::Log(command) => command.run(|| settings.load()).await?,
        Command::Audit(command) => return command.run(|| settings.load()).await,
        Command::Reconcile(command) => return command.run(|| settings.load()).await,
        Command::Projection(command) => command.run(&settings.load()?).await?,
        Command::Sign(command) => command.run()?,
        Command::Witness(command) => command.run(stopped()?).await?,
        Command::Bench(command) => command.run().await?,
        Command::Generate => cli::generate::run().await?,
        Command::WithServers { command } => return Ok(quotary::embedded::with_servers(command).await?),
    }
    Ok(ExitCode::SUCCESS)
}

impl Settings {
    fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref(), self)?;
        if let Some(folder) = &self.dev {
            cli::use_dev_files(&mut config, folder)?;
        }
        Ok(config)
    }
}

#[expect(clippy::print_stdout, reason = "a supervisor waits for this line")]
async fn serve(config: &Config, halves: Halves) -> Result<(), Failure> {
    let stop = stopped()?;
    let service = Service::start(config, halves).await?;
    println!("listening on http://{}", service.address);
    Ok(service.run_until(stop).await?)
}

/// Ctrl-C or SIGTERM.
fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
