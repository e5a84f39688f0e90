//! The read models of projects, licences and their statistics against the aggregates, on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking and owns its database")]

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use quotary_domain::account::{AccountEvent, Profile, Username};
use quotary_domain::license::terms::{Heartbeat, Matching, Meter, Silence, ValidFrom};
use quotary_domain::license::verification::{Intent, Question};
use quotary_domain::license::{
    Issue, License, LicenseCommand, LicenseEvent, LicenseStatus, LicenseTerms, Machine, Policy, UsedBy,
};
use quotary_domain::license_batch::{BatchRequest, ExportFormat, LicenseBatch, LicenseBatchCommand, LicenseBatchEvent};
use quotary_domain::project::{
    Credentials, Plan, Project, ProjectCommand, ProjectDetails, SigningAlgorithm, SigningKey,
};
use quotary_domain::{
    AccountId, Actor, Aggregate, ApiKeyId, BatchId, Event, LicenseId, Metadata, PlanId, ProjectId, Quota,
    RecordedEvent, Role, Sealed, TenantId,
};
use quotary_projections::accounts::Accounts;
use quotary_projections::directory::Directory;
use quotary_projections::generation;
use quotary_projections::license_index::{Asked, HashPrefix, LicenseIndex, Lookup, verify};
use quotary_projections::license_stats::{self, Funnel, LicenseStatistics, Period, StatsFilter, StatsQuery};
use quotary_projections::licenses::{self, LicenseFilter, Licenses};
use quotary_projections::page::PageRequest;
use quotary_projections::projection::Projection;
use quotary_projections::projects::{self, Projects};
use serde_json::value::RawValue;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use uuid::Uuid;

fn id(kind: u64, n: u64) -> Uuid {
    Uuid::from_u64_pair(kind, n + 1)
}

fn day(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(n)
}

/// A database of its own with all migrations, dropped at the end.
struct Database {
    name: String,
    admin_url: String,
    pool: PgPool,
}

impl Database {
    async fn make() -> Self {
        let admin_url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a scratch cluster");
        let name = format!("licenses_{}", Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&admin_url).await.unwrap();
        admin.execute(format!("create database {name}").as_str()).await.unwrap();
        let options: sqlx::postgres::PgConnectOptions = admin_url.parse().unwrap();
        let pool = PgPool::connect_with(options.database(&name)).await.unwrap();
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/migrations");
        sqlx::migrate::Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
        Self { name, admin_url, pool }
    }

    async fn drop(self) {
        self.pool.close().await;
        let mut admin = PgConnection::connect(&self.admin_url).await.unwrap();
        admin.execute(format!("drop database {} with (force)", self.name).as_str()).await.unwrap();
    }

    /// Folds and writes runs of `size(n)` events, as the runner does: rows and checkpoint in one transaction.
    async fn project<P: Projection>(
        &self,
        projection: &P,
        log: &[(RecordedEvent, Event)],
        mut size: impl FnMut() -> usize,
    ) {
        let generation = generation::ensure(&self.pool, projection).await.unwrap();
        let mut rest = log;
        while !rest.is_empty() {
            let (run, later) = rest.split_at(size().min(rest.len()));
            let mut rows = P::Rows::default();
            for (recorded, event) in run {
                projection.fold(&mut rows, recorded, event);
            }
            let mut transaction = self.pool.begin().await.unwrap();
            transaction.execute(format!("set local search_path to {}", generation.schema()).as_str()).await.unwrap();
            projection.write(rows, &mut transaction).await.unwrap();
            sqlx::query("update public.projections set checkpoint = $1 where name = $2")
                .bind(i64::try_from(run.last().unwrap().0.position).unwrap())
                .bind(projection.name())
                .execute(&mut *transaction)
                .await
                .unwrap();
            transaction.commit().await.unwrap();
            rest = later;
        }
    }
}

/// A small generator, the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }
}

