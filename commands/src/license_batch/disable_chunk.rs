//! Disables the next chunk of the licences of a refunded batch, with the batch's progress, in one atomic step (row Q9).

use std::collections::BTreeSet;

use quotary_domain::license::{License, LicenseCommand};
use quotary_domain::license_batch::{LicenseBatch, LicenseBatchCommand, LicenseBatchError, NextDisabling};
use quotary_domain::{BatchId, LicenseId};

use super::request::BatchAfter;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Disables a chunk of a refunded batch. `licenses` are those that the chunk's numbers name, in the order of issue;
    /// each must be the batch's own. A licence that is disabled or revoked stays as it is and counts.
    ///
    /// # Errors
    /// [`LicenseBatchError::WrongChunk`] if the chunk is not the next, and [`Refusal::Invalid`] if the licences are not
    /// as many as the chunk has, or not the batch's.
    pub async fn disable_chunk(
        &self,
        context: &Context,
        batch_id: BatchId,
        next: NextDisabling,
        licenses: &[LicenseId],
    ) -> Outcome<BatchAfter> {
        let mut plan = Plan::new();
        let batch = plan.open::<LicenseBatch>(batch_id);
        let distinct: BTreeSet<_> = licenses.iter().collect();
        let opened: Vec<_> = distinct.into_iter().map(|id| plan.open::<License>(*id)).collect();
        self.log
            .execute(context, &plan, |unit| {
                if unit.get(batch).next_disabling() != Some(next) {
                    let expected = unit.get(batch).disabled_chunks;
                    return Err(LicenseBatchError::WrongChunk { asked: next.chunk, next: expected }.into());
                }
                if opened.len() != next.count as usize {
                    return Err(Refusal::invalid("licenses", "are not as many as the chunk has"));
                }
                for license in &opened {
                    let known = unit.get(*license);
                    if known.issue.as_ref().map(|issue| issue.batch_id) != Some(batch_id) {
                        return Err(Refusal::invalid("licenses", "are not the batch's"));
                    }
                    if !known.revoked {
                        unit.decide(*license, LicenseCommand::Disable)?;
                    }
                }
                unit.decide(batch, LicenseBatchCommand::DisableChunk { chunk: next.chunk })?;
                let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                Ok(BatchAfter { batch_id, batch, sequence })
            })
            .await
    }
}
