//! What was decided on a state that did not become durable is never answered.
//!
//! The log's head is held while commands are enqueued, so that each test says exactly which of them share a batch.

use futures::poll;
use quotary_commands::{CommandError, Refusal};
use quotary_domain::Role;
use quotary_domain::agent_quota::AgentQuotaError;

use crate::house::{House, context, create, quota, refusal};

#[tokio::test]
#[expect(clippy::many_single_char_names, reason = "agents have no names")]
async fn all_that_rests_on_a_dropped_request_is_dropped_with_it_and_the_rest_of_the_batch_goes_on() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b, c) = (house.agent(100).await, house.agent(1).await, house.agent(1).await);
    let (e, f, x) = (house.agent(10).await, house.agent(1).await, house.agent(1).await);
    // All of them are in the cache of `here`.
    for (from, to) in [(a, b), (b, c), (c, a), (e, f)] {
        house.here.transfer_to(&context(from), to.account_id, quota(1), None).await.unwrap();
    }
    // Another process spends all that a has.
    there.transfer_to(&context(a), x.account_id, quota(100), None).await.unwrap();

    let head = house.hold_head().await;
    let (boss, of_a, of_b, of_c, of_e) = (context(house.boss), context(a), context(b), context(c), context(e));
    let mut first = Box::pin(house.here.top_up(&boss, f.account_id, quota(1), None));
    assert!(poll!(&mut first).is_pending());
    house.appends_wait(1).await;
    // These come into the next batch, in this order: the first rests on the old state of a, the others on the first.
    let mut conflict = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(60), None));
    let mut second = Box::pin(house.here.transfer_to(&of_b, c.account_id, quota(50), None));
    let mut third = Box::pin(house.here.transfer_to(&of_c, b.account_id, quota(50), None));
    let mut apart = Box::pin(house.here.transfer_to(&of_e, f.account_id, quota(5), None));
    let mut refused = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(60), None));
    assert!(poll!(&mut conflict).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut third).is_pending());
    assert!(poll!(&mut apart).is_pending());
    assert!(poll!(&mut refused).is_pending(), "a refusal waits for what it rests on");
    drop(head);

    let (first, conflict, second, third, apart, refused) = tokio::join!(first, conflict, second, third, apart, refused);
    first.unwrap();
    apart.unwrap();
    let of = |requested, available| {
        Refusal::from(AgentQuotaError::Insufficient { requested: quota(requested), available: quota(available) })
    };
    assert_eq!(refusal(conflict), of(60, 0));
    assert_eq!(refusal(second), of(50, 1));
    assert_eq!(refusal(third), of(50, 1));
    assert_eq!(refusal(refused), of(60, 0), "the refusal tells the true balance, not the tentative one of 40");
    assert_eq!((house.balance(a).await, house.balance(b).await, house.balance(c).await), ((0, 0), (1, 0), (1, 0)));
    house.leave().await;
}

