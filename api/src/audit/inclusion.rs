//! `GET /v1/audit/proofs/inclusion/{position}`.

use axum::extract::State;
use axum::response::Response;
use quotary_audit::proof::Receipt;
use quotary_audit::tree::inclusion_proof;

use super::{entry, seal};
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::{Code, Problem};
use crate::state::AppState;

/// The proof that an event of the tenant is in the log, as `c2sp.org/tlog-proof@v1` has it, the checkpoint included. What
/// it is about is the entry at `/v1/audit/entries/{position}`; the proof itself shows hashes only.
///
/// # Errors
/// `not-found`, `not-sealed`.
#[utoipa::path(get, path = "/v1/audit/proofs/inclusion/{position}", tag = "audit", params(("position" = u64, Path)),
    responses((status = 200, description = "The proof", body = String, content_type = "text/plain")))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(position): ApiPath<u64>,
    asked: MinPosition,
) -> Result<Response, Problem> {
    let position = entry::own(&state, actor.tenant_id, position).await?;
    let (checkpoint, note) = seal::checkpoint(&state, MinPosition(asked.0.max(Some(position)))).await?;
    let index = position - 1;
    let proof = inclusion_proof(index, checkpoint.size).ok_or_else(|| Problem::of(Code::NotSealed))?;
    let hashes = seal::hashes(&state, &proof).await?;
    Ok(seal::text(Receipt { index, hashes, note }.to_string()))
}
