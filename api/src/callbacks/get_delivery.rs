//! `GET /v1/projects/{id}/callbacks/deliveries/{delivery_id}`.

use axum::Json;
use axum::extract::State;
use quotary_domain::{DeliveryId, ProjectId};
use quotary_projections::callbacks;
use uuid::Uuid;

use super::answer::{Delivery, DeliveryAttempt};
use crate::extract::{ApiPath, Authed, MinPosition};
use crate::problem::Problem;
use crate::state::AppState;

/// A callback with what was sent and what became of each attempt.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/v1/projects/{id}/callbacks/deliveries/{delivery_id}", tag = "callbacks",
    params(("id" = Uuid, Path, description = "The project"), ("delivery_id" = Uuid, Path, description = "The delivery")),
    responses((status = 200, description = "The delivery", body = Delivery)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiPath((id, delivery_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<Delivery>, Problem> {
    position.wait_for_callbacks(&state).await?;
    let found = callbacks::get(&state.pool, actor.tenant_id, ProjectId(id), DeliveryId(delivery_id)).await?;
    let (record, attempts) = found.ok_or_else(|| Problem::not_found("delivery"))?;
    let body = Some(record.body.clone());
    let attempt_log = Some(attempts.into_iter().map(DeliveryAttempt::from).collect());
    Ok(Json(Delivery { body, attempt_log, ..Delivery::from(record) }))
}
