//! Both servers together, as `quotary dev`, the tests and the measurements use them.
//!
//! What always holds: both are ready or neither is left running, and they end in order: first the bus, then the truth.

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::config::EmbeddedConfig;
use super::error::{EmbeddedError, ServerKind};
use super::nats::Nats;
use super::postgres::Postgres;

/// Both servers, running and ready.
pub struct Servers {
    /// URL of the database `quotary`, as superuser.
    pub database_url: String,
    /// URL of the bus, with user and password.
    pub nats_url: String,
    /// The private cluster.
    pub postgres: Postgres,
    /// The private bus.
    pub nats: Nats,
    data_dir: PathBuf,
}

/// A server that has ended.
#[derive(Debug, Clone, Copy)]
pub struct ServerExit {
    /// Which.
    pub server: ServerKind,
    /// How, if that could be seen.
    pub status: Option<ExitStatus>,
}

impl Servers {
    /// Starts both servers on the data in `config.data_dir`.
    ///
    /// # Errors
    /// As [`Postgres::start`] and [`Nats::start`].
    pub async fn start(config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        // The bus can start while the cluster does, but both set up the directory, and initdb needs all of the machine.
        let postgres = Postgres::start(config).await?;
        let nats = match Nats::start(config).await {
            Ok(nats) => nats,
            Err(error) => {
                postgres.stop().await?;
                return Err(error);
            }
        };
        Ok(Self {
            database_url: postgres.database_url().to_owned(),
            nats_url: nats.nats_url().to_owned(),
            postgres,
            nats,
            data_dir: config.data_dir.clone(),
        })
    }

    /// Waits until one of the servers ends, for whatever reason.
    pub async fn wait_for_exit(&self) -> ServerExit {
        tokio::select! {
            status = self.postgres.wait() => ServerExit { server: ServerKind::Postgres, status },
            status = self.nats.wait() => ServerExit { server: ServerKind::Nats, status },
        }
    }

    /// Stops both servers in order and keeps their data.
    ///
    /// # Errors
    /// [`EmbeddedError::CannotEnd`] for the first that is there even after SIGKILL; the other has been stopped anyway.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let nats = self.nats.stop().await;
        let postgres = self.postgres.stop().await;
        nats.and(postgres)
    }

    /// Stops both servers and removes the data directory with everything in it.
    ///
    /// # Errors
    /// As [`Servers::stop`]; [`EmbeddedError::File`] when something can't be removed.
    pub async fn destroy(self) -> Result<(), EmbeddedError> {
        let nats = self.nats.stop().await;
        let postgres = self.postgres.destroy().await;
        nats.and(postgres)?;
        fs::remove_dir_all(&self.data_dir).map_err(EmbeddedError::file("remove", &self.data_dir))
    }
}
