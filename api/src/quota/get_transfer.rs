//! `GET /v1/quota/transfers/{id}`.

use axum::Json;
use axum::extract::State;
use quotary_domain::{Actor, JournalId};
use quotary_projections::{accounts, movements};
use uuid::Uuid;

use super::movement::Transfer;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// A transfer or top-up that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/quota/transfers/{id}", tag = "quota",
    params(("id" = Uuid, Path, description = "The movement")),
    responses((status = 200, description = "The movement", body = Transfer)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Transfer>, Problem> {
    Ok(Json(visible(&state, &actor, position, JournalId(id)).await?))
}

/// The movement, if one may see it.
pub(super) async fn visible(
    state: &AppState,
    actor: &Actor,
    position: MinPosition,
    id: JournalId,
) -> Result<Transfer, Problem> {
    position.wait(state, &[movements::NAME, accounts::NAME]).await?;
    let found = movements::get(&state.pool, actor, id).await?;
    found.map(Transfer::from).ok_or_else(|| Problem::not_found("transfer"))
}
