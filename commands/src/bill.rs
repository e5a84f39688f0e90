//! Bills of payment providers, kept beside the log as the bytes that came (row Q8).
//!
//! What must always hold: a bill is there wholly or not at all; one content is kept once per tenant and never changes, so
//! its digest names it; memory does not grow with its size while it comes in.

use chrono::{DateTime, Utc};
use quotary_domain::{AccountId, TenantId};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// The largest bill, in bytes.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// How much of it is in a part.
const PART: usize = 1024 * 1024;

/// A bill that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// In bytes.
    pub size: u64,
    /// When it came for the first time.
    pub uploaded_at: DateTime<Utc>,
    /// Who brought it.
    pub uploaded_by: AccountId,
    /// Whether it was there before.
    pub known: bool,
}

/// Why a bill is not kept.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// More than [`MOST_BYTES`].
    #[error("a bill has at most {MOST_BYTES} bytes")]
    TooLarge,
    /// Nothing came.
    #[error("the bill is empty")]
    Empty,
    /// The database refuses.
    #[error("the bill can't be kept")]
    Database(#[from] sqlx::Error),
}

/// A bill on its way in. Dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    transaction: Transaction<'static, Postgres>,
    bill_id: Uuid,
    digest: Sha256,
    size: u64,
    parts: i32,
    waiting: Vec<u8>,
}

impl Upload {
    /// Begins with nothing.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn begin(pool: &PgPool, bill_id: Uuid) -> Result<Self, UploadError> {
        let transaction = pool.begin().await?;
        Ok(Self { transaction, bill_id, digest: Sha256::new(), size: 0, parts: 0, waiting: Vec::new() })
    }

    /// Adds what came next.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], or if the database refuses.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.size += bytes.len() as u64;
        if self.size > MOST_BYTES {
            return Err(UploadError::TooLarge);
        }
        self.digest.update(bytes);
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= PART {
            let rest = self.waiting.split_off(PART);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.write(part).await?;
        }
        Ok(())
    }

    /// Keeps the bill; the same content is kept once.
    ///
    /// # Errors
    /// [`UploadError::Empty`], or if the database refuses.
    pub async fn finish(
        mut self,
        tenant_id: TenantId,
        uploaded_by: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Bill, UploadError> {
        if self.size == 0 {
            return Err(UploadError::Empty);
        }
        let part = std::mem::take(&mut self.waiting);
        if !part.is_empty() {
            self.write(part).await?;
        }
        let sha256: [u8; 32] = self.digest.finalize().into();
        // Two that bring the same at once: the second waits here for the first.
        let done = sqlx::query(
            "insert into bills (bill_id, tenant_id, sha256, size, uploaded_at, uploaded_by) \
             values ($1, $2, $3, $4, $5, $6) on conflict on constraint bills_content do nothing",
        )
        .bind(self.bill_id)
        .bind(tenant_id.0)
        .bind(&sha256[..])
        .bind(self.size.cast_signed())
        .bind(now)
        .bind(uploaded_by.0)
        .execute(&mut *self.transaction)
        .await?;
        let known = done.rows_affected() == 0;
        let (uploaded_at, by): (DateTime<Utc>, Uuid) =
            sqlx::query_as("select uploaded_at, uploaded_by from bills where tenant_id = $1 and sha256 = $2")
                .bind(tenant_id.0)
                .bind(&sha256[..])
                .fetch_one(&mut *self.transaction)
                .await?;
        if known {
            self.transaction.rollback().await?;
        } else {
            self.transaction.commit().await?;
        }
        Ok(Bill { sha256, size: self.size, uploaded_at, uploaded_by: AccountId(by), known })
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), UploadError> {
        self.parts += 1;
        sqlx::query("insert into bill_parts (bill_id, number, bytes) values ($1, $2, $3)")
            .bind(self.bill_id)
            .bind(self.parts)
            .bind(bytes)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}

/// The bytes of a tenant's bill; nothing if there is none with this digest.
///
/// # Errors
/// If the database refuses, or what it has is not what was kept.
pub async fn read(pool: &PgPool, tenant_id: TenantId, sha256: [u8; 32]) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let known: Option<Uuid> = sqlx::query_scalar("select bill_id from bills where tenant_id = $1 and sha256 = $2")
        .bind(tenant_id.0)
        .bind(&sha256[..])
        .fetch_optional(pool)
        .await?;
    let Some(bill_id) = known else { return Ok(None) };
    let parts: Vec<Vec<u8>> = sqlx::query_scalar("select bytes from bill_parts where bill_id = $1 order by number")
        .bind(bill_id)
        .fetch_all(pool)
        .await?;
    let bytes = parts.concat();
    if <[u8; 32]>::from(Sha256::digest(&bytes)) == sha256 {
        Ok(Some(bytes))
    } else {
        Err(sqlx::Error::Decode("a bill's bytes are not those that were kept".into()))
    }
}
