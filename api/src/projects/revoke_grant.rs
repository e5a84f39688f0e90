//! `DELETE /v1/projects/{id}/grants/{agent_id}`.

use axum::extract::State;
use quotary_domain::{AccountId, ProjectId};
use uuid::Uuid;

use super::answer::observe;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Takes a grant back; one that does not exist is gone already.
///
/// # Errors
/// `not-found`, `forbidden`.
#[utoipa::path(delete, path = "/v1/projects/{id}/grants/{agent_id}", tag = "projects",
    params(("id" = Uuid, Path, description = "The project"), ("agent_id" = Uuid, Path, description = "The agent")),
    responses((status = 204, description = "The grant is gone")))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath((id, agent_id)): ApiPath<(Uuid, Uuid)>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<()>, Problem> {
    let context = command.context("project.revoke_grant");
    let done = state.commands.revoke_grant(&context, ProjectId(id), AccountId(agent_id)).await?;
    observe(&state, context.tenant_id, &done.value);
    Ok(Reply::no_content(&done))
}
