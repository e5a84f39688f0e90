//! `GET /v1/audit/proofs/consistency`.

use axum::Json;
use axum::extract::State;
use quotary_audit::proof::text_of;
use quotary_audit::tree::consistency_proof;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::seal;
use crate::extract::{ApiQuery, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// From where to where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// The size of the older checkpoint.
    from: u64,
    /// The size of the newer one; the last checkpoint's if absent.
    to: Option<u64>,
}

/// The proof that an older checkpoint is a prefix of a newer one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Consistency {
    /// The size of the older one.
    from: u64,
    /// The size of the newer one.
    to: u64,
    /// The hashes in base64, in the order of RFC 6962 §2.1.2.
    hashes: Vec<String>,
}

/// Proves that a checkpoint that somebody kept is a prefix of a newer one: nothing was changed or taken away between them.
///
/// # Errors
/// `invalid-parameter`, `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/proofs/consistency", tag = "audit", params(Span),
    responses((status = 200, description = "The proof", body = Consistency)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiQuery(Span { from, to }): ApiQuery<Span>,
    asked: MinPosition,
) -> Result<Json<Consistency>, Problem> {
    if to.is_some_and(|to| to > i64::MAX.unsigned_abs()) {
        return Err(Problem::parameter("to", "must be a size of the log"));
    }
    let (checkpoint, _) = seal::checkpoint(&state, MinPosition(asked.0.max(to))).await?;
    let to = to.unwrap_or(checkpoint.size);
    let proof = consistency_proof(from, to);
    let proof = proof.ok_or_else(|| Problem::parameter("from", "must not be more than `to`"))?;
    let hashes = seal::hashes(&state, &proof).await?;
    Ok(Json(Consistency { from, to, hashes: hashes.iter().map(text_of).collect() }))
}
