//! `GET /v1/ledger/accounts/{account}`.

use axum::Json;
use axum::extract::State;
use quotary_projections::account_statements;

use super::list_accounts::LedgerAccount;
use super::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition};
use crate::problem::Problem;
use crate::quota::account::{At, moment};
use crate::state::AppState;

/// An account's balance now or at a moment of the past.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/ledger/accounts/{account}", tag = "ledger",
    params(("account" = String, Path, description = "Its name, e.g. `issuance` or `agent:<id>:available`"), At),
    responses((status = 200, description = "The balance", body = LedgerAccount)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<At>,
) -> Result<Json<LedgerAccount>, Problem> {
    let at = query.at.as_deref().map(|text| moment("at", text)).transpose()?;
    let account = visible(&state, &actor, position, &name).await?;
    Ok(Json(account_statements::account_balance(&state.pool, actor.tenant_id, &account, at).await?.into()))
}
