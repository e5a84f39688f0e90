//! Refresh tokens: kept hashed, used once, rotated on use; a second use of a used one ends its whole family (row U5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use quotary_domain::{AccountId, TenantId};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::clock;
use crate::vault::{VaultError, random};

/// How long a refresh token is good.
pub const REFRESH_DAYS: i64 = 7;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Name or password is wrong, or the account is disabled; which of them is not told.
    #[error("the credentials are wrong")]
    WrongCredentials,
    /// Too many failed logins; good again at a time.
    #[error("the account is locked until {0}")]
    Locked(DateTime<Utc>),
    /// The refresh token is unknown, over, revoked or used.
    #[error("the refresh token is not good")]
    InvalidToken,
    /// The tenant must be named: there is more than one.
    #[error("there is more than one tenant")]
    TenantNeeded,
    /// The database answered with an error.
    #[error("the database answered with an error")]
    Database(#[from] sqlx::Error),
    /// No randomness, or a hash could not be computed.
    #[error("a secret could not be handled")]
    Vault(#[from] VaultError),
    /// The account could not be read.
    #[error("the account could not be read")]
    Load(#[from] crate::log::stream::LoadError),
}

/// A refresh token as it is handed out, this once.
pub struct IssuedToken {
    /// The token.
    pub token: zeroize::Zeroizing<String>,
    /// The account it is for.
    pub account_id: AccountId,
    /// The account's tenant.
    pub tenant_id: TenantId,
}

/// Hands out the first refresh token of a new family.
pub(crate) async fn issue(
    pool: &PgPool,
    tenant_id: TenantId,
    account_id: AccountId,
    now: DateTime<Utc>,
) -> Result<IssuedToken, SessionError> {
    insert(pool, clock::new_id(), tenant_id, account_id, now).await
}

async fn insert<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    family: Uuid,
    tenant_id: TenantId,
    account_id: AccountId,
    now: DateTime<Utc>,
) -> Result<IssuedToken, SessionError> {
    let token = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?.as_ref()));
    sqlx::query(
        "insert into refresh_tokens (token_hash, family_id, tenant_id, account_id, expires_at) values ($1,$2,$3,$4,$5)",
    )
    .bind(hash(&token))
    .bind(family)
    .bind(tenant_id.0)
    .bind(account_id.0)
    .bind(now + TimeDelta::days(REFRESH_DAYS))
    .execute(executor)
    .await?;
    Ok(IssuedToken { token, account_id, tenant_id })
}

/// Takes a refresh token and hands out its successor.
///
/// # Errors
/// [`SessionError::InvalidToken`] if it is not good; if it was used before, its family ends.
pub async fn rotate(pool: &PgPool, token: &str, now: DateTime<Utc>) -> Result<IssuedToken, SessionError> {
    type Row = (Uuid, Uuid, Uuid, DateTime<Utc>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let mut transaction = pool.begin().await?;
    let found: Option<Row> = sqlx::query_as(
        "select family_id, tenant_id, account_id, expires_at, used_at, revoked_at \
         from refresh_tokens where token_hash = $1 for update",
    )
    .bind(hash(token))
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((family, tenant, account, expires_at, used_at, revoked_at)) = found else {
        return Err(SessionError::InvalidToken);
    };
    if used_at.is_some() {
        sqlx::query("update refresh_tokens set revoked_at = coalesce(revoked_at, $2) where family_id = $1")
            .bind(family)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        tracing::warn!(account_id = %account, "a used refresh token came again; its family is revoked");
        return Err(SessionError::InvalidToken);
    }
    if revoked_at.is_some() || expires_at <= now {
        return Err(SessionError::InvalidToken);
    }
    sqlx::query("update refresh_tokens set used_at = $2 where token_hash = $1")
        .bind(hash(token))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    let issued = insert(&mut *transaction, family, TenantId(tenant), AccountId(account), now).await?;
    transaction.commit().await?;
    Ok(issued)
}

/// Ends the family of a refresh token; an unknown one is nothing to end.
///
/// # Errors
/// If the database can't be written.
pub async fn end(pool: &PgPool, token: &str, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update refresh_tokens set revoked_at = coalesce(revoked_at, $2) \
         where family_id = (select family_id from refresh_tokens where token_hash = $1)",
    )
    .bind(hash(token))
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends all sessions of an account, access tokens included.
///
/// # Errors
/// If the database can't be written.
pub async fn end_all(pool: &PgPool, account_id: AccountId, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("update refresh_tokens set revoked_at = coalesce(revoked_at, $2) where account_id = $1")
        .bind(account_id.0)
        .bind(now)
        .execute(pool)
        .await?;
    sqlx::query(
        "update account_secrets set sessions_valid_from = greatest(sessions_valid_from, $2) where account_id = $1",
    )
    .bind(account_id.0)
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
