//! What was reserved for a time that is over ends by itself: also after downtime, by two workers, on a late list.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/read_model_fixture/mod.rs"]
mod fixture;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fixture::{Fixture, PATIENCE};
use quotary_commands::account::create::CreateAccount;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::{Commands, Context, EventLog, Limits, Vault, clock};
use quotary_domain::account::Username;
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::risk::{MovementRules, RiskRules};
use quotary_domain::{Actor, Quota, Role};
use quotary_projections::holds::{self, Holds};
use quotary_projections::movements::Movements;
use quotary_workers::expire_holds::{expire_due, run};
use quotary_workers::leader::LeaderOptions;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

const PASSWORD: &str = "correct horse battery";

fn process(fixture: &Fixture) -> Commands {
    let vault = Vault::new(Zeroizing::new([7; 32]));
    Commands::new(EventLog::start(fixture.pool.clone(), vault, Limits::default(), 1_000).0)
}

fn quota(amount: i64) -> Quota {
    Quota::new(amount).unwrap()
}

fn at(actor: Actor, now: DateTime<Utc>) -> Context {
    Context::of(actor, "test", now)
}

/// A vendor whose rules suspend more than 10 for five minutes, and an agent of it with 100.
async fn vendor(commands: &Commands) -> (Actor, Actor) {
    let input = CreateTenant {
        name: "acme".to_owned(),
        username: Username::parse("boss").unwrap(),
        email: "boss@example.com".to_owned(),
        password: PASSWORD.to_owned().into(),
        must_change_password: false,
    };
    let made = commands.create_tenant(input).await.unwrap().value;
    let boss = Actor { tenant_id: made.tenant_id, account_id: made.account_id, role: Role::SuperAdmin };
    let input = CreateAccount {
        username: Username::parse("agent").unwrap(),
        email: "agent@example.com".to_owned(),
        password: Some(PASSWORD.to_owned().into()),
        must_change_password: false,
        role: Role::Agent,
        opening_quota: quota(100),
    };
    let made = commands.create_account(&at(boss, clock::now()), input).await.unwrap().value;
    let agent = Actor { account_id: made.account_id, role: Role::Agent, ..boss };
    let above = MovementRules { amount_above: Some(quota(10)), ..MovementRules::default() };
    let rules = RiskRules {
        transfers: above.clone(),
        withdrawals: above,
        second_person_above: Some(quota(10)),
        review_within_minutes: Some(5),
        ..RiskRules::default()
    };
    commands.set_risk_rules(&at(boss, clock::now()), rules).await.unwrap();
    (boss, agent)
}

/// A transfer, a withdrawal and a top-up by the tenant that a rule suspended at this time.
async fn suspend_all(commands: &Commands, (boss, agent): (Actor, Actor), now: DateTime<Utc>) {
    let sent = commands.transfer_to(&at(agent, now), boss.account_id, quota(20), None).await.unwrap().value;
    assert!(sent.suspension.is_some());
    commands.request_withdrawal(&at(agent, now), quota(30), "{}".to_owned().into()).await.unwrap();
    let given = commands.top_up(&at(boss, now), agent.account_id, quota(11), None).await.unwrap().value;
    assert!(given.suspension.is_some());
}

async fn count(fixture: &Fixture, event_type: &str) -> i64 {
    sqlx::query_scalar("select count(*) from events where event_type = $1")
        .bind(event_type)
        .fetch_one(&fixture.pool)
        .await
        .unwrap()
}

async fn read(fixture: &Fixture) {
    let head: i64 = sqlx::query_scalar("select position from log_head").fetch_one(&fixture.pool).await.unwrap();
    fixture.project(Holds, head.cast_unsigned()).await;
    fixture.project(Movements, head.cast_unsigned()).await;
}

async fn balance(commands: &Commands, agent: Actor) -> (i64, i64) {
    let state = commands.log().current::<AgentQuota>(agent.tenant_id, agent.account_id).await.unwrap().unwrap().0;
    (state.available.minor_units(), state.held.minor_units())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_due_while_nothing_ran_ends_once_by_two_workers_and_on_a_late_list() {
    let fixture = Fixture::new().await;
    let (here, there) = (process(&fixture), process(&fixture));
    let (boss, agent) = vendor(&here).await;
    let now = clock::now();
    suspend_all(&here, (boss, agent), now - TimeDelta::minutes(10)).await;
    assert_eq!(balance(&here, agent).await, (50, 50));
    read(&fixture).await;
    assert_eq!(expire_due(&here, &fixture.pool, now - TimeDelta::days(1)).await.unwrap(), 0, "the clock went back");
    assert_eq!(balance(&here, agent).await, (50, 50));
    let (one, two) = tokio::join!(expire_due(&here, &fixture.pool, now), expire_due(&there, &fixture.pool, now));
    assert_eq!((one.unwrap(), two.unwrap()), (3, 3));
    assert_eq!(balance(&here, agent).await, (100, 0));
    // The list is late: it still has all three. One who comes back from a crash in between finds them ended.
    assert_eq!(expire_due(&there, &fixture.pool, now).await.unwrap(), 3);
    for (event_type, times) in [("TransferExpired", 2), ("WithdrawalExpired", 1), ("HoldExpired", 2)] {
        assert_eq!(count(&fixture, event_type).await, times, "{event_type}");
    }
    read(&fixture).await;
    assert_eq!(expire_due(&there, &fixture.pool, now).await.unwrap(), 0);
    assert_eq!(holds::expired(&fixture.pool, now + TimeDelta::days(1), 10).await.unwrap(), []);
    assert_eq!(balance(&here, agent).await, (100, 0));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_ends_what_is_due_and_leaves_what_is_not() {
    let fixture = Fixture::new().await;
    let commands = process(&fixture);
    let (boss, agent) = vendor(&commands).await;
    let now = clock::now();
    suspend_all(&commands, (boss, agent), now - TimeDelta::minutes(10)).await;
    let sent = commands.transfer_to(&at(agent, now), boss.account_id, quota(15), None).await.unwrap().value;
    assert!(sent.suspension.is_some());
    read(&fixture).await;
    let cancel = CancellationToken::new();
    let worker = run(commands.clone(), fixture.pool.clone(), LeaderOptions::default(), cancel.clone());
    let worker = tokio::spawn(worker);
    let start = Instant::now();
    while balance(&commands, agent).await != (85, 15) || count(&fixture, "TransferExpired").await < 2 {
        assert!(start.elapsed() < PATIENCE, "not ended within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    worker.await.unwrap();
    assert_eq!((count(&fixture, "TransferExpired").await, count(&fixture, "HoldExpired").await), (2, 2));
    fixture.finish().await;
}
