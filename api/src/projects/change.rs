//! `PATCH /v1/projects/{id}`.

use axum::extract::State;
use quotary_commands::project::change::ChangeProject;
use quotary_domain::ProjectId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Project, observe};
use crate::extract::{ApiCommand, ApiPath, double_option};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Which details become what; a field that is absent stays, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent and null mean different things in a patch")]
pub struct ProjectPatch {
    /// 1 to 100 characters.
    name: Option<String>,
    /// At most 2,000 characters.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// At most 50 characters.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<String>)]
    version: Option<Option<String>>,
    /// Where callbacks go: an https URL of a public host. The first comes with a `callback_secret`.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<String>)]
    callback_url: Option<Option<String>>,
}

/// Changes a project's details.
///
/// # Errors
/// `not-found`, `validation-failed`.
#[utoipa::path(patch, path = "/v1/projects/{id}", tag = "projects", request_body = ProjectPatch,
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The project", body = Project)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ProjectPatch>,
) -> Result<Reply<Project>, Problem> {
    let context = command.context("project.change");
    let ProjectPatch { name, description, version, callback_url } = command.body;
    let change = ChangeProject { name, description, version, callback_url };
    let done = state.commands.change_project(&context, ProjectId(id), change).await?;
    let after = &done.value.after;
    observe(&state, context.tenant_id, after);
    let callback_secret = done.value.callback_secret.clone();
    let (sequence, project) = (after.sequence, Project { callback_secret, ..Project::after(after)? });
    Ok(Reply::new(done, |_| project).etag(sequence))
}
