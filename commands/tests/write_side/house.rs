//! A database of a test's own with a vendor in it, and as many processes over it as a test wants.
//!
//! What always holds: two houses share nothing; the database goes with the house, even when the test fails.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quotary_commands::account::create::{AccountCreated, CreateAccount};
use quotary_commands::log::append::NewClaim;
use quotary_commands::log::stream::load;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{
    CommandError, Commands, Context, EventLog, Idempotency, Limits, Outcome, Plan, Refusal, Vault, clock,
};
use quotary_domain::account::{Account, AccountCommand, Profile, Username};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaEvent};
use quotary_domain::ledger::{LedgerAccount, journal, postings};
use quotary_domain::license::LicenseTerms;
use quotary_domain::project::{self, ProjectDetails};
use quotary_domain::{AccountId, Actor, Aggregate, PlanId, ProjectId, Quota, Role};
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::types::Json;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The house.
pub struct House {
    /// The first process.
    pub here: Commands,
    /// The vendor's first super admin.
    pub boss: Actor,
    /// The database as its owner.
    pub owner: PgPool,
    server: PgConnectOptions,
    name: String,
    names: AtomicU32,
}

/// A project with a plan.
#[derive(Clone, Copy)]
pub struct Shop {
    /// The project.
    pub project: ProjectId,
    /// Its plan.
    pub plan: PlanId,
}

/// The whole log, read once.
pub struct Reading {
    /// Every ledger account's balance at the end.
    pub balances: HashMap<LedgerAccount, i64>,
}

impl House {
    /// A house with one process and one vendor.
    pub async fn new() -> Self {
        let server: PgConnectOptions = environment("DATABASE_URL").parse().unwrap();
        let name = format!("write_{}", clock::new_id().simple());
        let mut connection = server.connect().await.unwrap();
        sqlx::query(&format!("create database {name}")).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let owner = PgPoolOptions::new().max_connections(4).connect_with(server.clone().database(&name)).await.unwrap();
        sqlx::migrate!("../schema/migrations").run(&owner).await.unwrap();
        let here = Commands::new(start(&server, &name, "here", Limits::default()).await);
        let boss = vendor(&here, "acme").await;
        Self { here, boss, owner, server, name, names: AtomicU32::new(0) }
    }

    /// Another process over the same database, with a cache of its own.
    pub async fn another(&self, called: &str) -> Commands {
        self.another_within(called, Limits::default()).await
    }

    /// Like [`House::another`], with limits of its own.
    pub async fn another_within(&self, called: &str, limits: Limits) -> Commands {
        Commands::new(start(&self.server, &self.name, called, limits).await)
    }

    /// Like [`House::another`], through another port that leads to the server.
    pub async fn another_at(&self, called: &str, port: u16) -> Commands {
        let server = self.server.clone().host("127.0.0.1").port(port);
        Commands::new(start(&server, &self.name, called, Limits::default()).await)
    }

    /// Where the server listens.
    pub fn server(&self) -> (String, u16) {
        (self.server.get_host().to_owned(), self.server.get_port())
    }

    /// An account below others, made without a password: hashing one takes longer than all the rest.
    pub async fn account_below(&self, role: Role, ancestors: Vec<AccountId>) -> Actor {
        let id = AccountId(clock::new_id());
        let mut plan = Plan::new();
        let account = plan.open_new::<Account>(id);
        let tenant_id = self.boss.tenant_id;
        let profile = Profile { username: username(id), role, ancestors };
        let value = profile.username.as_str().to_owned();
        let made = |unit: &mut quotary_commands::Unit| {
            unit.decide(account, AccountCommand::Create(profile.clone()))?;
            let (tenant_id, value) = (tenant_id.0, value.clone());
            unit.claim(NewClaim { tenant_id, kind: "username", value, owner_id: id.0 });
            Ok::<_, Refusal>(())
        };
        self.here.log().execute(&Context::system(tenant_id, "test", clock::now()), &plan, made).await.unwrap();
        Actor { tenant_id, account_id: id, role }
    }

    /// An account right below the boss.
    pub async fn account(&self, role: Role) -> Actor {
        self.account_below(role, vec![self.boss.account_id]).await
    }

