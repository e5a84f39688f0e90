//! What is kept of accounts beside the log: password hash, sealed e-mail address, failed logins, the keys of personal
//! data.
//!
//! Secrets are stored before the event that makes them count. A crash between leaves a row that nobody can log in with.

use chrono::{DateTime, Utc};
use quotary_domain::{AccountId, Sealed, TenantId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::event_log::{CommandError, EventLog};
use crate::password::{self, Password};
use crate::refusal::Refusal;
use crate::use_case::Outcome;
use crate::vault::{DataKey, Vault, VaultError};

/// The secrets of an account that is about to be created.
pub(crate) struct NewSecret<'a> {
    pub(crate) tenant_id: TenantId,
    pub(crate) account_id: AccountId,
    pub(crate) email: &'a str,
    pub(crate) password: Password,
    pub(crate) must_change_password: bool,
}

/// Refuses what can't be an e-mail address.
pub(crate) fn check_email(email: &str) -> Result<(), Refusal> {
    Refusal::check_text("email", email, 3, 254)?;
    let fits = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    if fits && !email.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err(Refusal::invalid("email", "must be an e-mail address"))
    }
}

/// Stores the secrets of a new account.
pub(crate) async fn store(
    log: &EventLog,
    secret: NewSecret<'_>,
    now: DateTime<Utc>,
) -> Result<(), CommandError<Refusal>> {
    check_email(secret.email).map_err(CommandError::Refused)?;
    let key = data_key(log.pool(), log.vault(), secret.tenant_id, secret.account_id).await?;
    let email = key.seal("email", secret.email.as_bytes())?;
    let hash = password::hash(secret.password).await.map_err(|_| VaultError::Random)?;
    sqlx::query(
        "insert into account_secrets \
         (account_id, tenant_id, password_hash, must_change_password, email, sessions_valid_from) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(secret.account_id.0)
    .bind(secret.tenant_id.0)
    .bind(hash)
    .bind(secret.must_change_password)
    .bind(email.0)
    .bind(now)
    .execute(log.pool())
    .await?;
    Ok(())
}

/// Takes the secrets of an account away again if it was certainly not created. What can't be taken away now is only an
/// orphan: no account has its id.
pub(crate) async fn keep_only_if<T>(log: &EventLog, account_id: AccountId, outcome: &Outcome<T>) {
    let keep = match outcome {
        Ok(done) => !done.replayed,
        Err(error) => matches!(error, CommandError::Unavailable(_)),
    };
    if keep {
        return;
    }
    for statement in
        ["delete from account_secrets where account_id = $1", "delete from data_keys where subject_id = $1"]
    {
        if let Err(error) = sqlx::query(statement).bind(account_id.0).execute(log.pool()).await {
            tracing::warn!(%error, %account_id, "the secrets of an account that was not created could not be removed");
        }
    }
}

/// The data key of a person, made at first use.
///
/// # Errors
/// [`CommandError::Database`] or [`CommandError::Vault`].
pub(crate) async fn data_key(
    pool: &PgPool,
    vault: &Vault,
    tenant_id: TenantId,
    subject: AccountId,
) -> Result<DataKey, CommandError<Refusal>> {
    let (fresh, wrapped) = vault.new_data_key(tenant_id, &subject.to_string())?;
    // Whoever comes second gets the first one's key.
    let kept: (Option<String>, bool) = sqlx::query_as(
        "insert into data_keys as k (tenant_id, subject_id, wrapped_key) values ($1, $2, $3) \
         on conflict (tenant_id, subject_id) do update set wrapped_key = k.wrapped_key \
         returning wrapped_key, coalesce(wrapped_key = $3, false)",
    )
    .bind(tenant_id.0)
    .bind(subject.0)
    .bind(&wrapped.0)
    .fetch_one(pool)
    .await?;
    match kept {
        (_, true) => Ok(fresh),
        (Some(known), false) => Ok(vault.data_key(tenant_id, &subject.to_string(), &Sealed(known))?),
        // What was erased stays so: a new key would make the person known again under the old name.
        (None, false) => Err(VaultError::Erased.into()),
    }
}

/// Notes that the data key of a person is about to be deleted.
pub(crate) async fn intend_erasure(
    pool: &PgPool,
    tenant_id: TenantId,
    subject: AccountId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update data_keys set erasing_since = $3 where tenant_id = $1 and subject_id = $2 and wrapped_key is not null",
    )
    .bind(tenant_id.0)
    .bind(subject.0)
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

/// Keys that were about to be deleted and still stand, the oldest intention first.
pub(crate) async fn intended_erasures(
    pool: &PgPool,
    limit: i64,
) -> Result<Vec<(TenantId, AccountId, DateTime<Utc>)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, DateTime<Utc>)> = sqlx::query_as(
        "select tenant_id, subject_id, erasing_since from data_keys \
         where erasing_since is not null order by erasing_since limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(tenant, subject, since)| (TenantId(tenant), AccountId(subject), since)).collect())
}

/// Forgets an intention that came to nothing, unless there is a newer one.
pub(crate) async fn forget_intention(
    pool: &PgPool,
    tenant_id: TenantId,
    subject: AccountId,
    since: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update data_keys set erasing_since = null where tenant_id = $1 and subject_id = $2 and erasing_since = $3",
    )
    .bind(tenant_id.0)
    .bind(subject.0)
    .bind(since)
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes the data key of a person for good, with everything else that is kept of it beside the log.
pub(crate) async fn erase(
    pool: &PgPool,
    tenant_id: TenantId,
    subject: AccountId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "insert into data_keys as k (tenant_id, subject_id, wrapped_key, erased_at) values ($1, $2, null, $3) \
         on conflict (tenant_id, subject_id) do update set wrapped_key = null, \
         erasing_since = null, erased_at = coalesce(k.erased_at, excluded.erased_at)",
    )
    .bind(tenant_id.0)
    .bind(subject.0)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("update account_secrets set email = null where account_id = $1 and tenant_id = $2")
        .bind(subject.0)
        .bind(tenant_id.0)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// The data key of a person, unless it was erased.
///
/// # Errors
/// [`VaultError::Erased`] (as [`CommandError::Vault`]) if there is none.
pub async fn known_data_key(
    pool: &PgPool,
    vault: &Vault,
    tenant_id: TenantId,
    subject: AccountId,
) -> Result<DataKey, CommandError<Refusal>> {
    let wrapped: Option<Option<String>> =
        sqlx::query_scalar("select wrapped_key from data_keys where tenant_id = $1 and subject_id = $2")
            .bind(tenant_id.0)
            .bind(subject.0)
            .fetch_optional(pool)
            .await?;
    let wrapped = wrapped.flatten().ok_or(VaultError::Erased)?;
    Ok(vault.data_key(tenant_id, &subject.to_string(), &Sealed(wrapped))?)
}
