//! Demo data: a project with two plans, an agent admin with two agents, quota, and a batch of licences. Made once; a
//! repeat gets the stored answers.

use quotary_commands::account::claims::{find_account, find_tenant};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::{Commands, Context, Idempotency, clock};
use quotary_domain::account::{Account, Username};
use quotary_domain::license::LicenseTerms;
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{AccountId, Actor, Quota, Role, TenantId};
use sqlx::PgPool;
use zeroize::Zeroizing;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The password of every demo agent; demo data is no place for secrets.
pub const PASSWORD: &str = "demo-password";

/// Makes the demo data of a tenant in the name of its super admin `admin`.
///
/// # Errors
/// If a command fails.
pub async fn make(commands: &Commands, pool: &PgPool, tenant: &str) -> Result<(), Failure> {
    let tenant_id = find_tenant(pool, Some(tenant)).await?.ok_or("there is no such tenant")?;
    let admin = super_admin(commands, pool, tenant_id, "admin").await?;
    let details = ProjectDetails {
        name: "Demo Studio".into(),
        description: Some("A product to look around with".into()),
        version: Some("1.0".into()),
        callback_url: None,
    };
    let project = commands.create_project(&once(admin, "project"), details).await?.value.after.project_id;
    let yearly = plan("Yearly", Some(365), 2, 1_200)?;
    let plan_id = commands.add_plan(&once(admin, "plan-yearly"), project, yearly).await?.value.plan_id;
    commands.add_plan(&once(admin, "plan-perpetual"), project, plan("Perpetual", None, 1, 4_900)?).await?;
    let north = account(commands, admin, "demo-north", Role::AgentAdmin, 1_000_000).await?;
    let north_admin = Actor { tenant_id, account_id: north, role: Role::AgentAdmin };
    for (name, quota) in [("demo-anna", 200_000), ("demo-bo", 50_000)] {
        let agent = account(commands, north_admin, name, Role::Agent, quota).await?;
        commands.grant_project(&once(admin, &format!("grant-{name}")), project, agent, None).await?;
        let actor = Actor { tenant_id, account_id: agent, role: Role::Agent };
        commands.request_batch(&once(actor, &format!("batch-{name}")), project, plan_id, 20).await?;
    }
    Ok(())
}

/// An account of a tenant as an actor, by its username; it must be a super admin.
///
/// # Errors
/// If there is no such account or it has another role.
pub async fn super_admin(
    commands: &Commands,
    pool: &PgPool,
    tenant_id: TenantId,
    username: &str,
) -> Result<Actor, Failure> {
    let account_id = find_account(pool, commands.log().vault(), tenant_id, username)
        .await?
        .ok_or_else(|| format!("there is no account {username}"))?;
    let (account, _) =
        commands.log().current::<Account>(tenant_id, account_id).await?.ok_or("the account has no events")?;
    match account.profile {
        Some(profile) if profile.role == Role::SuperAdmin => {
            Ok(Actor { tenant_id, account_id, role: Role::SuperAdmin })
        }
        _ => Err(format!("{username} is no super admin").into()),
    }
}

fn once(actor: Actor, step: &str) -> Context {
    let idempotency = Some(Idempotency::new("demo", step, step.as_bytes()));
    Context { idempotency, ..Context::of(actor, "demo.make", clock::now()) }
}

fn plan(name: &str, duration_days: Option<u32>, max_machines: u32, price: i64) -> Result<Plan, Failure> {
    let terms = LicenseTerms::usual(duration_days, max_machines, vec!["export".into()]);
    Ok(Plan::new(name.into(), Quota::new(price)?, terms))
}

async fn account(commands: &Commands, parent: Actor, name: &str, role: Role, quota: i64) -> Result<AccountId, Failure> {
    let input = CreateAccount {
        username: Username::parse(name)?,
        email: format!("{name}@example.com"),
        password: Some(Zeroizing::new(PASSWORD.to_owned())),
        must_change_password: false,
        role,
        opening_quota: Quota::new(quota)?,
    };
    Ok(commands.create_account(&once(parent, name), input).await?.value.account_id)
}