/// A log and the aggregates that it leads to.
#[derive(Default)]
struct World {
    log: Vec<(RecordedEvent, Event)>,
    sequences: BTreeMap<Uuid, u64>,
    licenses: BTreeMap<LicenseId, (TenantId, License)>,
    batches: BTreeMap<BatchId, LicenseBatch>,
    projects: BTreeMap<ProjectId, (TenantId, Project)>,
}

impl World {
    fn record(&mut self, tenant_id: TenantId, aggregate_type: &str, id: Uuid, event: Event, at: DateTime<Utc>) {
        let sequence = self.sequences.entry(id).or_default();
        *sequence += 1;
        let recorded = RecordedEvent {
            position: self.log.len() as u64 + 1,
            event_id: Uuid::from_u64_pair(77, self.log.len() as u64),
            tenant_id,
            aggregate_type: aggregate_type.into(),
            aggregate_id: id,
            sequence: *sequence,
            event_type: String::new(),
            event_version: "1".into(),
            payload: RawValue::NULL.to_owned(),
            metadata: Metadata::default().at(at),
            recorded_at: day(9_999),
        };
        self.log.push((recorded, event));
    }

    fn account(&mut self, tenant: u64, n: u64, role: Role, ancestors: Vec<AccountId>) -> Actor {
        let profile = Profile { username: Username::parse(&format!("user-{n}")).unwrap(), role, ancestors };
        let (tenant_id, account_id) = (TenantId(id(1, tenant)), AccountId(id(2, n)));
        self.record(tenant_id, "Account", account_id.0, Event::Account(AccountEvent::AccountCreated(profile)), day(0));
        Actor { tenant_id, account_id, role }
    }

    fn project(&mut self, tenant: u64, n: u64, command: ProjectCommand, at: i64) {
        let (tenant_id, project_id) = (TenantId(id(1, tenant)), ProjectId(id(3, n)));
        let mut state = self.projects.remove(&project_id).unwrap_or((tenant_id, Project::default()));
        for event in decide(&mut state.1, command) {
            self.record(tenant_id, "Project", project_id.0, Event::Project(event), day(at));
        }
        self.projects.insert(project_id, state);
    }

    fn batch(&mut self, tenant_id: TenantId, n: u64, command: LicenseBatchCommand, at: DateTime<Utc>) {
        let batch_id = BatchId(id(5, n));
        let mut state = self.batches.remove(&batch_id).unwrap_or_default();
        for event in decide(&mut state, command) {
            self.record(tenant_id, "LicenseBatch", batch_id.0, Event::LicenseBatch(event), at);
        }
        self.batches.insert(batch_id, state);
    }

    fn license(&mut self, tenant_id: TenantId, n: u64, command: LicenseCommand, at: DateTime<Utc>) {
        let license_id = LicenseId(id(6, n));
        let mut state = self.licenses.remove(&license_id).unwrap_or((tenant_id, License::default()));
        for event in decide(&mut state.1, command) {
            self.record(state.0, "License", license_id.0, Event::License(event), at);
        }
        self.licenses.insert(license_id, state);
    }
}

/// What a command leads to; a refused one to nothing.
fn decide<A: Aggregate>(state: &mut A, command: A::Command) -> Vec<A::Event> {
    let events = Aggregate::decide(state, command).unwrap_or_default();
    for event in &events {
        state.apply(event.clone());
    }
    events
}

fn terms(n: u64) -> LicenseTerms {
    let features = if n.is_multiple_of(2) { vec![] } else { vec!["pro \"x\"".to_owned(), "émoji".to_owned()] };
    let duration_days = (!n.is_multiple_of(3)).then_some(30);
    let beat = Heartbeat { interval_seconds: 86_400, grace_seconds: 43_200, silence: Silence::Free };
    let policy = Policy {
        valid_from: if duration_days.is_some() && n % 4 == 1 { ValidFrom::FirstUse } else { ValidFrom::Activation },
        matching: if n % 2 == 1 { Matching::Any } else { Matching::Exact },
        heartbeat: (n % 4 == 1).then_some(beat),
        meters: if n % 2 == 1 { [("pages".to_owned(), Meter { limit: Some(20) })].into() } else { BTreeMap::new() },
        ..Policy::default()
    };
    LicenseTerms { policy, ..LicenseTerms::usual(duration_days, 3, features) }
}

