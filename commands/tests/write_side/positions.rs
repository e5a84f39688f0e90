//! Positions and order, whoever writes: several processes, many commands at once, one hot account.

use futures::future::join_all;
use quotary_commands::{CommandError, Refusal};
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::ledger::LedgerAccount;

use crate::house::{House, context, quota};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_write_one_dense_log_and_each_accepted_command_stands_in_it_once() {
    let house = House::new().await;
    let processes = [house.here.clone(), house.another("second").await, house.another("third").await];
    let mut agents = vec![];
    for _ in 0..20 {
        agents.push(house.agent(0).await);
    }
    let before = house.head().await;
    let (boss, agents_ref) = (context(house.boss), &agents);
    let tasks = (0..200_usize).map(|n| {
        let (process, boss) = (processes[n % 3].clone(), boss.clone());
        let agent = agents_ref[n % 20].account_id;
        async move { process.top_up(&boss, agent, quota(i64::try_from(n).unwrap() + 1), Some(format!("n{n}"))).await }
    });
    let outcomes = join_all(tasks).await;
    let mut accepted = 0;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(done) => {
                accepted += i64::try_from(n).unwrap() + 1;
                let found = house
                    .count(&format!("select position from events where payload->'QuotaToppedUp'->>'note' = 'n{n}'"))
                    .await;
                assert_eq!(found.cast_unsigned(), done.position, "the answer says where the event stands");
            }
            // Three processes without rest on twenty accounts: that is what the bound of attempts is for.
            Err(CommandError::Contention) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(written >= 190, "only {written} of 200 were accepted");
    assert_eq!(
        house.head().await - before,
        i64::try_from(written).unwrap(),
        "each accepted command once, nothing else"
    );
    let reading = house.leave().await;
    let available = |(account, amount): (&LedgerAccount, &i64)| account.agent().map(|_| *amount);
    assert_eq!(reading.balances.iter().filter_map(available).sum::<i64>(), accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_account_with_money_for_three_hundred_of_five_hundred_transfers_makes_exactly_three_hundred() {
    let house = House::new().await;
    let hot = house.agent(300).await;
    let mut receivers = vec![];
    for _ in 0..10 {
        receivers.push(house.agent(0).await);
    }
    let tasks = (0..500).map(|n| {
        let (process, context, to) = (house.here.clone(), context(hot), receivers[n % 10].account_id);
        tokio::spawn(async move { process.transfer_to(&context, to, quota(1), None).await })
    });
    let outcomes = join_all(tasks).await;
    let mut made = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            Ok(_) => made += 1,
            Err(CommandError::Refused(Refusal::AgentQuota(AgentQuotaError::Insufficient { available, .. }))) => {
                assert_eq!(available, quota(0), "a refusal names the state at which it was true");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 300);
    assert_eq!(house.balance(hot).await, (0, 0));
    let mut received = 0;
    for receiver in receivers {
        received += house.balance(receiver).await.0;
    }
    assert_eq!(received, 300);
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_conflict_on_a_hot_account_does_not_make_contention_for_all_that_wait_there() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (hot, other) = (house.agent(1_000).await, house.agent(0).await);
    house.here.transfer_to(&context(hot), other.account_id, quota(1), None).await.unwrap();
    // The cache of `here` is old now, and five hundred are about to decide on it.
    house.give(&there, hot, 1).await;
    let tasks = (0..500).map(|_| {
        let (process, context) = (house.here.clone(), context(hot));
        tokio::spawn(async move { process.transfer_to(&context, other.account_id, quota(1), None).await })
    });
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(house.balance(hot).await, (500, 0));
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_for_each_others_accounts_never_lock_each_other_out() {
    let house = House::new().await;
    let mut agents = vec![];
    for _ in 0..4 {
        agents.push(house.agent(1_000).await);
    }
    let pairs = (0..400).map(|n| (agents[n % 4], agents[(n % 4 + 1 + n / 4 % 3) % 4]));
    let tasks = pairs.map(|(from, to)| {
        let (process, context) = (house.here.clone(), context(from));
        tokio::spawn(async move { process.transfer_to(&context, to.account_id, quota(1), None).await })
    });
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    let mut sum = 0;
    for agent in agents {
        sum += house.balance(agent).await.0;
    }
    assert_eq!(sum, 4_000);
    house.leave().await;
}
