//! The internal reconciliation against read models that somebody changed behind the service's back, and against a system
//! under load.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "reconcile/changes.rs"]
mod changes;
#[path = "../../projections/tests/log_fixture/fixture.rs"]
mod fixture;

use std::sync::Arc;
use std::time::Duration;

use changes::{changes, further_changes};
use fixture::{Fixture, until};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Plan, Refusal, Vault, clock};
use quotary_domain::account::{Account, AccountCommand, Profile, Username};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand};
use quotary_domain::case::{CaseStatus, Resolution};
use quotary_domain::license::LicenseTerms;
use quotary_domain::order::{Money, Order, OrderCommand, Payment, Refund};
use quotary_domain::project::{Plan as ProjectPlan, ProjectDetails};
use quotary_domain::reconciliation::{Class, RunKind, RunSubject};
use quotary_domain::risk::{MovementRules, RiskRules};
use quotary_domain::{AccountId, Actor, JournalId, OrderId, Quota, Role};
use quotary_projections::cases::{self, CaseFilter, Cases};
use quotary_projections::feed::EventSource;
use quotary_projections::holds::Holds;
use quotary_projections::ledger::Ledger;
use quotary_projections::licenses::Licenses;
use quotary_projections::movements::Movements;
use quotary_projections::notices::Notices;
use quotary_projections::orders::Orders;
use quotary_projections::page::PageRequest;
use quotary_projections::reconciliations::{self, INSTALLATION, Reconciliations, RunStatus};
use quotary_projections::runner::Runners;
use quotary_projections::wait::Checkpoints;
use quotary_projections::withdrawals::Withdrawals;
use quotary_workers::reconcile::compare::{Compared, Incomplete, Options, compare};
use quotary_workers::reconcile::proof::Proof;
use quotary_workers::reconcile::record::Recorder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

fn q(amount: i64) -> Quota {
    Quota::new(amount).unwrap()
}

/// A system with two tenants, each with a movement of every kind.
struct World {
    fixture: Fixture,
    commands: Commands,
    admins: [Actor; 2],
    agents: [AccountId; 2],
    stop: CancellationToken,
    runners: Option<JoinHandle<()>>,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let vault = Vault::new(Zeroizing::new([7; 32]));
        let (log, _committer) = EventLog::start(fixture.pool.clone(), vault, Limits::default(), 10_000);
        let commands = Commands::new(log);
        let mut admins = Vec::new();
        let mut agents = Vec::new();
        for name in ["acme", "other"] {
            let input = CreateTenant {
                name: name.to_owned(),
                username: Username::parse("root").unwrap(),
                email: format!("root@{name}.example"),
                password: Zeroizing::new("correct-horse-1".to_owned()),
                must_change_password: false,
            };
            let created = commands.create_tenant(input).await.unwrap().value;
            let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
            agents.push(trade(&commands, admin).await);
            admins.push(admin);
        }
        let mut world = Self {
            fixture,
            commands,
            admins: admins.try_into().unwrap(),
            agents: agents.try_into().unwrap(),
            stop: CancellationToken::new(),
            runners: None,
        };
        world.start_runners();
        // As the service does at its start: queries find every view from the beginning.
        world.follow("reconciliations").await;
        world.follow("cases").await;
        world
    }

    fn start_runners(&mut self) {
        self.stop = CancellationToken::new();
        let pool = self.fixture.pool.clone();
        let events = Arc::new(EventSource::new(pool.clone(), None, self.fixture.names.clone(), self.stop.clone()));
        let runners = Runners::new(pool, events, Checkpoints::default(), self.stop.clone())
            .spawn(Ledger)
            .spawn(Movements)
            .spawn(Withdrawals)
            .spawn(Licenses)
            .spawn(Orders)
            .spawn(Holds)
            .spawn(Notices)
            .spawn(Reconciliations)
            .spawn(Cases);
        self.runners = Some(tokio::spawn(async move { runners.join().await.unwrap() }));
    }

    async fn stop_runners(&mut self) {
        self.stop.cancel();
        if let Some(runners) = self.runners.take() {
            runners.await.unwrap();
        }
    }

    async fn compare(&self, from: Proof) -> Result<Compared, Incomplete> {
        compare(&self.fixture.pool, from, &Options::default()).await
    }

    async fn full(&self) -> Compared {
        self.compare(Proof::default()).await.unwrap()
    }

    /// Does what only an owner of the tables can.
    async fn tamper(&self, statement: &str) {
        let changed = sqlx::query(statement).execute(&self.fixture.pool).await.unwrap().rows_affected();
        assert!(changed > 0, "nothing was changed by: {statement}");
    }

    /// The schema of the serving generation of a read model.
    async fn schema(&self, name: &str) -> String {
        let generation = until("the read model is there", async || {
            let found: Option<i32> =
                sqlx::query_scalar("select generation from projections where name = $1 and state = 'serving'")
                    .bind(name)
                    .fetch_optional(&self.fixture.pool)
                    .await
                    .unwrap();
            found
        })
        .await;
        format!("{name}_{generation}")
    }

    async fn follow(&self, name: &str) {
        let head = self.fixture.log().head().await.unwrap().cast_signed();
        until("the read model follows", async || {
            let at: Option<i64> =
                sqlx::query_scalar("select checkpoint from projections where name = $1 and state = 'serving'")
                    .bind(name)
                    .fetch_optional(&self.fixture.pool)
                    .await
                    .unwrap();
            at.filter(|at| *at >= head).map(|_| ())
        })
        .await;
    }

    async fn finish(mut self) {
        self.stop_runners().await;
        self.fixture.finish().await;
    }
}

