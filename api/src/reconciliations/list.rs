//! `GET /v1/reconciliations`.

use axum::Json;
use axum::extract::State;
use quotary_domain::reconciliation::RunKind;
use quotary_projections::reconciliations::{self, INSTALLATION, RunFilter, RunStatus};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Reconciliation;
use super::get::own_counts;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `internal` or `external`.
    #[param(value_type = Option<String>)]
    kind: Option<RunKind>,
    /// `requested`, `completed` or `incomplete`.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
}

/// Lists the runs of the tenant and of the whole installation, newest first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/reconciliations", tag = "reconciliations", params(Filter),
    responses((status = 200, description = "A page of runs", body = Items<Reconciliation>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Reconciliation>>, Problem> {
    let page = Paging { limit: filter.limit, cursor: filter.cursor }.request()?;
    position.wait(&state, &[reconciliations::NAME]).await?;
    let asked = RunFilter { kind: filter.kind, status: filter.status };
    let found = reconciliations::list(&state.pool, actor.tenant_id, asked, &page).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for run in found.items {
        let own = if run.tenant_id == INSTALLATION { Some(own_counts(&state, &actor, run.id).await?) } else { None };
        items.push(Reconciliation::of(run, own));
    }
    Ok(Json(Items { items, next_cursor: found.next_cursor }))
}