fn credentials(id: &str) -> Credentials {
    Credentials { api_key_id: ApiKeyId(id.into()), api_secret: Sealed(format!("secret of {id}")) }
}

fn create(n: u64) -> ProjectCommand {
    ProjectCommand::Create {
        details: ProjectDetails {
            name: format!("p{n}"),
            description: Some("d".into()),
            version: None,
            callback_url: None,
        },
        credentials: credentials(&format!("key-{n}")),
        signing_key: SigningKey {
            algorithm: SigningAlgorithm::Ed25519,
            key_id: format!("s{n}"),
            public_key: "p".into(),
            secret_key: Sealed("x".into()),
        },
    }
}

const BATCHES: u64 = 12;
const PER_BATCH: u64 = 8;

/// Two tenants, an agent below an agent admin in the first; 12 batches of 8 licences and 1,500 random commands on them.
/// The actors are: super admin, agent admin, agent below, agent beside, and the other tenant's super admin.
fn world(random: &mut Random) -> (World, [Actor; 5]) {
    let mut world = World::default();
    let root = world.account(0, 0, Role::SuperAdmin, vec![]);
    let admin = world.account(0, 1, Role::AgentAdmin, vec![root.account_id]);
    let below = world.account(0, 2, Role::Agent, vec![root.account_id, admin.account_id]);
    let beside = world.account(0, 3, Role::Agent, vec![root.account_id]);
    let other = world.account(1, 4, Role::SuperAdmin, vec![]);
    let actors = [root, admin, below, beside, other];
    for n in 0..3 {
        let tenant = u64::from(n == 2);
        world.project(tenant, n, create(n), 0);
        let plan = Plan::new("plan".into(), Quota::new(7).unwrap(), terms(n));
        world.project(tenant, n, ProjectCommand::AddPlan { plan_id: PlanId(id(4, n)), plan }, 0);
    }
    for n in 0..BATCHES {
        let seller = actors[usize::try_from(n % 5).unwrap()];
        let project = if seller.tenant_id == other.tenant_id { 2 } else { n % 2 };
        let at = day(i64::try_from(n * 9).unwrap());
        let (project_id, plan_id) = (ProjectId(id(3, project)), PlanId(id(4, project)));
        let request = BatchRequest {
            agent_id: seller.account_id,
            project_id,
            plan_id,
            plan_version: 1,
            terms: terms(project),
            count: u32::try_from(PER_BATCH).unwrap(),
            total_price: Quota::new(56).unwrap(),
        };
        world.batch(seller.tenant_id, n, LicenseBatchCommand::Request(request), at);
        for k in 0..PER_BATCH {
            let issue = Issue {
                batch_id: BatchId(id(5, n)),
                project_id,
                plan_id,
                plan_version: 1,
                agent_id: seller.account_id,
                terms: terms(project),
                expires_at: terms(project).end_at_issue(at),
                key_hash: format!("hash {n} {k}"),
                key: Sealed(format!("sealed {n} {k}")),
            };
            world.license(seller.tenant_id, n * PER_BATCH + k, LicenseCommand::Issue(issue), at);
            if k == 3 && n % 3 == 0 {
                // Handed out while it is still being issued.
                export(&mut world, seller, n, at);
            }
        }
        world.batch(seller.tenant_id, n, LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] }, at);
        for _ in 0..1_500 / BATCHES {
            random_step(&mut world, random, (n + 1) * PER_BATCH, &actors, i64::try_from(n * 9).unwrap());
        }
    }
    (world, actors)
}

