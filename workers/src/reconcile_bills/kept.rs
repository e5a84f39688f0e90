//! The result of a run, beside the log.
//!
//! What must always hold: a run's rows are there wholly or not at all; put together they are the report whose digest the log
//! has.

use std::collections::BTreeMap;

use quotary_audit::external::{Comparison, hex};
use quotary_audit::matching::JSON_END;
use quotary_domain::{CaseId, ReconciliationId, TenantId};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

/// How many rows go in one statement.
const ROWS: usize = 2_000;

/// Why a result was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The database answered with an error.
    #[error("the result could not be kept")]
    Database(#[from] sqlx::Error),
    /// It could not be written as text.
    #[error("the result could not be written")]
    Json(#[from] serde_json::Error),
}

/// Keeps a result in place of what an earlier try left, and gives the SHA-256 of its report. `cases` has those of
/// the findings by their place.
///
/// # Errors
/// [`KeepError`]; nothing is kept then.
pub async fn keep(
    pool: &PgPool,
    tenant_id: TenantId,
    run_id: ReconciliationId,
    compared: &Comparison,
    cases: &BTreeMap<usize, CaseId>,
) -> Result<String, KeepError> {
    let head = compared.report().json_head()?;
    let mut digest = Sha256::new();
    digest.update(&head);
    let mut transaction = pool.begin().await?;
    for table in ["bill_findings", "bill_reports"] {
        let statement = format!("delete from {table} where run_id = $1");
        sqlx::query(&statement).bind(run_id.0).execute(&mut *transaction).await?;
    }
    sqlx::query("insert into bill_reports (run_id, tenant_id, head) values ($1, $2, $3)")
        .bind(run_id.0)
        .bind(tenant_id.0)
        .bind(head)
        .execute(&mut *transaction)
        .await?;
    for (page, findings) in compared.matching.findings.chunks(ROWS).enumerate() {
        let (mut numbers, mut classes, mut keys) = (vec![], vec![], vec![]);
        let (mut differences, mut texts, mut case_ids): (Vec<Option<String>>, Vec<String>, Vec<Option<Uuid>>) =
            (vec![], vec![], vec![]);
        for (place, finding) in (page * ROWS..).zip(findings) {
            let text = compared.matching.finding_json(finding)?;
            if place > 0 {
                digest.update(",");
            }
            digest.update(&text);
            numbers.push(i64::try_from(place + 1).unwrap_or(i64::MAX));
            classes.push(finding.class.as_str());
            keys.push(finding.key.as_str());
            differences.push(finding.difference.map(|difference| difference.to_string()));
            texts.push(text);
            case_ids.push(cases.get(&place).map(|id| id.0));
        }
        sqlx::query(
            "insert into bill_findings (run_id, number, tenant_id, class, key, difference, finding, case_id) \
             select $1, n.number, $2, n.class, n.key, n.difference::numeric, n.finding::json, n.case_id \
             from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[]) \
                  as n (number, class, key, difference, finding, case_id)",
        )
        .bind(run_id.0)
        .bind(tenant_id.0)
        .bind(numbers)
        .bind(classes)
        .bind(keys)
        .bind(differences)
        .bind(texts)
        .bind(case_ids)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    digest.update(JSON_END);
    Ok(hex(&digest.finalize()))
}
