//! The keys of a batch, page after page, opened.
//!
//! What must always hold: numbers come without a gap from 1 to the count that was recorded; a missing one is an error.

use quotary_commands::license_batch::issue_chunk::key_purpose;
use quotary_commands::{Vault, VaultError};
use quotary_domain::{BatchId, LicenseId, Sealed, TenantId};
use quotary_projections::licenses::{self, SealedKey};
use sqlx::PgPool;
use zeroize::Zeroizing;

use super::KeyRow;
use crate::problem::Problem;

/// How many keys are read at a time.
const PAGE: u32 = 2_000;

/// Why a download breaks off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The read model can't be read.
    #[error("the keys could not be read")]
    Database(#[from] sqlx::Error),
    /// A key can't be opened.
    #[error("a key could not be opened")]
    Vault(#[from] VaultError),
    /// A key is no text.
    #[error("a key is no text")]
    Text(#[from] std::string::FromUtf8Error),
    /// The read model lacks a licence.
    #[error("the read model lacks licence {0} of the batch")]
    Lacks(i64),
    /// The task that opens keys broke down.
    #[error("the task that opens keys broke down")]
    Task(#[from] tokio::task::JoinError),
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Database(error) => error.into(),
            ExportError::Vault(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

/// Reads the first `count` keys of a batch.
#[derive(Debug)]
pub struct KeySource {
    pool: PgPool,
    vault: Vault,
    tenant_id: TenantId,
    batch_id: BatchId,
    /// The last number that was read.
    last: i64,
    count: i64,
}

impl KeySource {
    /// The caller has checked that the actor owns the batch, and waited for the read model.
    #[must_use]
    pub fn new(pool: PgPool, vault: Vault, tenant_id: TenantId, batch_id: BatchId, count: u32) -> Self {
        Self { pool, vault, tenant_id, batch_id, last: 0, count: count.into() }
    }

    /// How many keys there are.
    pub(super) fn count(&self) -> u64 {
        self.count.cast_unsigned()
    }

    /// The next rows; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<KeyRow>, ExportError> {
        let wanted = u32::try_from(self.count - self.last).unwrap_or(u32::MAX).min(PAGE);
        if wanted == 0 {
            return Ok(vec![]);
        }
        let sealed = licenses::keys_of_batch(&self.pool, self.tenant_id, self.batch_id, self.last, wanted).await?;
        for (expected, key) in (self.last + 1..).zip(&sealed) {
            if key.number != expected {
                return Err(ExportError::Lacks(expected));
            }
        }
        self.last += i64::try_from(sealed.len()).unwrap_or_default();
        if sealed.len() < wanted as usize {
            return Err(ExportError::Lacks(self.last + 1));
        }
        let (vault, tenant_id) = (self.vault.clone(), self.tenant_id);
        // Two thousand keys take milliseconds.
        tokio::task::spawn_blocking(move || open_all(&vault, tenant_id, sealed)).await?
    }
}

fn open_all(vault: &Vault, tenant_id: TenantId, sealed: Vec<SealedKey>) -> Result<Vec<KeyRow>, ExportError> {
    let open = |row: SealedKey| {
        let key = open_key(vault, tenant_id, row.license_id, row.key_sealed)?;
        Ok(KeyRow { number: row.number, license_id: row.license_id, key })
    };
    sealed.into_iter().map(open).collect()
}

/// A licence's key in the clear; the caller has checked that the actor owns the licence.
pub(crate) fn open_key(
    vault: &Vault,
    tenant_id: TenantId,
    license_id: LicenseId,
    sealed: String,
) -> Result<Zeroizing<String>, ExportError> {
    let plain = vault.open(tenant_id, &key_purpose(license_id), &Sealed(sealed))?;
    Ok(Zeroizing::new(String::from_utf8(plain.to_vec())?))
}
