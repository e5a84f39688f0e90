//! `GET /v1/reconciliations/{id}/findings`: what the reconciliation of a bill found, line by line.

use axum::Json;
use axum::extract::State;
use quotary_projections::page::PageRequest;
use quotary_projections::reconciliations::NAME;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging, storable};
use crate::problem::{Code, Problem};
use crate::reply::Items;
use crate::state::AppState;

/// Which findings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFindings {
    /// One class only, e.g. `missing_here`.
    pub class: Option<String>,
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Lines and orders that belong together, or one that stands alone.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub struct FindingBody {
    /// Its place in the report, from 1.
    pub number: i64,
    /// The class of everything in it.
    pub class: String,
    /// Names it in every run.
    pub key: String,
    /// The case that is open about it; absent if it is no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_id: Option<Uuid>,
    /// As it stands in the report: basis, reason, difference, lines and orders.
    #[schema(value_type = Object)]
    #[sqlx(json)]
    pub finding: Value,
}

/// The findings of a bill's reconciliation in the order of its report; none before it has ended.
///
/// # Errors
/// `not-found` if the tenant has no such run.
#[utoipa::path(get, path = "/v1/reconciliations/{id}/findings", tag = "reconciliations",
    params(("id" = Uuid, Path, description = "The run"), ListFindings),
    responses((status = 200, description = "A page of findings", body = Items<FindingBody>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<ListFindings>,
    position: MinPosition,
) -> Result<Json<Items<FindingBody>>, Problem> {
    storable("class", query.class.as_deref())?;
    let page = Paging { limit: query.limit, cursor: query.cursor }.request()?;
    position.wait(&state, &[NAME]).await?;
    check_run(&state, actor.tenant_id.0, id).await?;
    let rows = rows(&state.pool, actor.tenant_id.0, id, query.class.as_deref(), &page).await?;
    Ok(Json(Items::of(page.page(rows, |row| row.number), |row| row)))
}

async fn rows(
    pool: &PgPool,
    tenant: Uuid,
    run: Uuid,
    class: Option<&str>,
    page: &PageRequest,
) -> Result<Vec<FindingBody>, Problem> {
    let after: i64 = page.after().map_err(|error| Problem::parameter("cursor", error.to_string()))?.unwrap_or(0);
    let rows = sqlx::query_as(
        "select number, class, key, case_id, finding from bill_findings \
         where run_id = $1 and tenant_id = $2 and number > $3 and ($4::text is null or class = $4) \
         order by number limit $5",
    )
    .bind(run)
    .bind(tenant)
    .bind(after)
    .bind(class)
    .bind(page.fetch())
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Refuses unless the tenant has the run: by the log, which has it as soon as it was asked for.
pub(super) async fn check_run(state: &AppState, tenant: Uuid, run: Uuid) -> Result<(), Problem> {
    let known: bool = sqlx::query_scalar(
        "select exists (select from events where aggregate_type = 'Reconciliation' and aggregate_id = $1 \
                        and sequence = 1 and tenant_id = $2)",
    )
    .bind(run.to_string())
    .bind(tenant)
    .fetch_one(&state.pool)
    .await?;
    if known { Ok(()) } else { Err(Problem::new(Code::NotFound, "there is no such reconciliation")) }
}