fn export(world: &mut World, by: Actor, batch: u64, at: DateTime<Utc>) {
    let command = LicenseBatchCommand::RecordExport { by: by.account_id, format: ExportFormat::Csv };
    world.batch(by.tenant_id, batch, command, at);
}

fn random_step(world: &mut World, random: &mut Random, licenses: u64, actors: &[Actor], first_day: i64) {
    let at = day(first_day + i64::try_from(random.below(9)).unwrap());
    let n = random.below(licenses);
    let tenant_id = world.licenses[&LicenseId(id(6, n))].0;
    let machine = Machine {
        name: (random.below(2) == 0).then(|| Sealed("name".into())),
        components: [("mac".to_owned(), random.below(2).to_string())].into(),
        ..Machine::of(format!("machine {}", random.below(5)))
    };
    let project = random.below(3);
    let tenant = u64::from(project == 2);
    let command = match random.below(40) {
        0..=9 => LicenseCommand::Use { machine, at, by: UsedBy::Verification },
        10 => LicenseCommand::Use { machine, at, by: UsedBy::Activation },
        11 => LicenseCommand::Beat { fingerprint_hash: machine.fingerprint_hash, at },
        12 | 13 => LicenseCommand::ReportUsage { meter: "pages".into(), amount: 1 + random.below(9), at },
        14 => LicenseCommand::Transfer { holder: n.is_multiple_of(2).then(|| Sealed("holder".into())), at },
        15 => {
            let version = 2 + u32::try_from(random.below(2)).unwrap();
            let terms = LicenseTerms { max_machines: 4, ..terms(random.below(6)) };
            LicenseCommand::Move { plan_id: PlanId(id(4, project)), plan_version: version, terms, at }
        }
        16..=18 => LicenseCommand::Deactivate { fingerprint_hash: machine.fingerprint_hash },
        19..=22 => LicenseCommand::Unbind { at },
        23 | 24 => LicenseCommand::Disable,
        25..=27 => LicenseCommand::Enable,
        28..=30 => LicenseCommand::Renew { days: 5, at },
        31 => LicenseCommand::Revoke { reason: None },
        32 => {
            let batch = random.below(licenses / PER_BATCH);
            let tenant_id = world.licenses[&LicenseId(id(6, batch * PER_BATCH))].0;
            let by = actors.iter().find(|actor| actor.tenant_id == tenant_id).unwrap();
            return export(world, *by, batch, at);
        }
        33 => return world.project(tenant, project, ProjectCommand::Disable, first_day),
        34 | 35 => return world.project(tenant, project, ProjectCommand::Enable, first_day),
        36 => {
            let credentials = credentials(&format!("key-{project}-{}", world.log.len()));
            let command = ProjectCommand::RotateCredentials { credentials, previous_until: at };
            return world.project(tenant, project, command, first_day);
        }
        37 => {
            let description = (random.below(2) == 0).then(|| "null".to_owned());
            let name = format!("name {}", random.below(9));
            let details = ProjectDetails { name, description, version: Some("2".into()), callback_url: None };
            return world.project(tenant, project, ProjectCommand::Change(details), first_day);
        }
        n => {
            let agent_id =
                actors[if tenant == 1 { 4 } else { usize::try_from(random.below(2)).unwrap() + 2 }].account_id;
            let command = match n {
                38 => ProjectCommand::Grant { agent_id, expires_at: (random.below(2) == 0).then(|| day(999)), now: at },
                _ => ProjectCommand::RevokeGrant { agent_id },
            };
            return world.project(tenant, project, command, first_day);
        }
    };
    world.license(tenant_id, n, command, at);
}

