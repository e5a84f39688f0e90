//! Lifts the lock that failed logins put on an account (row U7).

use quotary_domain::AccountId;
use quotary_domain::account::AccountCommand;

use super::disable::AccountAfter;
use crate::context::Context;
use crate::use_case::{Commands, Outcome};

impl Commands {
    /// Unlocks an account that the actor manages.
    ///
    /// # Errors
    /// [`Refusal`](crate::refusal::Refusal) if the actor does not manage it.
    pub async fn unlock_account(&self, context: &Context, id: AccountId) -> Outcome<AccountAfter> {
        let done = self.change_account(context, id, || AccountCommand::RecordUnlock).await?;
        sqlx::query("update account_secrets set failed_logins = 0, locked_until = null where account_id = $1")
            .bind(id.0)
            .execute(self.log.pool())
            .await?;
        Ok(done)
    }
}
