//! `POST /v1/license-batches/{id}/refund`: for batches that no order bought.

use axum::extract::State;
use quotary_commands::license_batch::refund::{BatchAfterRefund, BatchRefunded};
use quotary_domain::BatchId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Batch;
use crate::extract::{ApiCommand, ApiPath, NoBody};
use crate::problem::Problem;
use crate::proposals;
use crate::proposals::answer::{DoneOrWaiting, Waiting};
use crate::reply::Reply;
use crate::state::AppState;

/// What returned in the ledger, in minor units of quota.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerRefund {
    /// The movement.
    pub journal_id: Uuid,
    /// What the agent got back of what it had paid.
    pub amount: i64,
    /// What the agent's ancestors gave back of their commissions.
    pub commissions_returned: i64,
    /// What they did not have any more; it stays with the sales of the project.
    pub commissions_missing: i64,
    /// What was still held for licences that were not issued.
    pub released: i64,
}

impl From<BatchRefunded> for LedgerRefund {
    fn from(refund: BatchRefunded) -> Self {
        Self {
            journal_id: refund.journal_id.0,
            amount: refund.amount.minor_units(),
            commissions_returned: refund.commissions_returned.minor_units(),
            commissions_missing: refund.commissions_missing.minor_units(),
            released: refund.released.minor_units(),
        }
    }
}

/// A batch after its refund.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundedBatch {
    /// The batch.
    #[serde(flatten)]
    batch: Option<Batch>,
    /// What returned in the ledger.
    quota: LedgerRefund,
}

/// Refunds a batch: its agent gets the quota back, ancestors give back their commissions, and its licences are disabled.
/// A batch that an order bought is refunded with its order. More than one may move alone waits for a second super admin.
///
/// # Errors
/// `not-found`, `forbidden`, `already-refunded`, `batch-has-order`.
#[utoipa::path(post, path = "/v1/license-batches/{id}/refund", tag = "license-batches", request_body = NoBody,
    params(("id" = Uuid, Path, description = "The batch")),
    responses((status = 200, description = "The batch", body = RefundedBatch),
              (status = 202, description = "It waits for a second super admin", body = Waiting)))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    command: ApiCommand<NoBody>,
) -> Result<Reply<DoneOrWaiting<RefundedBatch>>, Problem> {
    let context = command.context("license_batch.refund");
    let done = state.commands.refund_batch(&context, BatchId(id)).await?;
    Ok(proposals::answer::reply(done, |done| {
        // On this node its licences are refused from this answer on.
        state.license_index.observe_refund(BatchId(id));
        let sequence = done.value.after.sequence;
        let body = |refunded: BatchAfterRefund| RefundedBatch {
            batch: Batch::after(&refunded.after),
            quota: refunded.refund.into(),
        };
        Reply::new(done, body).etag(sequence)
    }))
}