/// A top-up, an agent, a transfer, a batch with its licences, two withdrawals, and two orders of which one was refunded in parts.
async fn trade(commands: &Commands, admin: Actor) -> AccountId {
    let context = |command| Context::of(admin, command, clock::now());
    commands.top_up(&context("quota.top_up"), admin.account_id, q(100_000), None).await.unwrap();
    let agent = AccountId(clock::new_id());
    let mut plan = Plan::new();
    let (account, quota) = (plan.open::<Account>(agent), plan.open::<AgentQuota>(agent));
    let profile =
        Profile { username: Username::parse("anna").unwrap(), role: Role::Agent, ancestors: vec![admin.account_id] };
    let create = context("account.create");
    let made = commands.log().execute(&create, &plan, |unit| {
        unit.decide(account, AccountCommand::Create(profile.clone()))?;
        let journal_id = JournalId(clock::new_id());
        unit.decide(quota, AgentQuotaCommand::TopUp { journal_id, amount: q(500), note: None })?;
        Ok::<_, Refusal>(())
    });
    made.await.unwrap();
    commands.transfer_to(&context("quota.transfer"), agent, q(300), None).await.unwrap();
    let details = ProjectDetails { name: "Paint".into(), description: None, version: None, callback_url: None };
    let project = commands.create_project(&context("project.create"), details).await.unwrap().value;
    let project_id = project.after.project_id;
    let terms = LicenseTerms::usual(Some(30), 1, vec![]);
    let input = ProjectPlan::new("Yearly".into(), q(7), terms);
    let plan = commands.add_plan(&context("project.add_plan"), project_id, input).await.unwrap().value;
    let batch = commands.request_batch(&context("license_batch.request"), project_id, plan.plan_id, 5).await.unwrap();
    let system = Context::system(admin.tenant_id, "license_batch.issue_chunk", clock::now());
    commands.issue_chunk(&system, batch.value.batch_id).await.unwrap();
    let payee = || Zeroizing::new("{\"iban\":\"DE00\"}".to_owned());
    for amount in [q(10), q(20)] {
        commands.request_withdrawal(&context("withdrawal.request"), amount, payee()).await.unwrap();
    }
    order(commands, admin, "P1", &[("R1", 250), ("R2", 100)]).await;
    order(commands, admin, "P2", &[]).await;
    agent
}

