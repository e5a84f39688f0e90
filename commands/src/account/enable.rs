//! Enables an account again (row U7).

use quotary_domain::AccountId;
use quotary_domain::account::AccountCommand;

use super::disable::AccountAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Enables an account that the actor manages.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor does not manage it.
    pub async fn enable_account(&self, context: &Context, id: AccountId) -> Outcome<AccountAfter> {
        self.change_account(context, id, || AccountCommand::Enable).await
    }
}
