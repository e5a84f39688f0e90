//! `POST /v1/projects/{id}/callbacks/deliveries/{delivery_id}/replay`.

use axum::extract::State;
use quotary_domain::{DeliveryId, ProjectId};
use uuid::Uuid;

use super::answer::{AskedDelivery, location};
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Sends a callback again that was delivered or given up, with the same body and `webhook-id`, after all others of its licence.
///
/// # Errors
/// `not-found`, `wrong-status`.
#[utoipa::path(post, path = "/v1/projects/{id}/callbacks/deliveries/{delivery_id}/replay", tag = "callbacks",
    params(("id" = Uuid, Path, description = "The project"), ("delivery_id" = Uuid, Path, description = "The delivery")),
    responses((status = 202, description = "The delivery, on its way", body = AskedDelivery)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath((id, delivery_id)): ApiPath<(Uuid, Uuid)>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<AskedDelivery>, Problem> {
    let context = command.context("callbacks.replay");
    let done = state.commands.replay_callback(&context, ProjectId(id), DeliveryId(delivery_id)).await?;
    let at = location(id, done.value);
    Ok(Reply::new(done, |id| AskedDelivery { id: id.0 }).accepted(at))
}
