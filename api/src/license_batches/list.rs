//! `GET /v1/license-batches`: the batches that an account may see, newest first.

use axum::Json;
use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_projections::licenses;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Batch;
use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// What the list is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListBatches {
    /// One project only.
    pub project_id: Option<Uuid>,
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Batches, newest first.
///
/// # Errors
/// If a parameter is not valid.
#[utoipa::path(get, path = "/v1/license-batches", tag = "license-batches", params(ListBatches),
    responses((status = 200, description = "A page of batches", body = Items<Batch>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    ApiQuery(query): ApiQuery<ListBatches>,
    position: MinPosition,
) -> Result<Json<Items<Batch>>, Problem> {
    let page = Paging { limit: query.limit, cursor: query.cursor }.request()?;
    position.wait(&state, &["licenses", "accounts"]).await?;
    let page = licenses::batches(&state.pool, &actor, query.project_id.map(ProjectId), &page).await?;
    Ok(Json(Items::of(page, Batch::from)))
}
