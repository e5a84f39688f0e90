//! Confirms a proposal, and does in the same step what it proposes (row U12).

use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::order::{Order, OrderError};
use quotary_domain::proposal::{Act, Proposal, ProposalCommand};
use quotary_domain::reversal::ReversalError;
use quotary_domain::{BatchId, ProposalId};
use serde::{Deserialize, Serialize};

use super::propose::ProposalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::ledger::reverse::{JournalReversed, Moved, Taking};
use crate::license_batch::refund::{BatchAfterRefund, BatchRefund};
use crate::order::refund::{OrderRefund, OrderRefunded};
use crate::refusal::Refusal;
use crate::unit::{Handle, Plan};
use crate::use_case::{Acting, Commands, Outcome};

/// A confirmed proposal, and what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalConfirmed {
    /// The proposal.
    pub after: ProposalAfter,
    /// What was done.
    pub done: ActDone,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActDone {
    /// A journal was taken back.
    JournalReversed(JournalReversed),
    /// A batch was refunded.
    BatchRefunded(BatchAfterRefund),
    /// An order was paid back.
    OrderRefunded(OrderRefunded),
}

impl ActDone {
    /// The batch that was refunded, if one was.
    #[must_use]
    pub fn refunded_batch(&self) -> Option<BatchId> {
        match self {
            Self::JournalReversed(_) => None,
            Self::BatchRefunded(done) => Some(done.after.batch_id),
            Self::OrderRefunded(done) => done.refunded_batch(),
        }
    }
}

/// An act within a plan.
enum Opened {
    Reversal(Taking),
    Batch(BatchRefund),
    Order(OrderRefund),
}

impl Commands {
    /// Confirms a proposal; only a super admin can who did not propose it. It is done as of now: what does not fit any more
    /// is refused, and nothing changes.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such proposal, the actor proposed it, it was decided on already, its time is over by the
    /// log's clock, or what it proposes is refused.
    pub async fn confirm_proposal(&self, context: &Context, id: ProposalId) -> Outcome<ProposalConfirmed> {
        // What is proposed never changes, so it can be read before the step.
        let unknown = || CommandError::Refused(Refusal::NotFound("proposal"));
        let (known, _) = self.log.current::<Proposal>(context.tenant_id, id).await?.ok_or_else(unknown)?;
        let proposed = known.proposed.ok_or_else(unknown)?;
        let now = self.log.time().await?;
        let mut plan = Plan::new();
        let proposal: Handle<Proposal> = plan.open::<Proposal>(id);
        let acting = Acting::open(context, &mut plan)?;
        let opened = match &proposed.act {
            Act::ReverseJournal { reverses, from, to, original, .. } => {
                let moved = Moved { giver: *to, receiver: *from, amount: *original };
                Opened::Reversal(Taking::open(*reverses, moved, &mut plan))
            }
            Act::RefundBatch { batch_id } => {
                Opened::Batch(self.open_batch_refund(context, *batch_id, &mut plan).await?)
            }
            Act::RefundOrder { order_id, batch_id, .. } => {
                let order = plan.open::<Order>(*order_id);
                let batch = self.open_batch_refund(context, *batch_id, &mut plan).await?;
                Opened::Order(OrderRefund { order_id: *order_id, order, batch: Some(batch) })
            }
        };
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let by = acting.actor.account_id;
                unit.decide(proposal, ProposalCommand::Confirm { by, now })?;
                let done = match (&opened, &proposed.act) {
                    (Opened::Reversal(taking), Act::ReverseJournal { reason, .. }) => {
                        let made = taking.made(proposed.amount, reason.clone(), by);
                        let done = taking.carry_out(unit, made)?;
                        // The same was done by another proposal: this one does nothing, so it is not confirmed.
                        if !done.added {
                            return Err(ReversalError::AlreadyReversed(done.made.journal_id).into());
                        }
                        ActDone::JournalReversed(done)
                    }
                    (Opened::Order(refund), Act::RefundOrder { refund: noted, .. }) => {
                        let done = refund.carry_out(unit, noted.clone(), Some(by))?;
                        if done.batch.is_none() {
                            return Err(OrderError::AlreadyRefunded.into());
                        }
                        ActDone::OrderRefunded(done)
                    }
                    (Opened::Batch(refund), _) => {
                        let done = refund.carry_out(unit, None, Some(by))?;
                        ActDone::BatchRefunded(refund.after(unit, done))
                    }
                    _ => return Err(Refusal::NotFound("proposal")),
                };
                let (status, sequence) = (unit.get(proposal).status, unit.sequence(proposal));
                let after = ProposalAfter { proposal_id: id, proposed: proposed.clone(), status, sequence };
                Ok(ProposalConfirmed { after, done })
            })
            .await
    }

    /// What the refund of a batch needs, opened; what it was asked for never changes, so it can be read before the step.
    pub(crate) async fn open_batch_refund(
        &self,
        context: &Context,
        batch_id: BatchId,
        plan: &mut Plan,
    ) -> Result<BatchRefund, CommandError<Refusal>> {
        let known = self.log.current::<LicenseBatch>(context.tenant_id, batch_id).await?;
        let request = known.and_then(|(batch, _)| batch.request);
        let request = request.ok_or(CommandError::Refused(Refusal::NotFound("batch")))?;
        self.plan_batch_refund(context, batch_id, &request, plan).await
    }
}
