//! `POST /v1/proposals/{id}/confirm`.

use axum::extract::State;
use quotary_commands::proposal::confirm::ActDone;
use quotary_domain::ProposalId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::ProposalAnswer;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::ledger::reverse_journal::ReversedJournal;
use crate::license_batches::refund::LedgerRefund;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::AppState;

/// A confirmed proposal, and what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmedProposal {
    /// The proposal.
    #[serde(flatten)]
    proposal: ProposalAnswer,
    /// The new journal, if one was reversed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reversal: Option<ReversedJournal>,
    /// What returned in the ledger, if a batch was refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<LedgerRefund>,
}

/// Confirms a proposal of another super admin: it is done in the same step, as of now. What does not fit any more, e.g.
/// because the quota was spent, is refused, and the proposal stays open.
///
/// # Errors
/// `not-found`, `second-person-required`, `review-over`, `wrong-status`, or whatever refuses the act itself.
#[utoipa::path(post, path = "/v1/proposals/{id}/confirm", tag = "proposals", request_body = NoBody,
    params(("id" = Uuid, Path, description = "The proposal")),
    responses((status = 200, description = "The proposal and what was done", body = ConfirmedProposal)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<ConfirmedProposal>, Problem> {
    let context = command.context("proposal.confirm");
    let done = state.commands.confirm_proposal(&context, ProposalId(id)).await?;
    if let Some(batch) = done.value.done.refunded_batch() {
        // On this node its licences are refused from this answer on.
        state.license_index.observe_refund(batch);
    }
    let sequence = done.value.after.sequence;
    let reply = Reply::new(done, |confirmed| {
        let (reversal, quota) = match confirmed.done {
            ActDone::JournalReversed(reversed) => (Some(ReversedJournal::from(reversed)), None),
            ActDone::BatchRefunded(refunded) => (None, Some(LedgerRefund::from(refunded.refund))),
            ActDone::OrderRefunded(refunded) => (None, refunded.batch.map(LedgerRefund::from)),
        };
        ConfirmedProposal { proposal: confirmed.after.into(), reversal, quota }
    });
    Ok(reply.etag(sequence))
}