/// An order of 10.00 that was refunded in these parts.
async fn order(commands: &Commands, admin: Actor, number: &str, refunds: &[(&str, i64)]) {
    let context = Context::system(admin.tenant_id, "test.order", clock::now());
    let mut plan = Plan::new();
    let order = plan.open::<Order>(OrderId::of(admin.tenant_id, "generic", number));
    let payment = Payment {
        provider: "generic".to_owned(),
        provider_order_id: number.to_owned(),
        amount: Money(q(1_000)),
        currency: "EUR".to_owned(),
        paid_at: "2026-07-01T10:00:00.123456Z".parse().unwrap(),
        agent_id: admin.account_id,
        batch_id: None,
    };
    let refund = |(number, amount): &(&str, i64)| {
        OrderCommand::RecordRefund(Refund {
            amount: Money(q(*amount)),
            provider_refund_id: Some((*number).to_owned()),
            refunded_at: "2026-07-02T10:00:00Z".parse().unwrap(),
            reason: Some("broken\u{0}".to_owned()),
        })
    };
    let mut decisions = vec![OrderCommand::RecordPayment(payment)];
    decisions.extend(refunds.iter().map(refund));
    let done = commands.log().execute(&context, &plan, |unit| {
        for command in decisions.clone() {
            unit.decide(order, command).map_err(|_| Refusal::Forbidden)?;
        }
        Ok::<_, Refusal>(())
    });
    done.await.unwrap();
}

fn classes(compared: &Compared) -> Vec<(Class, String)> {
    let mut found: Vec<_> =
        compared.differences.iter().map(|difference| (difference.class, difference.source.clone())).collect();
    found.dedup();
    found
}

#[tokio::test]
async fn what_nobody_changed_passes_in_full_and_from_the_last_proved_position() {
    let world = World::new().await;
    let full = world.full().await;
    assert!(full.is_pass(), "{:?}", full.differences);
    assert_eq!(full.position, world.fixture.log().head().await.unwrap());
    let (state, _) = full.state.unwrap();
    trade_more(&world).await;
    review(&world).await;
    let next = world.compare(Proof::load(&state).unwrap()).await.unwrap();
    assert!(next.is_pass(), "{:?}", next.differences);
    assert_eq!(next.from_position, full.position);
    let again = world.full().await;
    assert_eq!((again.position, &again.log_digest), (next.position, &next.log_digest));
    world.finish().await;
}

async fn trade_more(world: &World) {
    let [admin, _] = world.admins;
    for _ in 0..3 {
        let context = Context::of(admin, "quota.transfer", clock::now());
        world.commands.transfer_to(&context, world.agents[0], q(1), None).await.unwrap();
    }
    // One that is taken back, and one of which a part is.
    for back in [5, 2] {
        let context = Context::of(admin, "quota.transfer", clock::now());
        let sent = world.commands.transfer_to(&context, world.agents[0], q(5), None).await.unwrap();
        let at: Vec<u64> = (sent.position.saturating_sub(2)..=sent.position + 2).collect();
        let taken = world.commands.reverse_journal(&context, sent.value.id, &at, Some(q(back)), "typed twice".into());
        assert!(taken.await.unwrap().value.done().unwrap().added);
    }
}

