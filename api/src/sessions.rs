//! From when on the sessions of an account are good: tokens issued before are void.
//!
//! The time stands beside the log and moves when a password changes or an account is disabled. This process forgets what
//! it knew when it does so itself; what another process did is seen within [`KNOWN_FOR`]. (That an account is disabled
//! is seen through the directory at once.)

use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use quotary_domain::AccountId;
use sqlx::PgPool;

use crate::problem::Problem;

/// How long a time that was read is used.
pub const KNOWN_FOR: Duration = Duration::from_secs(1);
/// How many accounts' times are kept.
const CAPACITY: u64 = 100_000;

/// The times that were read lately.
#[derive(Clone, Debug)]
pub struct Sessions(Cache<AccountId, DateTime<Utc>>);

impl Default for Sessions {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(KNOWN_FOR).build())
    }
}

impl Sessions {
    /// From when on sessions of the account are good.
    ///
    /// # Errors
    /// If the database can't be read.
    pub async fn valid_from(&self, pool: &PgPool, account_id: AccountId) -> Result<DateTime<Utc>, Problem> {
        if let Some(known) = self.0.get(&account_id).await {
            return Ok(known);
        }
        let found: Option<DateTime<Utc>> =
            sqlx::query_scalar("select sessions_valid_from from account_secrets where account_id = $1")
                .bind(account_id.0)
                .fetch_optional(pool)
                .await?;
        // Without secrets nobody could have logged in.
        let valid_from = found.unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.0.insert(account_id, valid_from).await;
        Ok(valid_from)
    }

    /// Forgets the time of an account whose sessions this process has ended.
    pub async fn forget(&self, account_id: AccountId) {
        self.0.invalidate(&account_id).await;
    }
}
