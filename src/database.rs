//! Connections to PostgreSQL: as the owner, who migrates, and as the service, which can add to the log and never change it.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

/// The migrations, as they stand in `schema/migrations`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("schema/migrations");

/// How long a connection is waited for unless the configuration says otherwise.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL can't be read or the server does not answer.
    #[error("the database can't be reached")]
    Connect(#[from] sqlx::Error),
    /// A migration failed, or the database is newer than this program.
    #[error("the database can't be brought up to date")]
    Migrate(#[from] MigrateError),
}

/// Connections as the owner.
///
/// # Errors
/// [`DatabaseError::Connect`] if the server can't be reached.
pub async fn owner_pool(url: &str, connections: u32) -> Result<PgPool, DatabaseError> {
    Ok(options(connections).connect_with(url.parse::<PgConnectOptions>()?).await?)
}

/// Connections under the role `quotary_service`: UPDATE, DELETE and TRUNCATE of the log are refused to it.
///
/// # Errors
/// [`DatabaseError::Connect`] if the server can't be reached.
pub async fn service_pool(url: &str, connections: u32) -> Result<PgPool, DatabaseError> {
    service_pool_within(url, connections, CONNECTION_WITHIN).await
}

/// [`service_pool`] with a bound of its own for how long a connection is waited for.
///
/// # Errors
/// As [`service_pool`].
pub async fn service_pool_within(url: &str, connections: u32, within: Duration) -> Result<PgPool, DatabaseError> {
    let with_role = options(connections).acquire_timeout(within).after_connect(|connection, _| {
        Box::pin(async move {
            // Acknowledged is durable, whatever the server's or the login's default is.
            connection.execute("set role quotary_service; set synchronous_commit = on").await.map(|_| ())
        })
    });
    Ok(with_role.connect_with(url.parse::<PgConnectOptions>()?).await?)
}

/// Brings the schema up to date.
///
/// # Errors
/// [`DatabaseError::Migrate`] if a migration fails.
pub async fn migrate(owner: &PgPool) -> Result<(), DatabaseError> {
    Ok(MIGRATIONS.run(owner).await?)
}

fn options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(CONNECTION_WITHIN)
}
