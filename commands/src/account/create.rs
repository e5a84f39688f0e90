//! Creates an account below the acting admin, with opening quota if wanted (rows U2, U7).

use quotary_domain::account::{Account, AccountCommand, Profile, Username};
use quotary_domain::agent_quota::{AgentQuota, TransferKind};
use quotary_domain::risk::RiskPolicy;
use quotary_domain::{AccountId, JournalId, Quota, Role};
use serde::{Deserialize, Serialize};

use crate::account::{claims, secrets};
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::license_key::LicenseKey;
use crate::password::{Password, check_policy};
use crate::quota::movement::{Movement, Suspension};
use crate::quota::top_up::payer;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};

/// What an account is created with.
#[derive(Debug)]
pub struct CreateAccount {
    /// Its login name.
    pub username: Username,
    /// Its e-mail address.
    pub email: String,
    /// Its first password; one is made up and answered if there is none.
    pub password: Option<Password>,
    /// Whether the first login must set another password.
    pub must_change_password: bool,
    /// Its role.
    pub role: Role,
    /// Quota to begin with, paid as a top-up.
    pub opening_quota: Quota,
}

/// A created account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCreated {
    /// The account.
    pub account_id: AccountId,
    /// Its login name.
    pub username: Username,
    /// Its role.
    pub role: Role,
    /// Who created it.
    pub parent_id: AccountId,
    /// The password that was made up for it; shown this once.
    pub initial_password: Option<String>,
    /// The top-up of its opening quota and why it waits for another person, if it does.
    #[serde(default)]
    pub suspended_top_up: Option<(JournalId, Suspension)>,
    /// The sequence of its last event.
    pub sequence: u64,
}

impl Commands {
    /// Creates an account below the acting admin.
    ///
    /// # Errors
    /// [`CommandError::Taken`] if the username or e-mail address is taken, [`Refusal`] otherwise.
    pub async fn create_account(&self, context: &Context, input: CreateAccount) -> Outcome<AccountCreated> {
        let account_id = AccountId(clock::new_id());
        let mut plan = Plan::new();
        let account = plan.open_new::<Account>(account_id);
        let acting = Acting::open(context, &mut plan)?;
        if !acting.actor.role.may_create(input.role) {
            return Err(CommandError::Refused(Refusal::Forbidden));
        }
        let payer = payer(&acting, &mut plan);
        let policy = plan.read::<RiskPolicy>(context.tenant_id);
        let quota = plan.open_new::<AgentQuota>(account_id);
        let made_up = match &input.password {
            Some(password) => check_policy(password).map(|()| None).map_err(CommandError::Refused)?,
            None => Some(LicenseKey::generate()?.as_str().to_lowercase()),
        };
        let password = input.password.unwrap_or_else(|| made_up.clone().unwrap_or_default().into());
        let CreateAccount { username, email, must_change_password, role, opening_quota, .. } =
            CreateAccount { password: None, ..input };
        let tenant_id = context.tenant_id;
        let secret = secrets::NewSecret { tenant_id, account_id, email: &email, password, must_change_password };
        secrets::store(&self.log, secret, context.now).await?;
        let journal_id = JournalId(clock::new_id());
        let outcome = self
            .log
            .execute(context, &plan, |unit| {
                acting.check(unit)?;
                let profile = Profile { username: username.clone(), role, ancestors: acting.line(unit) };
                unit.decide(account, AccountCommand::Create(profile))?;
                claims::claim(unit, self.log.vault(), tenant_id, account_id, &username, &email);
                let mut suspended_top_up = None;
                if !opening_quota.is_zero() {
                    if !role.holds_quota() {
                        return Err(Refusal::invalid("opening_quota", "accounts of this role don't hold quota"));
                    }
                    let movement = Movement {
                        id: journal_id,
                        kind: TransferKind::TopUp,
                        from: payer,
                        to: (account_id, quota),
                        amount: opening_quota,
                        note: None,
                        asked_by: acting.actor.account_id,
                        now: context.now,
                    };
                    suspended_top_up = movement.make(unit, policy)?.map(|suspension| (journal_id, suspension));
                }
                Ok(AccountCreated {
                    account_id,
                    username: username.clone(),
                    role,
                    parent_id: acting.actor.account_id,
                    initial_password: made_up.clone(),
                    suspended_top_up,
                    sequence: unit.sequence(account),
                })
            })
            .await;
        secrets::keep_only_if(&self.log, account_id, &outcome).await;
        outcome
    }
}