/// Transfers and withdrawals that a rule suspends: let go in part, refused, still open; and an admin who came later.
async fn review(world: &World) {
    let ([admin, _], commands) = (world.admins, &world.commands);
    let context = |command| Context::of(admin, command, clock::now());
    let rules = RiskRules {
        transfers: MovementRules { amount_above: Some(q(50)), ..MovementRules::default() },
        withdrawals: MovementRules { amount_above: Some(q(50)), ..MovementRules::default() },
        review_within_minutes: Some(60),
        ..RiskRules::default()
    };
    commands.set_risk_rules(&context("risk.set_rules"), rules).await.unwrap();
    let agent = Actor { account_id: world.agents[0], role: Role::Agent, ..admin };
    let by_agent = |command| Context::of(agent, command, clock::now());
    let mut suspended = vec![];
    for amount in [60, 70, 80] {
        let context = by_agent("quota.transfer");
        let made = commands.transfer_to(&context, admin.account_id, q(amount), None).await.unwrap().value;
        assert!(made.suspension.is_some(), "{made:?}");
        suspended.push(made.id);
    }
    let input = CreateAccount {
        username: Username::parse("second").unwrap(),
        email: "second@acme.example".to_owned(),
        password: Some(Zeroizing::new("correct-horse-2".to_owned())),
        must_change_password: false,
        role: Role::SuperAdmin,
        opening_quota: q(0),
    };
    let second = commands.create_account(&context("account.create"), input).await.unwrap().value.account_id;
    let by_second = |command| Context::of(Actor { account_id: second, ..admin }, command, clock::now());
    commands.release_transfer(&by_second("quota.release"), suspended[0], Some(q(40))).await.unwrap();
    commands.refuse_transfer(&by_second("quota.refuse"), suspended[1], Some("no".to_owned())).await.unwrap();
    let payee = Zeroizing::new("{\"iban\":\"DE00\"}".to_owned());
    let asked = commands.request_withdrawal(&by_agent("withdrawal.request"), q(90), payee).await.unwrap().value;
    let id = asked.withdrawal_id;
    commands.release_withdrawal(&by_second("withdrawal.release"), id, Some(q(30))).await.unwrap();
    commands.approve_withdrawal(&context("withdrawal.approve"), id).await.unwrap();
}

#[tokio::test]
async fn every_kind_of_change_to_a_read_model_is_found_and_named() {
    let mut world = World::new().await;
    let full = world.full().await;
    assert!(full.is_pass(), "{:?}", full.differences);
    let (state, _) = full.state.unwrap();
    world.stop_runners().await;
    let agent = world.agents[0];
    let schemas = [world.schema("ledger").await, world.schema("movements").await, world.schema("withdrawals").await];
    let further = [world.schema("orders").await, world.schema("holds").await, world.schema("notices").await];
    let ([ledger, movements, withdrawals], [orders, holds, notices]) = (&schemas, &further);
    let licenses = world.schema("licenses").await;
    let all = [changes(&schemas, &licenses, agent), further_changes(&further, agent)].concat();
    for (source, class, statement) in all {
        // Each change in a copy of the tables as they were.
        let copy = ["balances", "entries", "quota_daily", "ledger_totals"].map(|table| format!("{ledger}.{table}"));
        let tables: Vec<String> = copy
            .into_iter()
            .chain([
                format!("{movements}.transfers"),
                format!("{withdrawals}.withdrawals"),
                format!("{licenses}.batches"),
                format!("{licenses}.licenses"),
                format!("{orders}.orders"),
                format!("{holds}.holds"),
                format!("{notices}.notices"),
            ])
            .collect();
        for (number, table) in tables.iter().enumerate() {
            let backup = format!("create table if not exists backup_{number} as select * from {table}");
            sqlx::query(&backup).execute(&world.fixture.pool).await.unwrap();
        }
        world.tamper(&statement).await;
        let full = world.full().await;
        assert!(classes(&full).contains(&(class, source.to_owned())), "{statement}: {:?}", full.differences);
        assert!(full.state.is_none(), "what differs is not kept as proved");
        let incremental = world.compare(Proof::load(&state).unwrap()).await.unwrap();
        assert_eq!(incremental.differences, full.differences, "incremental is not full: {statement}");
        for (number, table) in tables.iter().enumerate() {
            let restore = format!("delete from {table}; insert into {table} select * from backup_{number}");
            sqlx::raw_sql(&restore).execute(&world.fixture.pool).await.unwrap();
        }
    }
    assert!(world.full().await.is_pass());
    world.finish().await;
}

#[tokio::test]
async fn a_log_that_was_rewritten_is_found_though_it_keeps_every_rule() {
    let world = World::new().await;
    let before = world.full().await;
    let statement = "update events set payload = replace(payload::text, 'Paint', 'Pains')::json \
                     where event_type = 'ProjectCreated'";
    world.tamper(statement).await;
    let known_digests = [(before.position, before.log_digest.clone())].into_iter().collect();
    let options = Options { known_digests, ..Options::default() };
    let after = compare(&world.fixture.pool, Proof::default(), &options).await.unwrap();
    assert_eq!(classes(&after), [(Class::Rewritten, "log".to_owned())]);
    world.finish().await;
}

