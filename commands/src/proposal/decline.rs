//! Ends a proposal without doing it (row U12).

use quotary_domain::ProposalId;
use quotary_domain::proposal::{Proposal, ProposalCommand, ProposalError};

use super::propose::ProposalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::movement::check_note;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

impl Commands {
    /// Declines a proposal. Only super admins can; whoever proposed it too.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such proposal or it was decided on already.
    pub async fn decline_proposal(
        &self,
        context: &Context,
        id: ProposalId,
        reason: Option<String>,
    ) -> Outcome<ProposalAfter> {
        check_note(reason.as_deref()).map_err(CommandError::Refused)?;
        let mut plan = Plan::new();
        let proposal = plan.open::<Proposal>(id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let by = acting.actor.account_id;
                unit.decide(proposal, ProposalCommand::Decline { by, reason: reason.clone() })?;
                let (state, sequence) = (unit.get(proposal), unit.sequence(proposal));
                let proposed = state.proposed.clone().ok_or(Refusal::Proposal(ProposalError::Unknown))?;
                Ok::<_, Refusal>(ProposalAfter { proposal_id: id, proposed, status: state.status, sequence })
            })
            .await
    }
}
