//! `GET /v1/reconciliations/{id}/differences`.

use axum::Json;
use axum::extract::State;
use quotary_domain::ReconciliationId;
use quotary_domain::reconciliation::Class;
use quotary_projections::reconciliations;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::get::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which differences.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// One class only, e.g. `amount`.
    #[param(value_type = Option<String>)]
    class: Option<Class>,
}

/// A difference.
#[derive(Debug, Serialize, ToSchema)]
pub struct Difference {
    /// The order in which it was found.
    line: u64,
    /// What kind of difference it is: `missing`, `extra`, `amount`, `state`, `hold_without_end`, `order`, `negative`, `rule`.
    class: &'static str,
    /// A table of the read side, or `log`.
    source: String,
    /// Which row.
    key: String,
    /// What the log says.
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<String>,
    /// What the read model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    theirs: Option<String>,
    /// By how much they differ in minor units, ours less theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    /// Where the log says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// The case about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    case_id: Option<Uuid>,
}

impl From<reconciliations::Difference> for Difference {
    fn from(found: reconciliations::Difference) -> Self {
        Self {
            line: found.line,
            class: found.class.as_str(),
            source: found.source,
            key: found.key,
            ours: found.ours,
            theirs: found.theirs,
            amount: found.amount,
            position: found.position,
            case_id: found.case_id.map(|id| id.0),
        }
    }
}

/// Lists the differences of a run that concern the tenant, in the order in which they were found.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/reconciliations/{id}/differences", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The run"), Filter),
    responses((status = 200, description = "A page of differences", body = Items<Difference>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Difference>>, Problem> {
    let page = Paging { limit: filter.limit, cursor: filter.cursor }.request()?;
    let run = visible(&state, &actor, position, ReconciliationId(id)).await?;
    let found = reconciliations::differences(&state.pool, actor.tenant_id, run.id, filter.class, &page).await?;
    Ok(Json(Items::of(found, Difference::from)))
}