#[tokio::test]
async fn what_could_not_be_completed_is_never_a_pass() {
    let mut world = World::new().await;
    world.follow("ledger").await;
    world.stop_runners().await;
    trade_more(&world).await;
    let options = Options { patience: Duration::from_millis(50), ..Options::default() };
    let behind = compare(&world.fixture.pool, Proof::default(), &options).await;
    assert!(matches!(behind, Err(Incomplete::Behind { .. })), "{behind:?}");
    let recorder = Recorder::new(world.commands.clone(), world.fixture.pool.clone()).with(options);
    let id = recorder.request(INSTALLATION, true).await.unwrap();
    assert!(recorder.run(INSTALLATION, id, true).await.unwrap().is_err());
    world.start_runners();
    world.follow("reconciliations").await;
    let run = reconciliations::get(&world.fixture.pool, world.admins[0].tenant_id, id).await.unwrap().unwrap();
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Incomplete, Some("read_model_behind")));
    sqlx::query("delete from events where position = 5").execute(&world.fixture.pool).await.unwrap();
    let short = compare(&world.fixture.pool, Proof::default(), &Options::default()).await;
    assert!(matches!(short, Err(Incomplete::Log(_))), "{short:?}");
    world.finish().await;
}

#[tokio::test]
async fn a_system_under_load_gives_no_false_difference() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let mut load = Vec::new();
    for admin in 0..2 {
        let (commands, stop, actor, to) =
            (world.commands.clone(), stop.clone(), world.admins[admin], world.agents[admin]);
        load.push(tokio::spawn(async move {
            let mut done = 0;
            while !stop.is_cancelled() {
                let context = Context::of(actor, "quota.transfer", clock::now());
                commands.transfer_to(&context, to, q(1), None).await.unwrap();
                done += 1;
            }
            done
        }));
    }
    let mut state = None;
    for _ in 0..4 {
        let from = state.take().map_or_else(Proof::default, |bytes: Vec<u8>| Proof::load(&bytes).unwrap());
        let compared = world.compare(from).await.unwrap();
        assert!(compared.is_pass(), "{:?}", compared.differences);
        state = compared.state.map(|(bytes, _)| bytes);
    }
    stop.cancel();
    let mut done = 0;
    for load in load {
        done += load.await.unwrap();
    }
    assert!(done > 20, "there was no load");
    world.finish().await;
}

