//! Names that only one account may have.

use futures::future::join_all;
use quotary_commands::{CommandError, Refusal};
use quotary_domain::Role;
use quotary_domain::agent_quota::AgentQuotaError;

use crate::house::{House, context, create, quota, refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_want_one_username_at_once_one_gets_it_and_nothing_of_the_others_is_left() {
    let house = House::new().await;
    let there = house.another("there").await;
    let tasks = (0..50).map(|n| {
        let (process, context) = (if n % 2 == 0 { house.here.clone() } else { there.clone() }, context(house.boss));
        tokio::spawn(async move { create(&process, &context, "popular", &format!("{n}@example.com"), quota(0)).await })
    });
    let mut winners = vec![];
    for outcome in join_all(tasks).await {
        match outcome.unwrap() {
            Ok(done) => winners.push(done.value.account_id),
            Err(CommandError::Taken(kind)) => assert_eq!(kind, "username"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(house.count("select count(*) from account_secrets").await, 2, "the boss' and the winner's");
    assert_eq!(house.count("select count(*) from data_keys").await, 2);
    assert_eq!(house.count("select count(*) from claims where kind = 'email'").await, 2, "a loser's address is free");
    house.leave().await;
}

#[tokio::test]
async fn the_answer_says_which_name_is_taken() {
    let house = House::new().await;
    let boss = context(house.boss);
    create(&house.here, &boss, "alice", "alice@example.com", quota(0)).await.unwrap();
    let username = create(&house.here, &boss, "Alice", "other@example.com", quota(0)).await;
    assert!(matches!(username, Err(CommandError::Taken("username"))), "{username:?}");
    let email = create(&house.here, &boss, "other", "ALICE@example.com", quota(0)).await;
    assert!(matches!(email, Err(CommandError::Taken("email"))), "{email:?}");
    create(&house.here, &boss, "other", "other@example.com", quota(0)).await.expect("the refused ones claimed nothing");
    house.leave().await;
}

#[tokio::test]
async fn an_account_that_can_not_be_paid_for_leaves_no_name_and_no_secret() {
    let house = House::new().await;
    let admin = house.account(Role::AgentAdmin).await;
    house.give(&house.here, admin, 10).await;
    let asked = create(&house.here, &context(admin), "dave", "d@example.com", quota(11)).await;
    assert!(matches!(refusal(asked), Refusal::AgentQuota(AgentQuotaError::Insufficient { .. })));
    assert_eq!(house.count("select count(*) from account_secrets").await, 1);
    let made = create(&house.here, &context(admin), "dave", "d@example.com", quota(10)).await.unwrap().value;
    assert_eq!(made.parent_id, admin.account_id);
    assert_eq!(house.balance(admin).await, (0, 0));
    house.leave().await;
}

#[tokio::test]
async fn one_username_may_stand_in_two_tenants_but_a_tenants_name_only_once() {
    let house = House::new().await;
    let other = crate::house::vendor(&house.here, "umbrella").await;
    create(&house.here, &context(house.boss), "alice", "a@example.com", quota(0)).await.unwrap();
    create(&house.here, &context(other), "alice", "a@example.com", quota(0)).await.unwrap();
    let input = quotary_commands::tenant::create::CreateTenant {
        name: "Umbrella".to_owned(),
        username: quotary_domain::account::Username::parse("boss").unwrap(),
        email: "x@example.com".to_owned(),
        password: crate::house::password(),
        must_change_password: false,
    };
    let again = house.here.create_tenant(input).await;
    assert!(matches!(again, Err(CommandError::Taken("tenant"))), "{again:?}");
    house.leave().await;
}
