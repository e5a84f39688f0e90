//! `GET /v1/projects`.

use axum::Json;
use axum::extract::State;
use quotary_domain::Role;
use quotary_projections::{accounts, projects};

use super::answer::{Project, READ_MODEL};
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Lists the projects that one may see, newest first: agents those granted to them, agent admins also those granted below.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/projects", tag = "projects", params(Paging),
    responses((status = 200, description = "A page of projects", body = Items<Project>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(paging): ApiQuery<Paging>,
) -> Result<Json<Items<Project>>, Problem> {
    let page = paging.request()?;
    position.wait(&state, &[READ_MODEL, accounts::NAME]).await?;
    let with_key = actor.role == Role::SuperAdmin;
    let page = projects::list(&state.pool, &actor, &page).await?;
    Ok(Json(Items::of(page, |record| Project::of(record, with_key))))
}
