//! Notes that the keys of a batch were handed out: that is 'distributed' in the funnel (row L3).

use quotary_domain::account::Account;
use quotary_domain::license_batch::{ExportFormat, LicenseBatch, LicenseBatchCommand};
use quotary_domain::{AccountId, BatchId};

use super::request::BatchAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Records an export before its keys are sent. Only the owner sees keys in the clear.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is no such batch or it is another's.
    pub async fn record_export(&self, context: &Context, id: BatchId, format: ExportFormat) -> Outcome<BatchAfter> {
        let owner = self.batch_owner(context, id).await?;
        let mut plan = Plan::new();
        let batch = plan.open::<LicenseBatch>(id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                if owner != acting.actor.account_id {
                    return Err(Refusal::Forbidden);
                }
                unit.decide(batch, LicenseBatchCommand::RecordExport { by: owner, format })?;
                let (batch, sequence) = (unit.get(batch).clone(), unit.sequence(batch));
                Ok(BatchAfter { batch_id: id, batch, sequence })
            })
            .await
    }

    /// Who owns a batch, if the actor may know of it.
    pub(crate) async fn batch_owner(&self, context: &Context, id: BatchId) -> Result<AccountId, CommandError<Refusal>> {
        let unknown = || CommandError::Refused(Refusal::NotFound("batch"));
        let actor = context.actor.ok_or(CommandError::Refused(Refusal::Forbidden))?;
        let (batch, _) = self.log.current::<LicenseBatch>(context.tenant_id, id).await?.ok_or_else(unknown)?;
        let owner = batch.request.ok_or_else(unknown)?.agent_id;
        let account = self.log.current::<Account>(context.tenant_id, owner).await?;
        let ancestors = account.and_then(|(account, _)| account.profile).map(|profile| profile.ancestors);
        if actor.sees(owner, &ancestors.unwrap_or_default()) { Ok(owner) } else { Err(unknown()) }
    }
}
