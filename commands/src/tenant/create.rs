//! Creates a tenant with its first super admin, in one step.

use quotary_domain::account::{Account, AccountCommand, Profile, Username};
use quotary_domain::tenant::{Tenant, TenantCommand};
use quotary_domain::{AccountId, Role, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::claims;
use crate::account::secrets;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::log::append::NewClaim;
use crate::password::{Password, check_policy};
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Commands, Outcome};

/// What a tenant is created with.
#[derive(Debug)]
pub struct CreateTenant {
    /// 2 to 64 characters, unique in the installation.
    pub name: String,
    /// The login name of its first super admin.
    pub username: Username,
    /// That admin's e-mail address.
    pub email: String,
    /// That admin's password.
    pub password: Password,
    /// Whether the first login must set another password.
    pub must_change_password: bool,
}

/// A tenant with its first super admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCreated {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its first super admin.
    pub account_id: AccountId,
}

impl Commands {
    /// Creates a tenant with its first super admin.
    ///
    /// # Errors
    /// [`CommandError::Taken`] if the name is taken, [`Refusal::Invalid`] for bad values.
    pub async fn create_tenant(&self, input: CreateTenant) -> Outcome<TenantCreated> {
        let CreateTenant { name, username, email, password, must_change_password } = input;
        Refusal::check_text("name", &name, 2, 64).map_err(CommandError::Refused)?;
        check_policy(&password).map_err(CommandError::Refused)?;
        let created = TenantCreated { tenant_id: TenantId(clock::new_id()), account_id: AccountId(clock::new_id()) };
        let TenantCreated { tenant_id, account_id } = created;
        let context = Context::system(tenant_id, "tenant.create", clock::now());
        let secret = secrets::NewSecret { tenant_id, account_id, email: &email, password, must_change_password };
        secrets::store(&self.log, secret, context.now).await?;
        let profile = Profile { username, role: Role::SuperAdmin, ancestors: vec![] };
        let mut plan = Plan::new();
        let tenant = plan.open_new::<Tenant>(tenant_id);
        let account = plan.open_new::<Account>(account_id);
        let outcome = self
            .log
            .execute(&context, &plan, |unit| -> Result<_, Refusal> {
                unit.decide(tenant, TenantCommand::Create { name: name.clone() })?;
                unit.decide(account, AccountCommand::Create(profile.clone()))?;
                let value = name.to_lowercase();
                unit.claim(NewClaim { tenant_id: Uuid::nil(), kind: "tenant", value, owner_id: tenant_id.0 });
                claims::claim(unit, self.log.vault(), tenant_id, account_id, &profile.username, &email);
                Ok(created)
            })
            .await;
        secrets::keep_only_if(&self.log, account_id, &outcome).await;
        outcome
    }
}
