//! Batches: every licence is issued once and paid once, whoever issues and whatever stops it.

use futures::future::join_all;
use quotary_commands::{CommandError, Commands, Refusal};
use quotary_domain::ledger::LedgerAccount;
use quotary_domain::license_batch::{BatchStatus, LicenseBatch, LicenseBatchError, StopReason};
use quotary_domain::{Actor, BatchId};

use crate::house::{House, Shop, by_itself, context, quota, refusal};

/// Asks for a batch.
async fn ask(house: &House, shop: Shop, seller: Actor, count: u32) -> BatchId {
    house.here.request_batch(&context(seller), shop.project, shop.plan, count).await.unwrap().value.batch_id
}

/// Issues chunks until the batch has ended; another manager may be faster with some of them.
async fn issue_all(by: &Commands, house_boss: Actor, batch: BatchId) -> LicenseBatch {
    for _ in 0..50 {
        match by.issue_chunk(&by_itself(house_boss), batch).await {
            Ok(done) if done.value.batch.status() != BatchStatus::Issuing => return done.value.batch,
            Ok(_)
            | Err(
                CommandError::Contention
                | CommandError::Refused(Refusal::LicenseBatch(
                    LicenseBatchError::WrongChunk { .. } | LicenseBatchError::Ended(_),
                )),
            ) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the batch does not end");
}

async fn issued(house: &House, batch: BatchId) -> i64 {
    house
        .count(&format!(
            "select count(*) from events where event_type = 'LicenseIssued' and payload::text like '%{batch}%'"
        ))
        .await
}

#[tokio::test]
async fn a_batch_that_one_process_began_is_finished_by_another_to_the_exact_count_and_price() {
    let house = House::new().await;
    let shop = house.shop(3, 1).await;
    let seller = house.seller(shop, 10_000).await;
    let batch = ask(&house, shop, seller, 2_300).await;
    assert_eq!(house.balance(seller).await, (10_000 - 6_900, 6_900));
    {
        let first = house.another("first").await;
        first.issue_chunk(&by_itself(house.boss), batch).await.unwrap();
    }
    assert_eq!((issued(&house, batch).await, house.balance(seller).await), (1_000, (3_100, 3_900)));
    let end = issue_all(&house.another("second").await, house.boss, batch).await;
    assert_eq!((end.issued, end.status()), (2_300, BatchStatus::Completed));
    assert_eq!((issued(&house, batch).await, house.balance(seller).await), (2_300, (3_100, 0)));
    let after = house.head().await;
    house.here.issue_chunk(&by_itself(house.boss), batch).await.expect("a batch that has ended stays as it is");
    assert_eq!(house.head().await, after);
    let reading = house.leave().await;
    assert_eq!(reading.balances[&LedgerAccount::Sales(shop.project)], 6_900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_managers_at_once_issue_each_chunk_once() {
    let house = House::new().await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 3_500).await;
    let batch = ask(&house, shop, seller, 3_500).await;
    let managers = [house.another("one").await, house.another("two").await];
    let tasks = managers.map(|manager| {
        let boss = house.boss;
        tokio::spawn(async move { issue_all(&manager, boss, batch).await })
    });
    for end in join_all(tasks).await {
        assert_eq!(end.unwrap().status(), BatchStatus::Completed);
    }
    assert_eq!((issued(&house, batch).await, house.balance(seller).await), (3_500, (0, 0)));
    house.leave().await;
}

#[tokio::test]
async fn a_disabled_project_stops_the_batch_and_gives_the_rest_of_the_hold_back() {
    let house = House::new().await;
    let shop = house.shop(2, 1).await;
    let seller = house.seller(shop, 5_000).await;
    let batch = ask(&house, shop, seller, 2_500).await;
    let manager = house.another("manager").await;
    manager.issue_chunk(&by_itself(house.boss), batch).await.unwrap();
    house.here.disable_project(&context(house.boss), shop.project).await.unwrap();
    let end = issue_all(&manager, house.boss, batch).await;
    assert_eq!((end.issued, end.stopped), (1_000, Some(StopReason::ProjectDisabled)));
    assert_eq!((issued(&house, batch).await, house.balance(seller).await), (1_000, (3_000, 0)));
    house.here.enable_project(&context(house.boss), shop.project).await.unwrap();
    assert_eq!(issue_all(&manager, house.boss, batch).await.issued, 1_000, "what was stopped stays stopped");
    house.leave().await;
}

#[tokio::test]
async fn a_free_batch_needs_no_quota_and_moves_none() {
    let house = House::new().await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 0).await;
    let batch = ask(&house, shop, seller, 1_001).await;
    let end = issue_all(&house.here, house.boss, batch).await;
    assert_eq!((end.issued, house.balance(seller).await), (1_001, (0, 0)));
    assert_eq!(house.count("select count(*) from events where aggregate_type = 'AgentQuota'").await, 0);
    house.leave().await;
}

#[tokio::test]
async fn a_batch_larger_than_the_quota_or_out_of_limits_is_refused_and_holds_nothing() {
    let house = House::new().await;
    let shop = house.shop(2, 1).await;
    let seller = house.seller(shop, 5).await;
    let head = house.head().await;
    for count in [0, 3, 1_000_001, u32::MAX] {
        let asked = house.here.request_batch(&context(seller), shop.project, shop.plan, count).await;
        assert!(matches!(asked, Err(CommandError::Refused(_))), "{count}: {asked:?}");
    }
    let stranger = house.agent(100).await;
    let asked = house.here.request_batch(&context(stranger), shop.project, shop.plan, 1).await;
    assert_eq!(refusal(asked), quotary_domain::project::ProjectError::NotGranted.into());
    assert_eq!((house.head().await - head, house.balance(seller).await), (2, (5, 0)), "only the stranger came");
    house.leave().await;
}

#[tokio::test]
async fn a_sale_of_the_past_with_a_price_that_does_not_divide_is_brought_in_once() {
    let house = House::new().await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 20).await;
    let terms = quotary_domain::license::LicenseTerms::usual(None, 1, vec![]);
    let request = quotary_domain::license_batch::BatchRequest {
        agent_id: seller.account_id,
        project_id: shop.project,
        plan_id: shop.plan,
        plan_version: 1,
        terms,
        count: 3,
        total_price: quota(10),
    };
    let batch = BatchId(quotary_commands::clock::new_id());
    let there = house.another("there").await;
    let first = house.here.issue_history(&by_itself(house.boss), batch, request.clone()).await.unwrap();
    let head = house.head().await;
    let again = there.issue_history(&by_itself(house.boss), batch, request.clone()).await.unwrap();
    assert_eq!((first.value.added, again.value.added, house.head().await), (true, false, head));
    let other = quotary_domain::license_batch::BatchRequest { count: 2, ..request };
    assert_eq!(
        refusal(there.issue_history(&by_itself(house.boss), batch, other).await),
        LicenseBatchError::Exists.into()
    );
    assert_eq!((issued(&house, batch).await, house.balance(seller).await), (3, (10, 0)));
    house.leave().await;
}

#[tokio::test]
async fn chunks_of_a_price_that_does_not_divide_settle_the_whole_hold() {
    // A total that does not divide comes with history; here its request is written without its payment in one step.
    use quotary_domain::agent_quota::{AgentQuota, AgentQuotaCommand, HoldPurpose};
    use quotary_domain::license_batch::{BatchRequest, LicenseBatchCommand};
    let house = House::new().await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 10_000).await;
    let batch_id = BatchId(quotary_commands::clock::new_id());
    let mut plan = quotary_commands::Plan::new();
    let batch = plan.open_new::<LicenseBatch>(batch_id);
    let purse = plan.open::<AgentQuota>(seller.account_id);
    let request = BatchRequest {
        agent_id: seller.account_id,
        project_id: shop.project,
        plan_id: shop.plan,
        plan_version: 1,
        terms: quotary_domain::license::LicenseTerms::usual(None, 1, vec![]),
        count: 2_700,
        total_price: quota(9_999),
    };
    let hold_id = quotary_domain::HoldId::of_batch(batch_id);
    let held = |unit: &mut quotary_commands::Unit| {
        unit.decide(batch, LicenseBatchCommand::Request(request.clone()))?;
        let (amount, purpose) = (quota(9_999), HoldPurpose::Batch(batch_id));
        unit.decide(
            purse,
            AgentQuotaCommand::Hold { hold_id, amount, purpose, at: quotary_commands::clock::now(), expires_at: None },
        )?;
        Ok::<_, Refusal>(())
    };
    house.here.log().execute(&by_itself(house.boss), &plan, held).await.unwrap();
    let end = issue_all(&house.here, house.boss, batch_id).await;
    assert_eq!((end.issued, house.balance(seller).await), (2_700, (1, 0)));
    let reading = house.leave().await;
    assert_eq!(reading.balances[&LedgerAccount::Sales(shop.project)], 9_999);
}
