//! An old cache never answers: what another process has changed counts for refusals and for 'already applied' too.

use quotary_commands::{CommandError, Context, Refusal};
use quotary_domain::account::Account;
use quotary_domain::license_batch::LicenseBatch;
use quotary_domain::project::{Project, ProjectError};

use crate::house::{House, context, create, keyed, password, quota, refusal};

#[tokio::test]
async fn a_command_decided_on_an_old_cache_is_decided_again_on_the_latest_state() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(100).await, house.agent(0).await);
    house.here.transfer_to(&context(a), b.account_id, quota(10), None).await.unwrap();
    there.transfer_to(&context(a), b.account_id, quota(10), None).await.unwrap();
    house.here.transfer_to(&context(a), b.account_id, quota(10), None).await.unwrap();
    assert_eq!(house.balance(a).await, (70, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_refusal_is_not_given_on_an_old_balance() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(1).await, house.agent(0).await);
    house.here.transfer_to(&context(a), b.account_id, quota(1), None).await.unwrap();
    house.give(&there, a, 100).await;
    house.here.transfer_to(&context(a), b.account_id, quota(100), None).await.expect("the other process topped it up");
    house.leave().await;
}

#[tokio::test]
async fn disabling_is_not_called_done_because_an_old_cache_says_so() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(0, 1).await;
    let boss = context(house.boss);
    house.here.disable_project(&boss, shop.project).await.unwrap();
    there.enable_project(&boss, shop.project).await.unwrap();
    house.here.disable_project(&boss, shop.project).await.unwrap();
    assert!(house.stored::<Project>(shop.project).await.disabled);
    house.leave().await;
}

#[tokio::test]
async fn a_command_that_only_read_a_project_is_refused_when_another_process_disabled_it() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 10).await;
    house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await.unwrap();
    there.disable_project(&context(house.boss), shop.project).await.unwrap();
    let asked = house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await;
    assert_eq!(refusal(asked), ProjectError::Disabled.into());
    there.enable_project(&context(house.boss), shop.project).await.unwrap();
    house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await.expect("it is enabled again");
    house.leave().await;
}

#[tokio::test]
async fn an_account_disabled_by_another_process_can_neither_act_nor_log_in() {
    let house = House::new().await;
    let there = house.another("there").await;
    let boss = context(house.boss);
    let made = create(&house.here, &boss, "mallory", "m@example.com", quota(10)).await.unwrap().value;
    let now = boss.now;
    let actor = house.here.log_in(None, "mallory", password(), now).await.unwrap().actor;
    there.disable_account(&boss, made.account_id).await.unwrap();
    assert!(house.here.log_in(None, "mallory", password(), now).await.is_err());
    let to = house.agent(0).await.account_id;
    assert_eq!(refusal(house.here.transfer_to(&context(actor), to, quota(1), None).await), Refusal::Forbidden);
    house.leave().await;
}

#[tokio::test]
async fn if_match_speaks_of_the_sequence_in_the_log_and_not_of_that_in_the_cache() {
    let house = House::new().await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    let boss = context(house.boss);
    let sequence = house.here.disable_account(&boss, agent.account_id).await.unwrap().value.sequence;
    there.enable_account(&boss, agent.account_id).await.unwrap();
    let at = |sequence| Context { if_match: Some(sequence), ..boss.clone() };
    let old = house.here.disable_account(&at(sequence), agent.account_id).await;
    assert!(matches!(old, Err(CommandError::Changed { actual }) if actual == sequence + 1), "{old:?}");
    // The cache of `there` is at the sequence before this one.
    house.here.disable_account(&at(sequence + 1), agent.account_id).await.unwrap();
    there.enable_account(&at(sequence + 2), agent.account_id).await.unwrap();
    assert!(!house.stored::<Account>(agent.account_id).await.disabled);
    house.leave().await;
}

#[tokio::test]
async fn a_repeat_with_an_old_if_match_gets_the_answer_of_the_first() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    let with_key = Context { if_match: Some(1), ..keyed(house.boss, "k", "disable") };
    let first = house.here.disable_account(&with_key, agent.account_id).await.unwrap();
    let again = house.here.disable_account(&with_key, agent.account_id).await.unwrap();
    assert_eq!((again.value, again.position, again.replayed), (first.value, first.position, true));
    house.leave().await;
}

#[tokio::test]
async fn an_answer_without_an_event_names_a_position_that_covers_what_it_says() {
    let house = House::new().await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    let boss = context(house.boss);
    let disabled = house.here.disable_account(&boss, agent.account_id).await.unwrap();
    let again = there.disable_account(&boss, agent.account_id).await.unwrap();
    assert!(again.position >= disabled.position, "a reader at {} may not have seen it", again.position);
    house.leave().await;
}

#[tokio::test]
async fn what_is_read_for_a_decision_is_the_log_and_not_the_cache() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 0).await;
    let batch = house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await.unwrap().value.batch_id;
    there.issue_chunk(&crate::house::by_itself(house.boss), batch).await.unwrap();
    let (state, _) = house.here.log().current::<LicenseBatch>(house.boss.tenant_id, batch).await.unwrap().unwrap();
    assert_eq!(state.issued, 1);
    house.leave().await;
}