/// A world, written in runs of random sizes.
async fn written(seed: u64) -> (Database, World, [Actor; 5]) {
    let mut random = Random(seed);
    let (world, actors) = world(&mut random);
    let database = Database::make().await;
    let mut size = || usize::try_from(random.below(60)).unwrap() + 1;
    database.project(&Accounts, &world.log, &mut size).await;
    database.project(&Projects, &world.log, &mut size).await;
    database.project(&Licenses, &world.log, &mut size).await;
    database.project(&LicenseStatistics, &world.log, &mut size).await;
    (database, world, actors)
}

fn of_tenant(actors: &[Actor; 5], tenant_id: TenantId) -> Actor {
    if actors[0].tenant_id == tenant_id { actors[0] } else { actors[4] }
}

#[tokio::test]
async fn licences_and_batches_equal_their_aggregates() {
    let (database, world, actors) = written(1).await;
    let pool = &database.pool;
    for (license_id, (tenant_id, state)) in &world.licenses {
        let row = licenses::get(pool, &of_tenant(&actors, *tenant_id), *license_id).await.unwrap().unwrap();
        let issue = state.issue.as_ref().unwrap();
        assert_eq!((row.project_id, row.plan_id, row.agent_id), (issue.project_id, issue.plan_id, issue.agent_id));
        assert_eq!((row.batch_id, &row.key_sealed), (issue.batch_id, &issue.key.0));
        assert_eq!((row.activated_at, row.expires_at), (state.activated_at, state.expires_at));
        assert_eq!((row.in_use, row.disabled, row.revoked), (state.in_use, state.disabled, state.revoked));
        assert_eq!((row.extra_days, row.unbinds), (state.extra_days.into(), state.unbinds.into()));
        assert_eq!((row.unbound_at, row.transfers), (state.unbound_at, state.transfers.into()));
        assert_eq!(row.holder, state.holder.as_ref().map(|holder| holder.0.clone()));
        assert_eq!((row.plan_version, row.max_machines), (issue.plan_version.into(), issue.terms.max_machines.into()));
        assert_eq!(row.policy.clone().map(|policy| policy.0).unwrap_or_default(), issue.terms.policy);
        let used = licenses::used(pool, *license_id).await.unwrap();
        let used: BTreeMap<_, _> = used.into_iter().map(|(meter, used)| (meter, used.cast_unsigned())).collect();
        assert_eq!(used, state.used);
        assert_eq!(row.duration_days, issue.terms.duration_days.map(i64::from));
        assert_eq!(row.features.0, issue.terms.features);
        assert_eq!(row.sequence.cast_unsigned(), world.sequences[&license_id.0]);
        assert_eq!(row.machines, i64::try_from(state.machines.len()).unwrap());
        for at in (0..200).step_by(10).map(day) {
            assert_eq!(row.status(at), state.status(at));
        }
        let machines = licenses::machines(pool, *tenant_id, *license_id).await.unwrap();
        let machines: Vec<Machine> = machines
            .into_iter()
            .map(|row| Machine {
                name: row.name.map(Sealed),
                held_until: row.held_until,
                ..Machine::of(row.fingerprint_hash)
            })
            .collect();
        // Components are for the log alone to compare.
        let known = state.machines.iter().map(|machine| Machine { components: BTreeMap::new(), ..machine.clone() });
        assert_eq!(machines, known.collect::<Vec<_>>());
        let found = licenses::by_key_hash(pool, *tenant_id, &issue.key_hash).await.unwrap().unwrap();
        assert_eq!(found.license_id, *license_id);
    }
    for (batch_id, state) in &world.batches {
        let request = state.request.as_ref().unwrap();
        let tenant_id = world.projects[&request.project_id].0;
        let row = licenses::batch(pool, &of_tenant(&actors, tenant_id), *batch_id).await.unwrap().unwrap();
        assert_eq!((row.issued, row.status.as_str()), (state.issued.into(), state.status().as_str()));
        assert_eq!((row.count, row.total_price), (request.count.into(), request.total_price));
        assert_eq!(row.sequence.cast_unsigned(), world.sequences[&batch_id.0]);
        let keys = licenses::keys_of_batch(pool, tenant_id, *batch_id, 0, 5).await.unwrap();
        let rest = licenses::keys_of_batch(pool, tenant_id, *batch_id, keys[4].number, 5).await.unwrap();
        let keys: Vec<_> = keys.into_iter().chain(rest).collect();
        let numbers: Vec<i64> = keys.iter().map(|key| key.number).collect();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
        assert!(
            keys.iter().zip(0..).all(|(key, k)| key.key_sealed.ends_with(&format!(" {k}"))),
            "in the order of issue"
        );
    }
    database.drop().await;
}

