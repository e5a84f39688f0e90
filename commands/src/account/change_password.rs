//! Changes one's own password and ends all sessions (row U6).

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
        let known: Option<String> = sqlx::query_scalar("select password_hash from account_secrets where account_id = $1")
            .bind(acting.actor.account_id.0)
            .fetch_optional(pool)
            .await?;
        if !password::verify(present, known).await.map_err(|_| VaultError::Random)? {
            return Err(CommandError::Refused(Refusal::WrongPassword));
        }
        let hash = password::hash(new).await.map_err(|_| VaultError::Random)?;
        let done = self
            .log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                unit.decide(account, AccountCommand::RecordPasswordChange)?;
                Ok::<_, Refusal>(())
            })
            .await?;
        sqlx::query("update account_secrets set password_hash = $2, must_change_password = false where account_id = $1")
            .bind(acting.actor.account_id.0)
            .bind(hash)
            .execute(pool)
            .await?;
        tokens::end_all(pool, acting.actor.account_id, context.now).await?;
        Ok(done)
    }
}
