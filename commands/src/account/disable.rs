//! Disables an account: it can do nothing from now on, and its sessions end (row U7).

use quotary_domain::AccountId;
use quotary_domain::account::{Account, AccountCommand};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::session::tokens;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// An account after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAfter {
    /// Its state.
    pub account: Account,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Disables an account that the actor manages.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor does not manage it.
    pub async fn disable_account(&self, context: &Context, id: AccountId) -> Outcome<AccountAfter> {
        let done = self.change_account(context, id, || AccountCommand::Disable).await?;
        // The event stops the account; ending its sessions keeps them from coming back with a later enabling.
        tokens::end_all(self.log.pool(), id, context.now).await?;
        Ok(done)
    }

    /// Lets an account that the actor manages decide on a command.
    pub(crate) async fn change_account(
        &self,
        context: &Context,
        id: AccountId,
        command: impl Fn() -> AccountCommand + Send + Sync,
    ) -> Outcome<AccountAfter> {
        let mut plan = Plan::new();
        let account = plan.open::<Account>(id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_manages(unit, id, account)?;
                unit.decide(account, command())?;
                Ok(AccountAfter { account: unit.get(account).clone(), sequence: unit.sequence(account) })
            })
            .await
    }
}