#[tokio::test]
async fn a_request_decided_on_void_state_is_dropped_even_where_another_event_stands_at_its_sequence() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b, c, x) = (house.agent(101).await, house.agent(1).await, house.agent(1).await, house.agent(1).await);
    for (from, to) in [(a, b), (b, c)] {
        house.here.transfer_to(&context(from), to.account_id, quota(1), None).await.unwrap();
    }
    there.transfer_to(&context(a), x.account_id, quota(100), None).await.unwrap();

    let head = house.hold_head().await;
    let of_a = context(a);
    let mut void = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(60), None));
    assert!(poll!(&mut void).is_pending());
    house.appends_wait(1).await;
    // Decided on `void`: in the next batch it expects the sequence that the other process' event really has.
    let mut rests_on_it = Box::pin(house.here.transfer_to(&of_a, c.account_id, quota(40), None));
    assert!(poll!(&mut rests_on_it).is_pending());
    drop(head);
    let (void, rests_on_it) = tokio::join!(void, rests_on_it);
    assert!(matches!(refusal(void), Refusal::AgentQuota(AgentQuotaError::Insufficient { .. })));
    assert!(matches!(refusal(rests_on_it), Refusal::AgentQuota(AgentQuotaError::Insufficient { .. })));
    assert_eq!(house.balance(a).await, (0, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_refusal_on_a_state_that_became_void_is_decided_again_and_may_succeed() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(101).await, house.agent(0).await);
    house.here.transfer_to(&context(a), b.account_id, quota(1), None).await.unwrap();
    house.give(&there, a, 1_000).await;

    let head = house.hold_head().await;
    let of_a = context(a);
    let mut all = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(100), None));
    assert!(poll!(&mut all).is_pending());
    let mut more = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(100), None));
    assert!(poll!(&mut more).is_pending());
    drop(head);
    let (all, more) = tokio::join!(all, more);
    all.unwrap();
    more.unwrap();
    assert_eq!(house.balance(a).await, (900, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_name_is_not_called_taken_by_someone_who_did_not_get_it() {
    let house = House::new().await;
    let there = house.another("there").await;
    let admin = house.account(Role::AgentAdmin).await;
    house.give(&house.here, admin, 100).await;
    let other = house.agent(0).await;
    house.here.transfer_to(&context(admin), other.account_id, quota(1), None).await.unwrap();
    // The first claimant decides on an old balance and will be refused; the second needs no quota.
    there.transfer_to(&context(admin), other.account_id, quota(99), None).await.unwrap();

    let apart = house.agent(1).await;
    let head = house.hold_head().await;
    let (rich, poor, boss) = (context(admin), context(house.boss), context(house.boss));
    let mut occupied = Box::pin(house.here.top_up(&boss, apart.account_id, quota(1), None));
    assert!(poll!(&mut occupied).is_pending());
    house.appends_wait(1).await;
    let first = create(&house.here, &rich, "wanted", "one@example.com", quota(50));
    let second = async {
        // Both have stored their secrets, and the first is in the queue, when the second begins.
        house.until("select count(*) from account_secrets", 2).await;
        create(&house.here, &poor, "wanted", "two@example.com", quota(0)).await
    };
    let release = async {
        house.until("select count(*) from account_secrets", 3).await;
        // Both are on their way into the queue now; nothing outside shows when they are there.
        for _ in 0..200 {
            house.count("select 1::bigint").await;
        }
        drop(head);
    };
    let (occupied, first, second, ()) = tokio::join!(occupied, first, second, release);
    occupied.unwrap();
    assert!(matches!(refusal(first), Refusal::AgentQuota(AgentQuotaError::Insufficient { .. })));
    second.expect("nobody had the name");
    house.leave().await;
}

#[tokio::test]
async fn a_dropped_caller_loses_nothing_that_was_enqueued() {
    let house = House::new().await;
    let agent = house.agent(1).await;
    let head = house.hold_head().await;
    let boss = context(house.boss);
    let mut asked = Box::pin(house.here.top_up(&boss, agent.account_id, quota(5), None));
    assert!(poll!(&mut asked).is_pending());
    house.appends_wait(1).await;
    drop(asked);
    drop(head);
    // The next command decides on the state that the dropped one made.
    house.here.top_up(&boss, agent.account_id, quota(6), None).await.unwrap();
    assert_eq!(house.balance(agent).await, (12, 0));
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contention_is_answered_only_after_a_bounded_number_of_true_conflicts() {
    let house = House::new().await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    let mut attempts = 0;
    // Decides slower than another process writes: every attempt is old when it arrives.
    let (context, boss) = (context(house.boss), context(house.boss));
    let mut plan = quotary_commands::Plan::new();
    let quota_of = plan.open::<quotary_domain::agent_quota::AgentQuota>(agent.account_id);
    let runtime = tokio::runtime::Handle::current();
    let outcome = house
        .here
        .log()
        .execute(&context, &plan, |unit| {
            attempts += 1;
            let (there, boss, id) = (there.clone(), boss.clone(), agent.account_id);
            let handle = runtime.clone();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let _in = handle.enter();
                    futures::executor::block_on(there.top_up(&boss, id, quota(1), None)).unwrap();
                });
            });
            let journal_id = quotary_domain::JournalId(quotary_commands::clock::new_id());
            let top_up =
                quotary_domain::agent_quota::AgentQuotaCommand::TopUp { journal_id, amount: quota(1), note: None };
            unit.decide(quota_of, top_up)?;
            Ok::<_, Refusal>(())
        })
        .await;
    assert!(matches!(outcome, Err(CommandError::Contention)), "{outcome:?}");
    assert_eq!(house.balance(agent).await, (attempts, 0), "only the other process' events stand in the log");
    house.leave().await;
}
