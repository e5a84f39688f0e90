//! `GET /v1/projects/{id}/plans`.

use axum::Json;
use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_projections::projects;
use uuid::Uuid;

use super::answer::Plan;
use super::get::visible;
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Lists the plans of a project that one may see, all on one page (a project has at most 1,000).
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/projects/{id}/plans", tag = "projects",
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The plans", body = Items<Plan>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Items<Plan>>, Problem> {
    let project = visible(&state, &actor, position, ProjectId(id)).await?;
    let plans = projects::plans(&state.pool, actor.tenant_id, project.project_id).await?;
    Ok(Json(Items { items: plans.into_iter().map(Plan::from).collect(), next_cursor: None }))
}