    /// An agent with quota to spend.
    pub async fn agent(&self, available: i64) -> Actor {
        let agent = self.account(Role::Agent).await;
        if available > 0 {
            self.give(&self.here, agent, available).await;
        }
        agent
    }

    /// Tops an account up by the boss.
    pub async fn give(&self, by: &Commands, agent: Actor, amount: i64) {
        by.top_up(&context(self.boss), agent.account_id, quota(amount), None).await.unwrap();
    }

    /// A name that was not used before.
    pub fn fresh_name(&self) -> String {
        format!("name-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A project with a plan of this price and number of machines.
    pub async fn shop(&self, unit_price: i64, max_machines: u32) -> Shop {
        let details = ProjectDetails { name: self.fresh_name(), description: None, version: None, callback_url: None };
        let project = self.here.create_project(&context(self.boss), details).await.unwrap().value.after.project_id;
        let terms = LicenseTerms::usual(Some(365), max_machines, vec![]);
        let plan = project::Plan::new("plan".into(), quota(unit_price), terms);
        let plan = self.here.add_plan(&context(self.boss), project, plan).await.unwrap().value.plan_id;
        Shop { project, plan }
    }

    /// An agent with quota to spend who may sell in a shop.
    pub async fn seller(&self, shop: Shop, available: i64) -> Actor {
        let agent = self.agent(available).await;
        self.here.grant_project(&context(self.boss), shop.project, agent.account_id, None).await.unwrap();
        agent
    }

    /// An aggregate as the log has it.
    pub async fn stored<A: Aggregate>(&self, id: impl Into<Uuid>) -> A {
        load::<A>(&self.owner, id.into()).await.unwrap().aggregate
    }

    /// What an agent can spend and what is held, as the log has it.
    pub async fn balance(&self, agent: Actor) -> (i64, i64) {
        let stored = self.stored::<AgentQuota>(agent.account_id).await;
        (stored.available.minor_units(), stored.held.minor_units())
    }

    /// A number that the database answers.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    /// The position of the log's head.
    pub async fn head(&self) -> i64 {
        self.count("select position from log_head").await
    }

    /// Holds the log's head: no append gets through until this is dropped or committed.
    pub async fn hold_head(&self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        let mut transaction = self.owner.begin().await.unwrap();
        sqlx::query("select from log_head for update").execute(&mut *transaction).await.unwrap();
        transaction
    }

    /// Waits until `appends` appends wait for the head.
    pub async fn appends_wait(&self, appends: i64) {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                       and wait_event_type = 'Lock' and query like '%append_events%'";
        self.until(waiting, appends).await;
    }

    /// Waits until the database answers `sql` with this number.
    pub async fn until(&self, sql: &str, number: i64) {
        let start = Instant::now();
        while self.count(sql).await != number {
            assert!(start.elapsed() < PATIENCE, "{sql}: not {number} within {PATIENCE:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Reads the whole log and checks what must always hold of it.
    pub async fn read_log(&self) -> Reading {
        type Row = (i64, String, Uuid, i64, Json<Box<RawValue>>, chrono::DateTime<chrono::Utc>, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "select position, aggregate_type, aggregate_id::uuid, sequence, payload, recorded_at, \
             count(*) over (partition by event_id) from events order by position",
        )
        .fetch_all(&self.owner)
        .await
        .unwrap();
        let mut sequences: HashMap<(String, Uuid), i64> = HashMap::new();
        let mut balances: HashMap<LedgerAccount, i64> = HashMap::new();
        let mut open_journal = None;
        let mut time = None;
        for (place, (position, aggregate, id, sequence, payload, recorded_at, same_id)) in (1_i64..).zip(&rows) {
            assert_eq!(*position, place, "positions are dense");
            assert_eq!(*same_id, 1, "an event is in the log once");
            assert!(time.replace(*recorded_at) < Some(*recorded_at), "time moves on at every position");
            let known = sequences.entry((aggregate.clone(), *id)).or_default();
            *known += 1;
            assert_eq!(known, sequence, "{aggregate} {id} is dense");
            if aggregate != "AgentQuota" {
                continue;
            }
            let event: AgentQuotaEvent = serde_json::from_str(payload.0.get()).unwrap();
            for posting in postings(AccountId(*id), &event) {
                let balance = balances.entry(posting.account).or_default();
                *balance += posting.amount;
                let bounded = posting.account.agent().is_some();
                assert!(!bounded || *balance >= 0, "{} fell to {balance} at {position}", posting.account);
            }
            assert_eq!(balances.values().sum::<i64>(), 0, "the ledger balances at {position}");
            let in_transit = balances.get(&LedgerAccount::Transit).copied().unwrap_or_default();
            let this = journal(&event).0;
            assert!(open_journal.is_none_or(|open| open == this), "the halves of a movement stand together");
            open_journal = (in_transit != 0).then_some(this);
        }
        assert_eq!(open_journal, None, "no movement is left half-way");
        assert_eq!(self.head().await, i64::try_from(rows.len()).unwrap(), "the head stands at the last event");
        Reading { balances }
    }

    /// Checks the log once more and takes the house down.
    pub async fn leave(self) -> Reading {
        let reading = self.read_log().await;
        for (account, balance) in &reading.balances {
            let (LedgerAccount::Available(agent) | LedgerAccount::Held(agent)) = *account else { continue };
            let state = self.stored::<AgentQuota>(agent).await;
            let folded = if *account == LedgerAccount::Held(agent) { state.held } else { state.available };
            assert_eq!(folded.minor_units(), *balance, "the fold and the postings of {account} agree");
        }
        reading
    }
}

impl Drop for House {
    /// On a thread with a runtime of its own, so that it also happens while a test panics.
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = server.connect().await?;
                sqlx::query(&format!("drop database {name} with (force)")).execute(&mut connection).await
            })
        });
        let gone = gone.join();
        assert!(std::thread::panicking() || gone.is_ok_and(|outcome| outcome.is_ok()), "the database is still there");
    }
}

