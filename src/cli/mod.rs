//! One file per command of the binary.

use std::path::Path;

use quotary::config::{Config, Secret};
use quotary::dev::DevFile;
use quotary_commands::{Commands, EventLog, Limits, Vault};
use sqlx::PgPool;

pub mod audit;
pub mod bench;
pub mod generate;
pub mod import;
pub mod log;
pub mod projection;
pub mod reconcile;
pub mod reconcile_internal;
pub mod sign;
pub mod tenant;
pub mod witness;

pub(crate) use super::Failure;

/// Takes what `quotary dev` wrote into its data directory.
pub fn use_dev_files(config: &mut Config, folder: &Path) -> Result<(), Failure> {
    let ready = folder.join("dev.json");
    let text = std::fs::read_to_string(&ready).map_err(|error| format!("{}: {error}", ready.display()))?;
    let ready: DevFile = serde_json::from_str(&text)?;
    config.database_url = Some(Secret::from(ready.database_url));
    config.nats_url = Some(Secret::from(ready.nats_url));
    config.master_key_file = Some(folder.join("secrets/master.key"));
    config.token_keys_file = Some(folder.join("secrets/tokens.json"));
    config.seal_key_file = Some(folder.join("secrets/seal.key"));
    config.seal_dir = Some(folder.join(quotary::dev::SEAL));
    Ok(())
}

/// The database as the service, brought up to date.
pub async fn open(config: &Config) -> Result<PgPool, Failure> {
    let url = config.database_url()?;
    let owner = quotary::database::owner_pool(&url, 2).await?;
    quotary::database::migrate(&owner).await?;
    owner.close().await;
    Ok(quotary::database::service_pool(&url, config.connections).await?)
}

/// The database as it is, for reading: nothing is migrated, so a login that can only read is enough.
pub async fn open_to_read(config: &Config) -> Result<PgPool, Failure> {
    Ok(quotary::database::owner_pool(&config.database_url()?, 4).await?)
}

/// The write side on a database.
pub fn commands(config: &Config, pool: PgPool) -> Result<Commands, Failure> {
    let vault = Vault::from_base64(&config.master_key()?)?;
    // The committer's task ends with the last clone of the log, that is with the command.
    let (log, _committer) = EventLog::start(pool, vault, Limits::default(), config.cached_aggregates);
    Ok(Commands::new(log).with_callbacks(config.callbacks()))
}
