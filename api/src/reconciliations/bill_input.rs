//! A bill and its mapping, read before a run is asked for, so that what is wrong with them is told at once.

use quotary_audit::bill::{self, BillError};
use quotary_audit::external::{ExternalError, ReadBill, digest};
use quotary_domain::TenantId;
use sqlx::PgPool;
use tokio::task::spawn_blocking;

use crate::problem::{Code, Problem};

/// Reads a tenant's bill by a mapping.
///
/// # Errors
/// `validation-failed` if there is no such bill or mapping, `mapping-invalid`, `bill-unreadable` with the first lines that
/// are wrong.
pub(super) async fn read(pool: &PgPool, tenant: TenantId, sha256: &str, mapping: &str) -> Result<ReadBill, Problem> {
    let Some(bytes) = kept(pool, tenant, sha256).await? else {
        return Err(invalid("/bill/sha256", "there is no such bill"));
    };
    let text = match bill::PROVIDED.iter().find(|(name, _)| *name == mapping) {
        Some((_, text)) => (*text).to_owned(),
        None => match kept(pool, tenant, mapping).await? {
            Some(bytes) => String::from_utf8(bytes)
                .map_err(|_| Problem::new(Code::MappingInvalid, "the mapping is no text in UTF-8"))?,
            None => return Err(invalid("/bill/mapping", "there is no such mapping")),
        },
    };
    let read = spawn_blocking(move || ReadBill::new(&text, &bytes)).await.map_err(|error| Problem::internal(&error))?;
    read.map_err(|error| problem(&error))
}

async fn kept(pool: &PgPool, tenant: TenantId, hex: &str) -> Result<Option<Vec<u8>>, Problem> {
    match digest(hex) {
        Some(sha256) => Ok(quotary_commands::bill::read(pool, tenant, sha256).await?),
        None => Ok(None),
    }
}

fn problem(error: &ExternalError) -> Problem {
    let detail = error.to_string();
    match error {
        ExternalError::Mapping(_) => Problem::new(Code::MappingInvalid, detail),
        ExternalError::Bill(BillError::Lines { first, .. }) => {
            let lines = first.iter();
            lines.fold(Problem::new(Code::BillUnreadable, detail), |problem, line| {
                problem.with_error(format!("/lines/{}", line.line), line.why.clone())
            })
        }
        ExternalError::Bill(_) | ExternalError::Orders(_) | ExternalError::Matching(_) => {
            Problem::new(Code::BillUnreadable, detail)
        }
    }
}

/// A field that is not allowed.
pub(super) fn invalid(pointer: &str, why: &str) -> Problem {
    Problem::new(Code::ValidationFailed, format!("{pointer}: {why}")).with_error(pointer, why)
}
