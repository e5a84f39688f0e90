//! `POST /v1/cases/{id}/notes`.

use axum::extract::State;
use quotary_domain::CaseId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::ChangedCase;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// What to say about a case.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteCase {
    /// 1 to 2,000 characters.
    note: String,
}

/// Says something about a case.
///
/// # Errors
/// `not-found`, `validation-failed`, `limit-reached`.
#[utoipa::path(post, path = "/v1/cases/{id}/notes", tag = "reconciliations", request_body = NoteCase,
    params(("id" = Uuid, Path, description = "The case")),
    responses((status = 200, description = "The case", body = ChangedCase)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoteCase>,
) -> Result<Reply<ChangedCase>, Problem> {
    let context = command.context("case.note");
    let done = state.commands.note_case(&context, CaseId(id), command.body.note.clone()).await?;
    let (answer, sequence) = (ChangedCase::from(&done.value), done.value.sequence);
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
