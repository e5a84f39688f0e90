//! Changes one's own password and ends all sessions (row U6).

use quotary_domain::AccountId;
use quotary_domain::account::{Account, AccountCommand};

use crate::context::Context;
use crate::event_log::CommandError;
use crate::password::{self, Password, check_policy};
use crate::refusal::Refusal;
use crate::session::tokens;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};
use crate::vault::VaultError;

impl Commands {
    /// Changes the actor's password.
    ///
    /// # Errors
    /// [`Refusal::WrongPassword`] if `present` is not the present one, [`Refusal::Invalid`] if `new` is too weak.
    pub async fn change_password(&self, context: &Context, present: Password, new: Password) -> Outcome<()> {
        let mut plan = Plan::new();
        let acting = Acting::open(context, &mut plan)?;
        let account = plan.open::<Account>(acting.actor.account_id);
        check_policy(&new).map_err(CommandError::Refused)?;
        let pool = self.log.pool();
        let known: Option<String> =
            sqlx::query_scalar("select password_hash from account_secrets where account_id = $1")
                .bind(acting.actor.account_id.0)
                .fetch_optional(pool)
                .await?;
        let right = password::verify(present, known.clone()).await.map_err(|_| VaultError::Random)?;
        // The secret first: a crash before the event leaves a password that works and sessions that end with the next
        // change, never an event that says what did not happen. Of two changes at once, one finds its old hash.
        let changed = right && self.exchange(acting.actor.account_id, known, new).await?;
        let done = self
            .log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                if !changed {
                    return Err(Refusal::WrongPassword);
                }
                unit.decide(account, AccountCommand::RecordPasswordChange)?;
                Ok::<_, Refusal>(())
            })
            .await?;
        tokens::end_all(pool, acting.actor.account_id, context.now).await?;
        Ok(done)
    }

    /// Puts a new hash in the place of the one that was checked; false if it is no longer there.
    async fn exchange(
        &self,
        account_id: AccountId,
        known: Option<String>,
        new: Password,
    ) -> Result<bool, CommandError<Refusal>> {
        let hash = password::hash(new).await.map_err(|_| VaultError::Random)?;
        let exchanged = sqlx::query(
            "update account_secrets set password_hash = $3, must_change_password = false \
             where account_id = $1 and password_hash = $2",
        )
        .bind(account_id.0)
        .bind(known)
        .bind(hash)
        .execute(self.log.pool())
        .await?;
        Ok(exchanged.rows_affected() == 1)
    }
}
