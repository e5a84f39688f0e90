//! `POST /v1/projects`.

use axum::extract::State;
use quotary_commands::project::create::{ProjectCreated, ShownCredentials};
use quotary_domain::project::ProjectDetails;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Project, observe};
use crate::extract::ApiCommand;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A new project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// 1 to 100 characters.
    name: String,
    /// At most 2,000 characters.
    description: Option<String>,
    /// The product's version, at most 50 characters.
    version: Option<String>,
    /// Where callbacks go: an https URL of a public host. It comes with a `callback_secret`.
    callback_url: Option<String>,
}

/// A project with new credentials.
#[derive(Serialize, ToSchema)]
pub struct ProjectWithCredentials {
    /// The project; its `api_key_id` is the new one.
    #[serde(flatten)]
    project: Project,
    /// The secret half of the credentials; shown this once.
    api_secret: String,
}

impl ProjectWithCredentials {
    /// The answer to a command that made credentials.
    pub(super) fn of(created: ProjectCreated) -> Result<Self, Problem> {
        let ProjectCreated { after, credentials, callback_secret } = created;
        let ShownCredentials { api_key_id, api_secret } = credentials;
        let project = Project { api_key_id: Some(api_key_id.0), callback_secret, ..Project::after(&after)? };
        Ok(Self { project, api_secret })
    }
}

/// Creates a project; it starts active.
///
/// # Errors
/// `validation-failed`.
#[utoipa::path(post, path = "/v1/projects", tag = "projects", request_body = CreateProject,
    responses((status = 201, description = "The project and its credentials", body = ProjectWithCredentials)))]
pub async fn handle(
    State(state): State<AppState>,
    command: ApiCommand<CreateProject>,
) -> Result<Reply<ProjectWithCredentials>, Problem> {
    let context = command.context("project.create");
    let CreateProject { name, description, version, callback_url } = command.body;
    let details = ProjectDetails { name, description, version, callback_url };
    let done = state.commands.create_project(&context, details).await?;
    let after = &done.value.after;
    observe(&state, context.tenant_id, after);
    let (id, sequence) = (after.project_id, after.sequence);
    let answer = ProjectWithCredentials::of(done.value.clone())?;
    Ok(Reply::new(done, |_| answer).etag(sequence).created(format!("/v1/projects/{id}")))
}
