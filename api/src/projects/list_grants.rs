//! `GET /v1/projects/{id}/grants`.

use axum::Json;
use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_projections::projects;
use uuid::Uuid;

use super::answer::Grant;
use super::get::visible;
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Lists the grants of a project to agents that one may see.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/projects/{id}/grants", tag = "projects",
    params(("id" = Uuid, Path, description = "The project"), Paging),
    responses((status = 200, description = "A page of grants", body = Items<Grant>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(paging): ApiQuery<Paging>,
) -> Result<Json<Items<Grant>>, Problem> {
    let page = paging.request()?;
    let project = visible(&state, &actor, position, ProjectId(id)).await?;
    let page = projects::grants(&state.pool, &actor, project.project_id, &page).await?;
    Ok(Json(Items::of(page, Grant::from)))
}
