//! Gives a withdrawal's amount back (row Q3).

use quotary_domain::agent_quota::AgentQuotaCommand;
use quotary_domain::withdrawal::WithdrawalCommand;
use quotary_domain::{HoldId, JournalId, WithdrawalId};

use super::request::WithdrawalAfter;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::quota::top_up::check_note;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Refuses a withdrawal: the held amount returns.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor may not decide on it or it was decided on already.
    pub async fn refuse_withdrawal(
        &self,
        context: &Context,
        id: WithdrawalId,
        reason: Option<String>,
    ) -> Outcome<WithdrawalAfter> {
        check_note(reason.as_deref()).map_err(CommandError::Refused)?;
        let refuse = |by| WithdrawalCommand::Refuse { by, reason: reason.clone() };
        self.decide_withdrawal(context, id, refuse, |unit, quota, _| {
            let (hold_id, journal_id) = (HoldId::of_withdrawal(id), JournalId::derived(id.0, "release"));
            unit.decide(quota, AgentQuotaCommand::Release { hold_id, journal_id })?;
            Ok(())
        })
        .await
    }
}
