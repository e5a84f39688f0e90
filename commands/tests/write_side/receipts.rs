//! Idempotency: a repeat gets the first answer and writes nothing, whatever happened in between.

use futures::future::join_all;
use quotary_commands::{CommandError, Limits};
use quotary_domain::agent_quota::AgentQuota;
use quotary_domain::project::ProjectDetails;

use crate::house::{House, context, create, keyed, quota};

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_writes_nothing() {
    let house = House::new().await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    let with_key = keyed(house.boss, "k1", "top up 5");
    let first = house.here.top_up(&with_key, agent.account_id, quota(5), None).await.unwrap();
    let head = house.head().await;
    for process in [&house.here, &there] {
        let again = process.top_up(&with_key, agent.account_id, quota(5), None).await.unwrap();
        assert!(again.replayed);
        assert_eq!((&again.value, again.position), (&first.value, first.position));
    }
    assert_eq!(house.head().await, head);
    house.leave().await;
}

#[tokio::test]
async fn one_key_with_another_content_is_refused_on_every_path() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    house.here.top_up(&keyed(house.boss, "k1", "a"), agent.account_id, quota(5), None).await.unwrap();
    let head = house.head().await;
    let other = keyed(house.boss, "k1", "b");
    let writes = house.here.top_up(&other, agent.account_id, quota(6), None).await;
    assert!(matches!(writes, Err(CommandError::KeyReused)), "{writes:?}");
    let refused = house.here.transfer_to(&other, agent.account_id, quota(6), None).await;
    assert!(matches!(refused, Err(CommandError::KeyReused)), "{refused:?}");
    let nothing_to_do = house.here.enable_account(&other, agent.account_id).await;
    assert!(matches!(nothing_to_do, Err(CommandError::KeyReused)), "{nothing_to_do:?}");
    assert_eq!(house.head().await, head);
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_key_at_once_write_one_event_and_answer_the_same() {
    let house = House::new().await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    for round in 0..20 {
        let with_key = keyed(house.boss, &format!("k{round}"), "top up");
        let tasks = (0..8).map(|n| {
            let (process, context) = (if n % 2 == 0 { house.here.clone() } else { there.clone() }, with_key.clone());
            tokio::spawn(async move { process.top_up(&context, agent.account_id, quota(1), None).await.unwrap() })
        });
        let answers: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert!(
            answers.iter().all(|answer| (&answer.value, answer.position) == (&answers[0].value, answers[0].position))
        );
    }
    assert_eq!(house.balance(agent).await, (20, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_repeat_is_answered_from_the_receipt_after_the_state_has_changed() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(10).await, house.agent(0).await);
    let with_key = keyed(a, "k", "all of it");
    let first = house.here.transfer_to(&with_key, b.account_id, quota(10), None).await.unwrap();
    // It would be refused by now: there is nothing left, then the account is disabled too.
    let again = house.here.transfer_to(&with_key, b.account_id, quota(10), None).await.unwrap();
    assert_eq!((&again.value, again.replayed), (&first.value, true));
    house.here.disable_account(&context(house.boss), a.account_id).await.unwrap();
    let again = there.transfer_to(&with_key, b.account_id, quota(10), None).await.unwrap();
    assert_eq!((&again.value, again.replayed), (&first.value, true));
    house.leave().await;
}

#[tokio::test]
async fn a_command_with_nothing_to_do_leaves_a_receipt_that_stands_later() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    let with_key = keyed(house.boss, "k", "enable");
    let head = house.head().await;
    let first = house.here.enable_account(&with_key, agent.account_id).await.unwrap();
    assert!(!first.replayed);
    assert_eq!(house.head().await, head, "nothing was to do");
    house.here.disable_account(&context(house.boss), agent.account_id).await.unwrap();
    let again = house.here.enable_account(&with_key, agent.account_id).await.unwrap();
    assert_eq!((again.value, again.position, again.replayed), (first.value, first.position, true));
    house.leave().await;
}

#[tokio::test]
async fn a_created_account_keeps_its_secrets_when_the_creation_is_repeated() {
    let house = House::new().await;
    let with_key = keyed(house.boss, "k", "create");
    let first = create(&house.here, &with_key, "carol", "c@example.com", quota(3)).await.unwrap();
    let again = create(&house.here, &with_key, "carol", "c@example.com", quota(3)).await.unwrap();
    assert_eq!((again.value, again.replayed), (first.value.clone(), true));
    assert_eq!(house.count("select count(*) from account_secrets").await, 2, "the boss' and hers");
    assert_eq!(house.count("select count(*) from data_keys").await, 2);
    let now = with_key.now;
    house.here.log_in(None, "carol", crate::house::password(), now).await.map(|_| ()).expect("she can log in");
    house.leave().await;
}

#[tokio::test]
async fn secrets_in_receipts_and_in_the_log_are_not_readable() {
    let house = House::new().await;
    let details = ProjectDetails { name: "p".into(), description: None, version: None, callback_url: None };
    let with_key = keyed(house.boss, "k", "create");
    let made = house.here.create_project(&with_key, details.clone()).await.unwrap().value;
    let secret = &made.credentials.api_secret;
    let again = house.here.create_project(&with_key, details).await.unwrap();
    assert_eq!((&again.value, again.replayed), (&made, true), "the secret is shown again to whoever has the key");
    let everything: Vec<String> = sqlx::query_scalar(
        "select payload::text || metadata::text from events \
         union all select encode(response, 'escape') from receipts \
         union all select state::text from snapshots",
    )
    .fetch_all(&house.owner)
    .await
    .unwrap();
    assert!(everything.iter().all(|text| !text.contains(secret.as_str()) && !text.contains(&secret[3..20])));
    house.leave().await;
}

#[tokio::test]
async fn a_key_belongs_to_whoever_used_it() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    let other = crate::house::vendor(&house.here, "umbrella").await;
    house.here.top_up(&keyed(house.boss, "k", "x"), agent.account_id, quota(5), None).await.unwrap();
    let elsewhere = house.here.top_up(&keyed(other, "k", "y"), other.account_id, quota(5), None).await.unwrap();
    assert!(!elsewhere.replayed, "another tenant's key is another key");
    assert_eq!(house.stored::<AgentQuota>(other.account_id).await.available, quota(5));
    house.leave().await;
}

#[tokio::test]
async fn a_repeat_that_shares_a_batch_with_a_first_that_is_dropped_is_decided_by_itself() {
    let house = House::new().await;
    let there = house.another_within("there", Limits::default()).await;
    let (a, b) = (house.agent(11).await, house.agent(0).await);
    house.here.transfer_to(&context(a), b.account_id, quota(1), None).await.unwrap();
    // The first rests on an old state.
    house.give(&there, a, 1).await;
    let with_key = keyed(a, "k", "ten");
    let head = house.hold_head().await;
    let boss = context(house.boss);
    let mut occupied = Box::pin(house.here.top_up(&boss, b.account_id, quota(1), None));
    assert!(futures::poll!(&mut occupied).is_pending());
    house.appends_wait(1).await;
    let mut first = Box::pin(house.here.transfer_to(&with_key, b.account_id, quota(5), None));
    let mut repeat = Box::pin(house.here.transfer_to(&with_key, b.account_id, quota(5), None));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut repeat).is_pending());
    drop(head);
    let (occupied, first, repeat) = tokio::join!(occupied, first, repeat);
    occupied.unwrap();
    let (first, repeat) = (first.unwrap(), repeat.unwrap());
    assert_eq!(first.value, repeat.value);
    assert!(first.replayed != repeat.replayed);
    assert_eq!(house.balance(a).await, (6, 0));
    house.leave().await;
}
