//! `PUT /v1/projects/{id}/grants/{agent_id}`.

use axum::extract::State;
use quotary_domain::{AccountId, ProjectId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Grant, observe};
use crate::extract::{ApiCommand, ApiPath, Time};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How long the grant holds.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantProject {
    /// When it ends by itself; absent is never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Lets an agent issue licences of a project. Agent admins grant to agents below them, super admins to anyone.
///
/// # Errors
/// `not-found`, `forbidden`, `validation-failed`.
#[utoipa::path(put, path = "/v1/projects/{id}/grants/{agent_id}", tag = "projects",
    request_body(content = GrantProject, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The project"), ("agent_id" = Uuid, Path, description = "The agent")),
    responses((status = 200, description = "The grant", body = Grant)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath((id, agent_id)): ApiPath<(Uuid, Uuid)>,
    command: ApiCommand<GrantProject>,
) -> Result<Reply<Grant>, Problem> {
    let context = command.context("project.grant");
    let expires_at = command.body.expires_at.map(|time| time.0);
    let done = state.commands.grant_project(&context, ProjectId(id), AccountId(agent_id), expires_at).await?;
    observe(&state, context.tenant_id, &done.value);
    let sequence = done.value.sequence;
    let reply = Reply::new(done, |_| Grant { project_id: id, agent_id, expires_at, granted_at: None });
    Ok(reply.etag(sequence))
}
