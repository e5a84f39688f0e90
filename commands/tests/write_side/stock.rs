//! The stock crates over our log: they read it, write it, and rebuild the same aggregates.

use cqrs_es::persist::{PersistedEventRepository as _, PersistedEventStore};
use cqrs_es::{Aggregate, AggregateContext as _, AggregateError, CqrsFramework, EventStore as _};
use futures::future::join_all;
use postgres_es::PostgresEventRepository;
use quotary_commands::clock;
use quotary_commands::stock::event_store::LogEventStore;
use quotary_commands::stock::repository::LogRepository;
use quotary_domain::account::Account;
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, AgentQuotaError};
use quotary_domain::license::License;
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::Project;
use quotary_domain::tenant::Tenant;
use quotary_domain::withdrawal::Withdrawal;
use quotary_domain::{Actor, JournalId, TenantId};

use crate::house::{House, by_itself, context, quota, vendor};
use crate::licenses::licence;

fn top_up(amount: i64) -> AgentQuotaCommand {
    AgentQuotaCommand::TopUp { journal_id: JournalId(clock::new_id()), amount: quota(amount), note: None }
}

/// Every aggregate of a type, rebuilt by the stock crates and by ours.
async fn compare<A: quotary_domain::Aggregate>(house: &House) -> usize {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("select distinct aggregate_id::uuid from events where aggregate_type = $1")
            .bind(A::TYPE)
            .fetch_all(&house.owner)
            .await
            .unwrap();
    let stock = PersistedEventStore::<_, A>::new_event_store(PostgresEventRepository::new(house.owner.clone()));
    for id in &ids {
        let theirs = stock.load_aggregate(&id.to_string()).await.unwrap().aggregate().clone();
        assert_eq!(theirs, house.stored::<A>(*id).await, "{} {id}", A::TYPE);
    }
    ids.len()
}

#[tokio::test]
async fn stock_postgres_es_rebuilds_every_aggregate_of_our_log() {
    let house = House::new().await;
    let shop = house.shop(2, 2).await;
    let seller = house.seller(shop, 100).await;
    licence(&house, shop, seller).await;
    house.here.request_withdrawal(&context(seller), quota(7), "{}".to_owned().into()).await.unwrap();
    house
        .here
        .issue_chunk(&by_itself(house.boss), {
            house.here.request_batch(&context(seller), shop.project, shop.plan, 3).await.unwrap().value.batch_id
        })
        .await
        .unwrap();
    assert_eq!(compare::<Tenant>(&house).await, 1);
    assert_eq!(compare::<Account>(&house).await, 2);
    assert_eq!(compare::<Project>(&house).await, 1);
    assert_eq!(compare::<AgentQuota>(&house).await, 1);
    assert_eq!(compare::<LicenseBatch>(&house).await, 2);
    assert_eq!(compare::<License>(&house).await, 4);
    assert_eq!(compare::<Withdrawal>(&house).await, 1);
    house.leave().await;
}

/// What any store of the stock shape must do.
async fn exercise(
    house: &House,
    agent: Actor,
    framework: CqrsFramework<AgentQuota, impl cqrs_es::EventStore<AgentQuota>>,
) {
    let id = agent.account_id.to_string();
    let before = house.balance(agent).await.0;
    for amount in 1..=5 {
        framework.execute(&id, top_up(amount)).await.unwrap();
    }
    let spent = AgentQuotaCommand::Hold {
        hold_id: quotary_domain::HoldId(clock::new_id()),
        amount: quota(1_000_000),
        purpose: quotary_domain::agent_quota::HoldPurpose::Batch(quotary_domain::BatchId(clock::new_id())),
        at: clock::now(),
        expires_at: None,
    };
    let refused = framework.execute(&id, spent).await;
    assert!(matches!(refused, Err(AggregateError::UserError(AgentQuotaError::Insufficient { .. }))), "{refused:?}");
    assert_eq!(house.balance(agent).await.0, before + 15, "five commands, each applied once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_framework_over_our_store_decides_on_the_latest_state_and_shares_it_with_the_use_cases() {
    let house = House::new().await;
    let agent = house.agent(5).await;
    let tenant = house.boss.tenant_id;
    let store = || LogEventStore::<AgentQuota>::new(house.here.log().clone(), tenant);
    exercise(&house, agent, CqrsFramework::new(store(), vec![], ())).await;
    house.give(&house.here, agent, 80).await;
    let framework = std::sync::Arc::new(CqrsFramework::new(store(), vec![], ()));
    let id = agent.account_id.to_string();
    let tasks = (0..50).map(|_| {
        let (framework, id) = (framework.clone(), id.clone());
        tokio::spawn(async move { framework.execute(&id, top_up(1)).await })
    });
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(house.balance(agent).await, (150, 0));
    let events = store().load_events(&id).await.unwrap();
    let mut folded = AgentQuota::default();
    for event in events {
        folded.apply(event.payload);
    }
    assert_eq!(folded, house.stored::<AgentQuota>(agent.account_id).await);
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_persisted_store_over_our_repository_appends_to_the_same_log() {
    let house = House::new().await;
    let agent = house.agent(5).await;
    let log = house.here.log();
    let repository = |tenant: TenantId| LogRepository::new(log.pool().clone(), log.committer().clone(), tenant);
    let store = PersistedEventStore::<_, AgentQuota>::new_event_store(repository(house.boss.tenant_id));
    exercise(&house, agent, CqrsFramework::new(store, vec![], ())).await;
    // The use cases' cache is old now, and they notice.
    house.give(&house.here, agent, 1).await;
    assert_eq!(house.balance(agent).await, (21, 0));

    // Two that loaded the same state: the second is refused.
    let id = agent.account_id.to_string();
    let events = repository(house.boss.tenant_id).get_events::<AgentQuota>(&id).await.unwrap();
    let again = repository(house.boss.tenant_id).persist::<AgentQuota>(&events[events.len() - 1..], None).await;
    assert!(matches!(again, Err(cqrs_es::persist::PersistenceError::OptimisticLockError)), "{again:?}");

    // Another tenant's repository sees nothing of it and can't write to it.
    let other = vendor(&house.here, "umbrella").await;
    assert!(repository(other.tenant_id).get_events::<AgentQuota>(&id).await.unwrap().is_empty());
    let store = PersistedEventStore::<_, AgentQuota>::new_event_store(repository(other.tenant_id));
    let stray = CqrsFramework::new(store, vec![], ()).execute(&id, top_up(1)).await;
    assert!(matches!(stray, Err(AggregateError::AggregateConflict)), "{stray:?}");
    house.leave().await;
}

#[tokio::test]
async fn a_stock_replay_over_our_repository_reads_every_event_in_order() {
    let house = House::new().await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 0).await;
    let asked = house.here.request_batch(&context(seller), shop.project, shop.plan, 2_100).await.unwrap().value;
    for _ in 0..3 {
        house.here.issue_chunk(&by_itself(house.boss), asked.batch_id).await.unwrap();
    }
    let log = house.here.log();
    let repository = LogRepository::new(log.pool().clone(), log.committer().clone(), house.boss.tenant_id);
    let mut replay = repository.stream_all_events::<License>().await.unwrap();
    let mut read = 0;
    while let Some(event) = replay.next::<License>(&[]).await {
        event.unwrap();
        read += 1;
    }
    assert_eq!(read, 2_100);
    house.leave().await;
}
