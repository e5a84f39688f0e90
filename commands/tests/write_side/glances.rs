//! What a command only reads is checked like what it changes, and nobody waits for another reader.

use futures::poll;
use quotary_commands::{Context, Plan, Refusal, Unit};
use quotary_domain::risk::{MovementRules, RiskPolicy, RiskPolicyCommand, RiskReason, RiskRules};

use crate::house::{House, context, quota, refusal};

/// Rules by which more than `limit` at once is suspended.
pub fn above(limit: i64) -> RiskRules {
    let transfers = MovementRules { amount_above: Some(quota(limit)), ..MovementRules::default() };
    RiskRules { transfers, ..RiskRules::default() }
}

#[tokio::test]
async fn rules_set_by_another_process_count_at_once() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(100).await, house.agent(0).await);
    let moved = house.here.transfer_to(&context(a), b.account_id, quota(20), None).await.unwrap().value;
    assert_eq!(moved.suspension, None);
    there.set_risk_rules(&context(house.boss), above(10)).await.unwrap();
    let held = house.here.transfer_to(&context(a), b.account_id, quota(20), None).await.unwrap().value;
    let reasons = held.suspension.expect("the rule holds").reasons;
    assert_eq!(reasons, [RiskReason::AmountAbove { limit: quota(10) }]);
    assert_eq!((house.balance(a).await, house.balance(b).await), ((60, 20), (20, 0)));
    house.leave().await;
}

#[tokio::test]
async fn a_transfer_rests_on_rules_that_are_not_durable_yet_and_falls_with_them() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (a, b) = (house.agent(100).await, house.agent(0).await);
    let boss = context(house.boss);
    house.here.set_risk_rules(&boss, above(1_000)).await.unwrap();
    house.here.transfer_to(&context(a), b.account_id, quota(1), None).await.unwrap();
    // The cache of `here` is behind: what it decides on the rules next will be refused by the database.
    there.set_risk_rules(&boss, above(50)).await.unwrap();

    let head = house.hold_head().await;
    let of_a = context(a);
    let mut busy = Box::pin(house.here.top_up(&boss, b.account_id, quota(1), None));
    assert!(poll!(&mut busy).is_pending());
    // On its own old state `here` makes the rules stricter, and a transfer looks at that tentative state.
    let mut strict = Box::pin(house.here.set_risk_rules(&boss, above(5)));
    assert!(poll!(&mut strict).is_pending());
    let mut transfer = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(20), None));
    assert!(poll!(&mut transfer).is_pending());
    drop(head);
    let (busy, strict, transfer) = tokio::join!(busy, strict, transfer);
    busy.unwrap();
    assert_eq!(strict.unwrap().value.sequence, 3, "decided again, after those of the other process");
    // Whichever rules the retries met, what the transfer was told is what stands before it in the log.
    let suspended = transfer.unwrap().value.suspension;
    let rules_before: i64 = house
        .count(
            "select coalesce(max((payload->'RiskRulesSet'->'rules'->'transfers'->>'amount_above')::bigint), 0) \
             from events where aggregate_type = 'RiskPolicy' and sequence = \
                 (select max(sequence) from events r where r.aggregate_type = 'RiskPolicy' and r.position < \
                     (select max(position) from events where aggregate_type in ('Transfer', 'AgentQuota') \
                      and event_type in ('TransferSuspended', 'QuotaSent')))",
        )
        .await;
    let expected = (rules_before < 20).then(|| vec![RiskReason::AmountAbove { limit: quota(rules_before) }]);
    assert_eq!(suspended.map(|suspension| suspension.reasons), expected);
    house.leave().await;
}

#[tokio::test]
async fn a_reader_that_was_overtaken_in_the_queue_decides_again_and_voids_nothing() {
    let house = House::new().await;
    let (a, b) = (house.agent(100).await, house.agent(0).await);
    let (boss, of_a) = (context(house.boss), context(a));
    house.here.transfer_to(&of_a, b.account_id, quota(1), None).await.unwrap();

    let head = house.hold_head().await;
    let mut busy = Box::pin(house.here.top_up(&boss, b.account_id, quota(1), None));
    assert!(poll!(&mut busy).is_pending());
    house.appends_wait(1).await;
    // A reader looks at the rules, and before it is in the queue they change: its plan's other aggregate is locked by us.
    let mut plan = Plan::new();
    let policy = plan.read::<RiskPolicy>(house.boss.tenant_id);
    let mut attempts = 0;
    let (here, boss_too) = (house.here.clone(), boss.clone());
    let system = Context::system(house.boss.tenant_id, "test", boss.now);
    let reading = house.here.log().execute(&system, &plan, |unit: &mut Unit| {
        attempts += 1;
        if attempts == 1 {
            let mut change = Box::pin(here.set_risk_rules(&boss_too, above(5)));
            let waker = futures::task::noop_waker();
            let polled = change.as_mut().poll(&mut std::task::Context::from_waker(&waker));
            assert!(polled.is_pending(), "no lock of the reader's is in its way: it is in the queue now");
        }
        Ok::<_, Refusal>(unit.see(policy).rules.clone())
    });
    let mut reading = Box::pin(reading);
    assert!(poll!(&mut reading).is_pending());
    // Decided on the tentative rules; the overtaken reader must not void them.
    let mut transfer = Box::pin(house.here.transfer_to(&of_a, b.account_id, quota(20), None));
    assert!(poll!(&mut transfer).is_pending());
    drop(head);
    let (busy, seen, transfer) = tokio::join!(busy, reading, transfer);
    busy.unwrap();
    assert_eq!(seen.unwrap().value, above(5), "the answer is the latest state");
    assert!(transfer.unwrap().value.suspension.is_some());
    assert_eq!(attempts, 2, "one look was too old, the next was right");
    house.leave().await;
}

#[tokio::test]
async fn an_aggregate_that_a_plan_reads_and_opens_is_locked_and_seen_as_changed() {
    let house = House::new().await;
    let mut plan = Plan::new();
    let seen = plan.read::<RiskPolicy>(house.boss.tenant_id);
    let policy = plan.open::<RiskPolicy>(house.boss.tenant_id);
    let by = house.boss.account_id;
    let set = |unit: &mut Unit| {
        unit.decide(policy, RiskPolicyCommand::Set { rules: above(7), by })?;
        Ok::<_, Refusal>(unit.see(seen).rules.clone())
    };
    let system = Context::system(house.boss.tenant_id, "test", context(house.boss).now);
    assert_eq!(house.here.log().execute(&system, &plan, set).await.unwrap().value, above(7));
    house.leave().await;
}

#[tokio::test]
async fn rules_are_the_super_admins_alone() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    assert_eq!(refusal(house.here.set_risk_rules(&context(agent), above(1)).await), Refusal::Forbidden);
    assert_eq!(house.count("select count(*) from events where aggregate_type = 'RiskPolicy'").await, 0);
    house.leave().await;
}
