//! `POST /v1/projects/{id}/rotate-signing-key`.

use axum::extract::State;
use quotary_commands::project::rotate_signing_key::MAX_OVERLAP_DAYS;
use quotary_domain::ProjectId;
use quotary_domain::project::{SigningAlgorithm, UnknownAlgorithm};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Project, observe};
use crate::extract::{ApiCommand, ApiPath, Whole};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How long the key before stays published, unless said otherwise: files that it signed live long.
const DEFAULT_OVERLAP_DAYS: u32 = 365;

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// `ed25519` (if absent) or `rsa-pss-sha256`, whose first key is made by this call.
    algorithm: Option<String>,
    /// How long the key before stays published, in days: 0 to 3660, 365 if absent. 0 is for a key that leaked.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 3660)]
    overlap_days: Option<Whole<0, MAX_OVERLAP_DAYS>>,
}

/// Gives a project another signing key at once; the one before stays in the published key set for an overlap.
///
/// # Errors
/// `not-found`, `validation-failed`, `limit-reached`.
#[utoipa::path(post, path = "/v1/projects/{id}/rotate-signing-key", tag = "projects",
    request_body(content = RotateSigningKey, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The project")),
    responses((status = 200, description = "The project with its keys", body = Project)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<RotateSigningKey>,
) -> Result<Reply<Project>, Problem> {
    let context = command.context("project.rotate_signing_key");
    let algorithm = command.body.algorithm.as_deref().map_or(Ok(SigningAlgorithm::Ed25519), str::parse);
    let algorithm = algorithm.map_err(|error: UnknownAlgorithm| Problem::invalid("/algorithm", error.to_string()))?;
    let overlap_days = command.body.overlap_days.map_or(DEFAULT_OVERLAP_DAYS, |days| days.0);
    let done = state.commands.rotate_signing_key(&context, ProjectId(id), algorithm, overlap_days).await?;
    observe(&state, context.tenant_id, &done.value);
    let (sequence, answer) = (done.value.sequence, Project::after(&done.value)?);
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
