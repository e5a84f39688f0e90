//! The names that only one account of a tenant may have: its username and its e-mail address (as a keyed hash).

use quotary_domain::account::Username;
use quotary_domain::{AccountId, TenantId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::log::append::NewClaim;
use crate::unit::Unit;
use crate::vault::Vault;

/// Claims an account's names in the step that creates it.
pub(crate) fn claim(
    unit: &mut Unit,
    vault: &Vault,
    tenant_id: TenantId,
    account_id: AccountId,
    username: &Username,
    email: &str,
) {
    let names = [("username", username.as_str().to_owned()), ("email", email_hash(vault, tenant_id, email))];
    for (kind, value) in names {
        unit.claim(NewClaim { tenant_id: tenant_id.0, kind, value, owner_id: account_id.0 });
    }
}

fn email_hash(vault: &Vault, tenant_id: TenantId, email: &str) -> String {
    vault.hash(tenant_id, "email", &email.trim().to_lowercase())
}

/// The account with this username, or e-mail address if it has an `@`.
///
/// # Errors
/// If the database can't be read.
pub async fn find_account(
    pool: &PgPool,
    vault: &Vault,
    tenant_id: TenantId,
    name: &str,
) -> Result<Option<AccountId>, sqlx::Error> {
    let (kind, value) = if name.contains('@') {
        ("email", email_hash(vault, tenant_id, name))
    } else {
        ("username", name.to_ascii_lowercase())
    };
    Ok(owner(pool, tenant_id.0, kind, &value).await?.map(AccountId))
}

/// The tenant of this name; without a name the only one there is.
///
/// # Errors
/// If the database can't be read.
pub async fn find_tenant(pool: &PgPool, name: Option<&str>) -> Result<Option<TenantId>, sqlx::Error> {
    if let Some(name) = name {
        return Ok(owner(pool, Uuid::nil(), "tenant", &name.to_lowercase()).await?.map(TenantId));
    }
    let some: Vec<Uuid> =
        sqlx::query_scalar("select owner_id from claims where tenant_id = $1 and kind = 'tenant' limit 2")
            .bind(Uuid::nil())
            .fetch_all(pool)
            .await?;
    Ok(match some[..] {
        [only] => Some(TenantId(only)),
        _ => None,
    })
}

async fn owner(pool: &PgPool, tenant: Uuid, kind: &str, value: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select owner_id from claims where tenant_id = $1 and kind = $2 and value = $3")
        .bind(tenant)
        .bind(kind)
        .bind(value)
        .fetch_optional(pool)
        .await
}