#[tokio::test]
async fn lists_show_what_the_actor_may_see_by_the_status_at_the_time_of_asking() {
    let (database, world, actors) = written(2).await;
    let pool = &database.pool;
    let [root, admin, below, beside, other] = actors;
    let now = day(70);
    let seen_by = |actor: Actor| -> Vec<AccountId> {
        match actor.account_id {
            one if one == root.account_id => {
                vec![root.account_id, admin.account_id, below.account_id, beside.account_id]
            }
            one if one == admin.account_id => vec![admin.account_id, below.account_id],
            one => vec![one],
        }
    };
    let analyst = Actor { role: Role::Analyst, ..root };
    for (actor, sees) in [root, admin, below, beside, other]
        .map(|actor| (actor, seen_by(actor)))
        .into_iter()
        .chain([(analyst, seen_by(root))])
    {
        for status in [
            None,
            Some(LicenseStatus::Unused),
            Some(LicenseStatus::Active),
            Some(LicenseStatus::Expired),
            Some(LicenseStatus::Disabled),
            Some(LicenseStatus::Revoked),
        ] {
            let mut expected: Vec<LicenseId> = world
                .licenses
                .iter()
                .filter(|(_, (tenant_id, state))| {
                    *tenant_id == actor.tenant_id
                        && sees.contains(&state.issue.as_ref().unwrap().agent_id)
                        && status.is_none_or(|status| state.status(now) == status)
                })
                .map(|(license_id, _)| *license_id)
                .collect();
            expected.reverse();
            let filter = LicenseFilter { status, ..LicenseFilter::default() };
            let mut found = Vec::new();
            let mut cursor = None;
            loop {
                let page =
                    licenses::list(pool, &actor, &filter, now, &PageRequest::new(Some(7), cursor)).await.unwrap();
                found.extend(page.items.into_iter().map(|row| row.license_id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{:?} {status:?}", actor.role);
        }
    }
    let batch = LicenseFilter { batch_id: Some(BatchId(id(5, 0))), ..LicenseFilter::default() };
    assert_eq!(licenses::list(pool, &root, &batch, now, &PageRequest::default()).await.unwrap().items.len(), 8);
    assert!(licenses::list(pool, &other, &batch, now, &PageRequest::default()).await.unwrap().items.is_empty());
    assert!(licenses::get(pool, &other, LicenseId(id(6, 0))).await.unwrap().is_none());
    assert!(licenses::batch(pool, &other, BatchId(id(5, 0))).await.unwrap().is_none());
    assert!(licenses::by_key_hash(pool, other.tenant_id, "hash 0 0").await.unwrap().is_none());
    database.drop().await;
}

#[tokio::test]
async fn projects_equal_their_aggregates_and_are_seen_by_those_they_are_granted_to() {
    let (database, world, actors) = written(3).await;
    let pool = &database.pool;
    let [_, admin, below, beside, _] = actors;
    for (project_id, (tenant_id, state)) in &world.projects {
        let root = of_tenant(&actors, *tenant_id);
        let row = projects::get(pool, &root, *project_id).await.unwrap().unwrap();
        let details = ProjectDetails {
            name: row.name,
            description: row.description,
            version: row.version,
            callback_url: row.callback_url,
        };
        assert_eq!((Some(&details), row.disabled), (state.details.as_ref(), state.disabled));
        assert_eq!(row.sequence.cast_unsigned(), world.sequences[&project_id.0]);
        let plans = projects::plans(pool, *tenant_id, *project_id).await.unwrap();
        assert_eq!(plans.len(), state.plans.len());
        let grants = projects::grants(pool, &root, *project_id, &PageRequest::default()).await.unwrap().items;
        assert_eq!(grants.into_iter().map(|g| (g.agent_id, g.expires_at)).collect::<BTreeMap<_, _>>(), state.grants);
        for (actor, agents) in [(admin, vec![below]), (below, vec![below]), (beside, vec![beside])] {
            let seen = projects::get(pool, &actor, *project_id).await.unwrap().is_some();
            assert_eq!(seen, agents.iter().any(|agent| state.grants.contains_key(&agent.account_id)));
        }
    }
    let seen = projects::list(pool, &actors[0], &PageRequest::default()).await.unwrap().items;
    assert_eq!(seen.iter().map(|row| row.project_id).collect::<Vec<_>>(), [ProjectId(id(3, 1)), ProjectId(id(3, 0))]);
    database.drop().await;
}

#[tokio::test]
async fn the_index_loaded_from_the_read_models_equals_the_one_fed_by_the_log() {
    let (database, world, actors) = written(4).await;
    let (loaded, fed) = (LicenseIndex::default(), LicenseIndex::default());
    let done = loaded.load(&database.pool).await.unwrap();
    assert_eq!((done.position, done.licenses, done.projects), (world.log.len() as u64, world.licenses.len(), 3));
    for (recorded, event) in &world.log {
        fed.apply(recorded, event);
        loaded.apply(recorded, event);
    }
    for (project_id, (_, state)) in &world.projects {
        let project = loaded.project(*project_id);
        assert_eq!(project, fed.project(*project_id));
        assert_eq!(project.unwrap().previous_credentials, state.previous_credentials);
        for (_, state) in world.licenses.values() {
            let key = HashPrefix::of_text(&state.issue.as_ref().unwrap().key_hash);
            let fingerprint = HashPrefix::of_text("machine 1");
            let question = Question { features: &[], intent: Intent::Use, at: day(60) };
            let ask = |index| verify(index, &Asked { project_id: *project_id, key, fingerprint, question });
            assert_eq!(ask(&loaded), ask(&fed));
            assert!(!matches!(ask(&fed), Lookup::Doubtful(_)));
        }
    }
    let directory = Directory::default();
    assert_eq!(directory.load(&database.pool).await.unwrap(), world.log.len() as u64);
    assert_eq!(directory.get(actors[2].account_id).unwrap().actor(), actors[2]);
    database.drop().await;
}

/// Counts by hand: what happened on which day, and what became of the licences issued on it.
fn counted(world: &World, tenant_id: TenantId, agents: &[AccountId]) -> (BTreeMap<NaiveDate, [i64; 7]>, Funnel) {
    let mut days: BTreeMap<NaiveDate, [i64; 7]> = BTreeMap::new();
    let mut funnel = Funnel::default();
    let mut issued: BTreeMap<LicenseId, (BatchId, DateTime<Utc>, bool)> = BTreeMap::new();
    for (recorded, event) in world.log.iter().filter(|(recorded, _)| recorded.tenant_id == tenant_id) {
        let at = recorded.occurred_at();
        let mut count = |kind: usize, n: i64| days.entry(at.date_naive()).or_default()[kind] += n;
        match event {
            Event::License(LicenseEvent::LicenseIssued(issue)) if agents.contains(&issue.agent_id) => {
                issued.insert(recorded.aggregate_id.into(), (issue.batch_id, at, false));
                funnel.issued += 1;
                count(0, 1);
            }
            Event::License(event) => {
                let Some((_, issued_at, _)) = issued.get(&LicenseId(recorded.aggregate_id)) else { continue };
                match event {
                    LicenseEvent::LicenseActivated { .. } => {
                        count(2, 1);
                        funnel.activated += 1;
                        funnel.activated_within_7_days += i64::from(at - *issued_at <= TimeDelta::days(7));
                    }
                    LicenseEvent::LicenseUnbound { .. } => count(3, 1),
                    LicenseEvent::LicenseDisabled {} => count(4, 1),
                    LicenseEvent::LicenseRevoked { .. } => count(5, 1),
                    LicenseEvent::LicenseRenewed { .. } => count(6, 1),
                    _ => {}
                }
            }
            Event::LicenseBatch(LicenseBatchEvent::BatchExported { .. }) => {
                for (batch, _, exported) in issued.values_mut() {
                    if batch.0 == recorded.aggregate_id && !std::mem::replace(exported, true) {
                        count(1, 1);
                        funnel.exported += 1;
                    }
                }
            }
            _ => {}
        }
    }
    (days, funnel)
}

#[tokio::test]
async fn statistics_count_each_licence_once_on_the_day_it_happened() {
    let (database, world, actors) = written(5).await;
    let pool = &database.pool;
    let [root, admin, below, beside, other] = actors;
    let all = [root, admin, below, beside].map(|actor| actor.account_id);
    let cases = [
        (root, all.to_vec()),
        (admin, vec![admin.account_id, below.account_id]),
        (below, vec![below.account_id]),
        (other, vec![other.account_id]),
    ];
    for (actor, agents) in cases {
        let (days, funnel) = counted(&world, actor.tenant_id, &agents);
        let question = StatsQuery { by: Period::Day, filter: StatsFilter::default() };
        let rows = license_stats::stats(pool, &actor, &question).await.unwrap();
        let found: BTreeMap<NaiveDate, [i64; 7]> = rows
            .iter()
            .map(|r| (r.period, [r.issued, r.exported, r.activated, r.unbound, r.disabled, r.revoked, r.renewed]))
            .collect();
        assert_eq!(found, days);
        assert_eq!(license_stats::funnel(pool, &actor, &StatsFilter::default()).await.unwrap(), funnel);
        assert!(funnel.exported > 0 && funnel.activated > 0 && funnel.activated_rate().unwrap() > 0.0);
    }
    let months = StatsQuery { by: Period::Month, filter: StatsFilter::default() };
    let months = license_stats::stats(pool, &root, &months).await.unwrap();
    assert!(months.windows(2).all(|pair| pair[0].period < pair[1].period));
    let cohort = |from: i64, to: i64| StatsFilter {
        from: Some(day(from).date_naive()),
        to: Some(day(to).date_naive()),
        ..StatsFilter::default()
    };
    assert_eq!(license_stats::funnel(pool, &root, &cohort(0, 8)).await.unwrap().issued, 8);
    assert_eq!(license_stats::funnel(pool, &other, &cohort(0, 8)).await.unwrap(), Funnel::default());
    database.drop().await;
}

#[tokio::test]
async fn a_change_of_an_unknown_licence_stops_the_run() {
    let database = Database::make().await;
    let mut world = World::default();
    let event = || Event::License(LicenseEvent::LicenseDisabled {});
    world.record(TenantId(id(1, 0)), "License", id(6, 0), event(), day(0));
    for refused in [refusal(&database, &Licenses, &world).await, refusal(&database, &LicenseStatistics, &world).await] {
        assert!(refused.is_err());
    }
    database.drop().await;
}

async fn refusal<P: Projection>(database: &Database, projection: &P, world: &World) -> Result<(), sqlx::Error> {
    let generation = generation::ensure(&database.pool, projection).await.unwrap();
    let mut rows = P::Rows::default();
    projection.fold(&mut rows, &world.log[0].0, &world.log[0].1);
    let mut transaction = database.pool.begin().await.unwrap();
    transaction.execute(format!("set local search_path to {}", generation.schema()).as_str()).await.unwrap();
    projection.write(rows, &mut transaction).await
}
