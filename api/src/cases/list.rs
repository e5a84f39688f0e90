//! `GET /v1/cases`.

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use quotary_commands::clock;
use quotary_domain::case::CaseStatus;
use quotary_domain::reconciliation::{Class, RunKind};
use quotary_projections::cases::{self, CaseFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Case;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging, storable};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which cases.
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
    /// One class only, e.g. `amount`.
    #[param(value_type = Option<String>)]
    class: Option<Class>,
    /// `open`, `resolved` or `vanished`.
    #[param(value_type = Option<String>)]
    status: Option<CaseStatus>,
    /// One source only: a table of ours, or a provider.
    source: Option<String>,
    /// Only those that were opened at least so many hours ago.
    #[param(maximum = 876_000)]
    min_age_hours: Option<u32>,
}

/// Lists the tenant's cases, newest first.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/cases", tag = "reconciliations", params(Filter),
    responses((status = 200, description = "A page of cases", body = Items<Case>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Case>>, Problem> {
    let page = Paging { limit: filter.limit, cursor: filter.cursor }.request()?;
    storable("source", filter.source.as_deref())?;
    if filter.min_age_hours.is_some_and(|hours| hours > 876_000) {
        return Err(Problem::parameter("min_age_hours", "must be at most 876000"));
    }
    position.wait(&state, &[cases::NAME]).await?;
    let asked = CaseFilter {
        kind: filter.kind,
        class: filter.class,
        status: filter.status,
        source: filter.source,
        opened_before: filter.min_age_hours.map(|hours| clock::now() - TimeDelta::hours(hours.into())),
    };
    Ok(Json(Items::of(cases::list(&state.pool, actor.tenant_id, &asked, &page).await?, Case::from)))
}
