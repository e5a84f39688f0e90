//! Brings a sale of the past in: request, payment, licences and completion in one atomic step, at the time it happened.
//!
//! Ids follow from the caller's reference, so a sale that is brought in again changes nothing. Nobody earns a commission by
//! it: today's rates are not those of then, and what was paid then was paid elsewhere.

use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, Destination};
use quotary_domain::license_batch::{BatchRequest, CHUNK, LicenseBatch, LicenseBatchCommand};
use quotary_domain::{BatchId, JournalId};
use serde::{Deserialize, Serialize};

use super::issue_chunk::{begin_all, prepare_now};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

/// Whether a sale was brought in now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryIssued {
    /// The batch.
    pub batch_id: BatchId,
    /// False if it was there already.
    pub added: bool,
}

impl Commands {
    /// Brings a sale of the past in, at most [`CHUNK`] licences. The request's total price is what was paid then.
    ///
    /// # Errors
    /// [`Refusal`] if the sale is larger than a chunk, was brought in before with another content, or the agent's quota
    /// is less than its price.
    pub async fn issue_history(
        &self,
        context: &Context,
        batch_id: BatchId,
        request: BatchRequest,
    ) -> Outcome<HistoryIssued> {
        if request.count > CHUNK {
            let refusal = Refusal::invalid("quantity", format!("must be at most {CHUNK}"));
            return Err(CommandError::Refused(refusal));
        }
        let licenses = prepare_now(self.log.vault(), context, batch_id, &request, request.count)?;
        let mut plan = Plan::new();
        let batch = plan.open_new::<LicenseBatch>(batch_id);
        let quota = plan.open::<AgentQuota>(request.agent_id);
        let amount = request.total_price;
        let to = Destination::Sales { project_id: request.project_id, batch_id };
        self.log
            .execute(context, &plan, |unit| {
                let known = unit.get(batch).request.is_some();
                unit.decide(batch, LicenseBatchCommand::Request(request.clone()))?;
                if known {
                    return Ok(HistoryIssued { batch_id, added: false });
                }
                if !amount.is_zero() {
                    let journal_id = JournalId(batch_id.0);
                    unit.decide(quota, AgentQuotaCommand::Spend { journal_id, amount, to })?;
                }
                unit.decide(batch, LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] })?;
                begin_all(unit, &licenses)?;
                Ok::<_, Refusal>(HistoryIssued { batch_id, added: true })
            })
            .await
    }
}
