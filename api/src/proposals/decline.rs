//! `POST /v1/proposals/{id}/decline`.

use axum::extract::State;
use quotary_domain::ProposalId;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::ProposalAnswer;
use crate::extract::{ApiCommand, ApiPath};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// Why it is declined.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclineProposal {
    /// At most 500 characters.
    reason: Option<String>,
}

/// Declines a proposal; whoever proposed it can, too.
///
/// # Errors
/// `not-found`, `wrong-status`.
#[utoipa::path(post, path = "/v1/proposals/{id}/decline", tag = "proposals",
    request_body(content = DeclineProposal, description = "may be absent"),
    params(("id" = Uuid, Path, description = "The proposal")),
    responses((status = 200, description = "The proposal", body = ProposalAnswer)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<DeclineProposal>,
) -> Result<Reply<ProposalAnswer>, Problem> {
    let context = command.context("proposal.decline");
    let done = state.commands.decline_proposal(&context, ProposalId(id), command.body.reason).await?;
    let sequence = done.value.sequence;
    Ok(Reply::new(done, ProposalAnswer::from).etag(sequence))
}
