//! `GET /v1/reconciliations/{id}`.

use std::collections::BTreeMap;

use axum::extract::State;
use quotary_domain::{Actor, ReconciliationId};
use quotary_projections::reconciliations::{self, INSTALLATION, Run};
use uuid::Uuid;

use super::answer::Reconciliation;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Resource;
use crate::state::AppState;

/// A run of the tenant or of the whole installation.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/reconciliations/{id}", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The run")),
    responses((status = 200, description = "The run", body = Reconciliation)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Resource<Reconciliation>, Problem> {
    let run = visible(&state, &actor, position, ReconciliationId(id)).await?;
    let own = if run.tenant_id == INSTALLATION { Some(own_counts(&state, &actor, run.id).await?) } else { None };
    Ok(Resource { sequence: run.sequence, body: Reconciliation::of(run, own) })
}

/// A run that the actor may see.
pub(super) async fn visible(
    state: &AppState,
    actor: &Actor,
    position: MinPosition,
    id: ReconciliationId,
) -> Result<Run, Problem> {
    position.wait(state, &[reconciliations::NAME]).await?;
    let found = reconciliations::get(&state.pool, actor.tenant_id, id).await?;
    found.ok_or_else(|| Problem::not_found("reconciliation"))
}

/// How many differences of each class a run has of the actor's tenant.
pub(super) async fn own_counts(
    state: &AppState,
    actor: &Actor,
    id: ReconciliationId,
) -> Result<BTreeMap<&'static str, u64>, Problem> {
    let counts = reconciliations::counts(&state.pool, actor.tenant_id, id).await?;
    Ok(counts.into_iter().map(|(class, count)| (class.as_str(), count)).collect())
}
