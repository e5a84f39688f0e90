//! `GET /v1/withdrawals/{id}`.

use axum::extract::State;
use quotary_domain::{WithdrawalId, withdrawal};
use quotary_projections::{accounts, withdrawals};
use uuid::Uuid;

use super::answer::Withdrawal;
use super::payee::{decides, open};
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A withdrawal that one may see.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/withdrawals/{id}", tag = "withdrawals",
    params(("id" = Uuid, Path, description = "The withdrawal")),
    responses((status = 200, description = "The withdrawal", body = Withdrawal)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Withdrawal>, Problem> {
    position.wait(&state, &[withdrawals::NAME, accounts::NAME]).await?;
    let id = WithdrawalId(id);
    let found = withdrawals::get(&state.pool, &actor, id).await?;
    let found = found.ok_or_else(|| Problem::not_found("withdrawal"))?;
    let (sequence, agent_id) = (found.sequence, found.agent_id);
    // The request never changes, so the aggregate's is the read model's.
    let aggregate = state.commands.log().current::<withdrawal::Withdrawal>(actor.tenant_id, id).await?;
    let payee = match aggregate.and_then(|(withdrawal, _)| withdrawal.request) {
        Some(request) => {
            let in_full = decides(&state, &actor, agent_id).await?;
            open(&state, actor.tenant_id, (id, agent_id), &request.payee, in_full).await?
        }
        None => None,
    };
    Ok(Resource { sequence, body: Withdrawal { payee_erased: payee.is_none(), payee, ..found.into() } })
}
