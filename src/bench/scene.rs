//! Where a measurement takes place: a fresh database on private servers, with the write side started on it.

use quotary_commands::{Commands, EventLog, Limits, Vault};
use quotary_domain::account::Username;
use quotary_domain::{AccountId, Actor, Quota, Role, TenantId};
use sqlx::{Executor as _, PgPool};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::database;
use crate::embedded::Servers;

/// Any error ends a measurement.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A fresh database with the write side on it.
pub struct Scene {
    /// Connections as the service.
    pub pool: PgPool,
    /// Connections as the owner.
    pub owner: PgPool,
    /// The database's URL.
    pub database_url: String,
    /// The write side.
    pub commands: Commands,
    /// The vendor.
    pub tenant_id: TenantId,
    /// Its super admin.
    pub admin: Actor,
    committer: JoinHandle<()>,
}

impl Scene {
    /// Sets the scene up in a database of its own.
    ///
    /// # Errors
    /// If the database or the first tenant can't be made.
    pub async fn set(servers: &Servers, name: &str) -> Result<Self, Failure> {
        let database_url = fresh_database(servers, name).await?;
        let owner = database::owner_pool(&database_url, 4).await?;
        database::migrate(&owner).await?;
        let pool = database::service_pool(&database_url, 16).await?;
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let (log, committer) = EventLog::start(pool.clone(), vault, Limits::default(), 200_000);
        let commands = Commands::new(log);
        let created = commands
            .create_tenant(quotary_commands::tenant::create::CreateTenant {
                name: "bench".into(),
                username: Username::parse("admin")?,
                email: "admin@example.com".into(),
                password: Zeroizing::new("bench-password".into()),
                must_change_password: false,
            })
            .await?
            .value;
        let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
        Ok(Self { pool, owner, database_url, commands, tenant_id: created.tenant_id, admin, committer })
    }

    /// Makes `count` agents with `quota` each, straight through the write side's own unit (no password hashing).
    ///
    /// # Errors
    /// If one can't be made.
    pub async fn agents(&self, count: usize, quota: Quota) -> Result<Vec<AccountId>, Failure> {
        use quotary_commands::{Context, Plan, Refusal, clock};
        use quotary_domain::account::{Account, AccountCommand, Profile};
        use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand};
        let mut agents = Vec::with_capacity(count);
        for number in 0..count {
            let id = AccountId(clock::new_id());
            let mut plan = Plan::new();
            let (account, balance) = (plan.open::<Account>(id), plan.open::<AgentQuota>(id));
            let profile = Profile {
                username: Username::parse(&format!("agent-{number}"))?,
                role: Role::Agent,
                ancestors: vec![self.admin.account_id],
            };
            let context = Context::of(self.admin, "account.create", clock::now());
            let done = self.commands.log().execute(&context, &plan, |unit| {
                unit.decide(account, AccountCommand::Create(profile.clone()))?;
                let journal_id = quotary_domain::JournalId(id.0);
                unit.decide(balance, AgentQuotaCommand::TopUp { journal_id, amount: quota, note: None })?;
                Ok::<_, Refusal>(())
            });
            done.await?;
            agents.push(id);
        }
        Ok(agents)
    }

    /// Ends the write side and closes the connections.
    ///
    /// # Errors
    /// If the committer had panicked.
    pub async fn strike(self) -> Result<(), Failure> {
        drop(self.commands);
        self.committer.await?;
        self.pool.close().await;
        self.owner.close().await;
        Ok(())
    }
}

/// Makes an empty database and answers its URL.
///
/// # Errors
/// If the server can't be reached.
pub async fn fresh_database(servers: &Servers, name: &str) -> Result<String, Failure> {
    let admin = database::owner_pool(&servers.database_url, 1).await?;
    admin.execute(format!("drop database if exists \"{name}\" with (force)").as_str()).await?;
    admin.execute(format!("create database \"{name}\"").as_str()).await?;
    admin.close().await;
    let base = servers.database_url.rsplit_once('/').ok_or("a database URL has a path")?.0;
    Ok(format!("{base}/{name}"))
}
