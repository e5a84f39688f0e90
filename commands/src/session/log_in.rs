//! Logs in by username or e-mail address and password; five failures in a row lock the account for 15 minutes (row U4).

use chrono::{DateTime, TimeDelta, Utc};
use quotary_domain::account::Account;
use quotary_domain::{AccountId, Actor, TenantId};
use sqlx::PgPool;

use super::tokens::{self, IssuedToken, SessionError};
use crate::account::claims::{find_account, find_tenant};
use crate::password::{self, Password};
use crate::use_case::Commands;
use crate::vault::VaultError;

/// Failures in a row before the lock.
const MAX_FAILURES: i32 = 5;
/// How long the lock lasts.
const LOCK_MINUTES: i64 = 15;

/// A login that succeeded.
pub struct LoggedIn {
    /// Who it is.
    pub actor: Actor,
    /// The session's first refresh token.
    pub refresh: IssuedToken,
    /// Whether nothing but a change of the password is open.
    pub must_change_password: bool,
}

struct Secret {
    hash: String,
    must_change_password: bool,
    locked_until: Option<DateTime<Utc>>,
}

impl Commands {
    /// Logs in. Unknown names, wrong passwords and disabled accounts get the same answer in the same time.
    ///
    /// # Errors
    /// [`SessionError`]: wrong credentials, locked, or not possible now.
    pub async fn log_in(
        &self,
        tenant: Option<&str>,
        name: &str,
        password: Password,
        now: DateTime<Utc>,
    ) -> Result<LoggedIn, SessionError> {
        let pool = self.log.pool();
        let tenant_id = find_tenant(pool, tenant).await?;
        if tenant_id.is_none() && tenant.is_none() {
            return Err(SessionError::TenantNeeded);
        }
        let account = match tenant_id {
            Some(tenant_id) => {
                find_account(pool, self.log.vault(), tenant_id, name).await?.map(|account| (tenant_id, account))
            }
            None => None,
        };
        let secret = match account {
            Some((_, account_id)) => secret_of(pool, account_id).await?,
            None => None,
        };
        if let Some(end) = secret.as_ref().and_then(|secret| secret.locked_until).filter(|end| *end > now) {
            return Err(SessionError::Locked(end));
        }
        let hash = secret.as_ref().map(|secret| secret.hash.clone());
        let right = password::verify(password, hash).await.map_err(|_| VaultError::Random)?;
        let (Some((tenant_id, account_id)), Some(secret)) = (account, secret) else {
            return Err(SessionError::WrongCredentials);
        };
        if !right {
            note_failure(pool, account_id, now).await?;
            return Err(SessionError::WrongCredentials);
        }
        sqlx::query("update account_secrets set failed_logins = 0, locked_until = null where account_id = $1")
            .bind(account_id.0)
            .execute(pool)
            .await?;
        let actor = self.actor(tenant_id, account_id).await?.ok_or(SessionError::WrongCredentials)?;
        let refresh = tokens::issue(pool, tenant_id, account_id, now).await?;
        Ok(LoggedIn { actor, refresh, must_change_password: secret.must_change_password })
    }

    /// Goes on with a session: takes its refresh token and hands out the next.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`] if the token is not good or the account is disabled.
    pub async fn refresh(&self, token: &str, now: DateTime<Utc>) -> Result<LoggedIn, SessionError> {
        let pool = self.log.pool();
        let refresh = tokens::rotate(pool, token, now).await?;
        let actor = self.actor(refresh.tenant_id, refresh.account_id).await?.ok_or(SessionError::InvalidToken)?;
        let secret = secret_of(pool, refresh.account_id).await?.ok_or(SessionError::InvalidToken)?;
        Ok(LoggedIn { actor, refresh, must_change_password: secret.must_change_password })
    }

    /// The account as an actor, unless it is disabled.
    async fn actor(&self, tenant_id: TenantId, account_id: AccountId) -> Result<Option<Actor>, SessionError> {
        let found = self.log.current::<Account>(tenant_id, account_id).await?;
        Ok(found.and_then(|(account, _)| {
            let profile = account.profile.filter(|_| !account.disabled)?;
            Some(Actor { tenant_id, account_id, role: profile.role })
        }))
    }
}

async fn secret_of(pool: &PgPool, account_id: AccountId) -> Result<Option<Secret>, sqlx::Error> {
    let found: Option<(String, bool, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select password_hash, must_change_password, locked_until from account_secrets where account_id = $1",
    )
    .bind(account_id.0)
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|(hash, must_change_password, locked_until)| Secret { hash, must_change_password, locked_until }))
}

/// Counts a failure; the fifth in a row locks.
async fn note_failure(pool: &PgPool, account_id: AccountId, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update account_secrets set \
             failed_logins = case when failed_logins + 1 >= $2 then 0 else failed_logins + 1 end, \
             locked_until = case when failed_logins + 1 >= $2 then $3 else locked_until end \
         where account_id = $1",
    )
    .bind(account_id.0)
    .bind(MAX_FAILURES)
    .bind(now + TimeDelta::minutes(LOCK_MINUTES))
    .execute(pool)
    .await?;
    Ok(())
}
