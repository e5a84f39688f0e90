//! `POST /v1/cases/{id}/resolve`.

use axum::extract::State;
use quotary_domain::CaseId;
use quotary_domain::case::Resolution;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::ChangedCase;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// How a case is resolved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveCase {
    /// `explained`, `corrected`, `returned` or `written_off`.
    #[schema(value_type = String)]
    resolution: Resolution,
    /// Why, 1 to 2,000 characters.
    explanation: String,
    /// What a command did about it: a journal, an order, the provider's number. A correction needs it.
    reference: Option<String>,
}

/// Explains a case. What has to be done about it is done by an ordinary command before.
///
/// # Errors
/// `not-found`, `wrong-status`, `validation-failed`.
#[utoipa::path(post, path = "/v1/cases/{id}/resolve", tag = "reconciliations", request_body = ResolveCase,
    params(("id" = Uuid, Path, description = "The case")),
    responses((status = 200, description = "The case", body = ChangedCase)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<ResolveCase>,
) -> Result<Reply<ChangedCase>, Problem> {
    let context = command.context("case.resolve");
    let ResolveCase { resolution, explanation, reference } = &command.body;
    let done =
        state.commands.resolve_case(&context, CaseId(id), *resolution, explanation.clone(), reference.clone()).await?;
    let (answer, sequence) = (ChangedCase::from(&done.value), done.value.sequence);
    Ok(Reply::new(done, |_| answer).etag(sequence))
}