async fn start(server: &PgConnectOptions, database: &str, called: &str, limits: Limits) -> EventLog {
    let options = server.clone().database(database).application_name(called);
    let pool = PgPoolOptions::new()
        .max_connections(5)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("set role quotary_service").execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .unwrap();
    let vault = Vault::new(Zeroizing::new([7; 32]));
    EventLog::start(pool, vault, limits, 10_000).0
}

/// Makes a vendor; its super admin acts for it.
pub async fn vendor(by: &Commands, name: &str) -> Actor {
    let input = CreateTenant {
        name: name.to_owned(),
        username: Username::parse("boss").unwrap(),
        email: "boss@example.com".to_owned(),
        password: password(),
        must_change_password: false,
    };
    let made = by.create_tenant(input).await.unwrap().value;
    Actor { tenant_id: made.tenant_id, account_id: made.account_id, role: Role::SuperAdmin }
}

/// Makes an account through the front door.
pub async fn create(
    by: &Commands,
    context: &Context,
    username: &str,
    email: &str,
    quota: Quota,
) -> Outcome<AccountCreated> {
    let input = CreateAccount {
        username: Username::parse(username).unwrap(),
        email: email.to_owned(),
        password: Some(password()),
        must_change_password: false,
        role: Role::Agent,
        opening_quota: quota,
    };
    by.create_account(context, input).await
}

/// The login name that [`House::account_below`] gives.
pub fn username(id: AccountId) -> Username {
    Username::parse(&format!("u{}", &id.0.simple().to_string()[8..])).unwrap()
}

/// A password that the rules allow.
pub fn password() -> Zeroizing<String> {
    Zeroizing::new("correct horse battery".to_owned())
}

/// A command of an account, now.
pub fn context(actor: Actor) -> Context {
    Context::of(actor, "test", clock::now())
}

/// A command of an account with an idempotency key.
pub fn keyed(actor: Actor, key: &str, request: &str) -> Context {
    Context { idempotency: Some(Idempotency::new("test", key, request.as_bytes())), ..context(actor) }
}

/// A command of something that runs by itself.
pub fn by_itself(actor: Actor) -> Context {
    Context::system(actor.tenant_id, "test", clock::now())
}

/// An amount.
pub fn quota(minor_units: i64) -> Quota {
    Quota::new(minor_units).unwrap()
}

/// The rule that refused a command.
pub fn refusal<T: std::fmt::Debug>(outcome: Outcome<T>) -> Refusal {
    match outcome {
        Err(CommandError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the server of the tests is given by the environment")]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `make test` sets it"))
}