#[tokio::test]
async fn differences_are_cases_of_their_tenant_that_stay_until_they_are_explained() {
    let world = World::new().await;
    let recorder = Recorder::new(world.commands.clone(), world.fixture.pool.clone());
    let run = async |full: bool| {
        let id = recorder.request(INSTALLATION, full).await.unwrap();
        let ended = recorder.run(INSTALLATION, id, full).await.unwrap().unwrap();
        world.follow("reconciliations").await;
        world.follow("cases").await;
        (id, ended)
    };
    let list = async |admin: usize, status| {
        let filter = CaseFilter { status: Some(status), ..CaseFilter::default() };
        let tenant = world.admins[admin].tenant_id;
        cases::list(&world.fixture.pool, tenant, &filter, &PageRequest::default()).await.unwrap().items
    };
    let (_, first) = run(true).await;
    assert!(first.is_pass(), "{:?}", first.differences);
    let ledger = world.schema("ledger").await;
    let set = async |available: i64| {
        let agent = world.agents[0].0;
        world.tamper(&format!("update {ledger}.balances set available = {available} where agent_id = '{agent}'")).await;
    };
    set(1).await;
    let (second, _) = run(false).await;
    let open = list(0, CaseStatus::Open).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].subject.class, open[0].subject.kind), (Class::Amount, RunKind::Internal));
    assert_eq!(open[0].seen.run_id, second);
    assert!(list(1, CaseStatus::Open).await.is_empty(), "another tenant sees it");
    let own = |tenant| reconciliations::counts(&world.fixture.pool, tenant, second);
    assert_eq!(own(world.admins[0].tenant_id).await.unwrap().len(), 1);
    assert!(own(world.admins[1].tenant_id).await.unwrap().is_empty());

    // Seen again, it is the same case with its age.
    run(true).await;
    let again = list(0, CaseStatus::Open).await;
    assert_eq!((again.len(), again[0].opened_at), (1, open[0].opened_at));
    // Explained, it stays explained, until it is something else.
    let context = Context::of(world.admins[0], "case.resolve", clock::now());
    let explained = "a restore".to_owned();
    world.commands.resolve_case(&context, open[0].id, Resolution::Explained, explained, None).await.unwrap();
    run(false).await;
    assert!(list(0, CaseStatus::Open).await.is_empty());
    assert_eq!(list(0, CaseStatus::Resolved).await.len(), 1);
    set(2).await;
    run(false).await;
    assert_eq!(list(0, CaseStatus::Open).await.len(), 1);
    // As it should be, it vanishes.
    set(800).await;
    let (_, healed) = run(false).await;
    assert!(healed.is_pass(), "{:?}", healed.differences);
    assert_eq!(list(0, CaseStatus::Vanished).await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_saved_state_that_was_changed_is_not_used() {
    let world = World::new().await;
    let recorder = Recorder::new(world.commands.clone(), world.fixture.pool.clone());
    let id = recorder.request(INSTALLATION, true).await.unwrap();
    recorder.run(INSTALLATION, id, true).await.unwrap().unwrap();
    world.follow("reconciliations").await;
    world.tamper("update reconciliation_snapshots set bytes = bytes || '\\x00'::bytea").await;
    let next = recorder.request(INSTALLATION, false).await.unwrap();
    let ended = recorder.run(INSTALLATION, next, false).await.unwrap();
    assert!(matches!(ended, Err(Incomplete::Snapshot(_))), "{ended:?}");
    world.follow("reconciliations").await;
    let after = recorder.request(INSTALLATION, false).await.unwrap();
    let ended = recorder.run(INSTALLATION, after, false).await.unwrap().unwrap();
    assert_eq!(ended.from_position, 0, "what can't be trusted is read again from the start");
    world.finish().await;
}

#[tokio::test]
async fn a_run_that_died_is_taken_up_again_and_two_at_once_write_the_same() {
    let world = World::new().await;
    let ledger = world.schema("ledger").await;
    world.follow("ledger").await;
    let agent = world.agents[0].0;
    world.tamper(&format!("update {ledger}.balances set available = 3 where agent_id = '{agent}'")).await;
    let context = Context::system(world.admins[0].tenant_id, "reconciliation.request", clock::now());
    let subject = RunSubject::Internal { full: true };
    let id = world.commands.request_reconciliation(&context, subject).await.unwrap().value.id;
    // What a process that died left of it.
    let statement = format!(
        "insert into reconciliation_differences (run_id, tenant_id, line, class, source, key) \
         values ('{id}', '{}', 1, 'extra', 'balances', 'half done')",
        world.admins[0].tenant_id
    );
    world.tamper(&statement).await;
    let recorder = Recorder::new(world.commands.clone(), world.fixture.pool.clone());
    let tenant = world.admins[0].tenant_id;
    let (one, two) = tokio::join!(recorder.run(tenant, id, true), recorder.run(tenant, id, true));
    // Whoever is second finds that it has ended, with the same result or refused.
    assert!(one.is_ok() || two.is_ok());
    world.follow("reconciliations").await;
    world.follow("cases").await;
    let run = reconciliations::get(&world.fixture.pool, tenant, id).await.unwrap().unwrap();
    assert_eq!(run.status, RunStatus::Completed);
    assert_eq!(run.outcome.unwrap().counts.into_iter().collect::<Vec<_>>(), [(Class::Amount, 1)]);
    let page = PageRequest::default();
    let lines = reconciliations::differences(&world.fixture.pool, tenant, id, None, &page).await.unwrap().items;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let open = cases::open(&world.fixture.pool, RunKind::Internal, None).await.unwrap();
    assert_eq!(open.len(), 1);
    world.finish().await;
}
