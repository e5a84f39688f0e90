//! `GET /v1/projects/{id}/callbacks/deliveries`.

use axum::Json;
use axum::extract::State;
use quotary_domain::ProjectId;
use quotary_projections::callbacks::{self, DeliveryFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::{Delivery, DeliveryStatus};
use crate::extract::{ApiPath, ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::reply::Items;
use crate::state::AppState;

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `pending`, `delivered` or `dead`.
    #[param(value_type = Option<String>)]
    status: Option<DeliveryStatus>,
    /// One licence only.
    license_id: Option<Uuid>,
}

/// Lists the callbacks of a project, the newest first, or last replayed first; those that ended are kept for 30 days.
///
/// # Errors
/// `not-found`, `invalid-parameter`.
#[utoipa::path(get, path = "/v1/projects/{id}/callbacks/deliveries", tag = "callbacks",
    params(("id" = Uuid, Path, description = "The project"), Filter),
    responses((status = 200, description = "A page of deliveries", body = Items<Delivery>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<Delivery>>, Problem> {
    let Filter { limit, cursor, status, license_id } = filter;
    let page = Paging { limit, cursor }.request()?;
    super::get::known(&state, actor.tenant_id, id).await?;
    position.wait_for_callbacks(&state).await?;
    let filter = DeliveryFilter { status: status.map(DeliveryStatus::as_str), license_id };
    let found = callbacks::list(&state.pool, actor.tenant_id, ProjectId(id), filter, &page).await?;
    Ok(Json(Items::of(found, Delivery::from)))
}
