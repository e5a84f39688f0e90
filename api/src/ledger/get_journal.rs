//! `GET /v1/ledger/journals/{id}`.

use axum::Json;
use axum::extract::State;
use quotary_domain::JournalId;
use quotary_projections::journal_search;
use uuid::Uuid;

use super::READ_MODELS;
use super::list_journals::Journal;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// A movement with all its postings that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/ledger/journals/{id}", tag = "ledger",
    params(("id" = Uuid, Path, description = "The movement")),
    responses((status = 200, description = "The journal", body = Journal)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Journal>, Problem> {
    position.wait(&state, &READ_MODELS).await?;
    let found = journal_search::journal(&state.pool, &actor, JournalId(id)).await?;
    found.map(|journal| Json(journal.into())).ok_or_else(|| Problem::not_found("journal"))
}
