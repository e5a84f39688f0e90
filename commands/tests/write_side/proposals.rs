//! What takes back more than one person may move alone: nothing moves until a second super admin confirms, and then once.

use chrono::TimeDelta;
use futures::future::join_all;
use quotary_commands::order::refund::RefundRequest;
use quotary_commands::proposal::confirm::ActDone;
use quotary_commands::proposal::propose::{ProposalAfter, Taken};
use quotary_commands::{CommandError, Context, Refusal, clock};
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::order::OrderStatus;
use quotary_domain::proposal::{ProposalError, ProposalStatus};
use quotary_domain::reversal::ReversalError;
use quotary_domain::risk::RiskRules;
use quotary_domain::{Actor, JournalId, Role};

use crate::house::{House, context, keyed, quota, refusal};
use crate::refunds::{ask, issue_all, part, payment, positions};

/// A house in which one person may move 500 alone, and its second super admin.
async fn careful() -> (House, Actor) {
    let house = House::new().await;
    let second = house.account(Role::SuperAdmin).await;
    (house, second)
}

async fn limit(house: &House, minutes: Option<u32>) {
    let rules =
        RiskRules { second_person_above: Some(quota(500)), review_within_minutes: minutes, ..RiskRules::default() };
    house.here.set_risk_rules(&context(house.boss), rules).await.unwrap();
}

async fn reverse(house: &House, by: &Context, journal: JournalId, amount: i64) -> ProposalAfter {
    let at = positions(house, journal).await;
    let taken = house.here.reverse_journal(by, journal, &at, Some(quota(amount)), "typed twice".into()).await;
    taken.unwrap().value.proposed().expect("it waits")
}

#[tokio::test]
async fn a_large_reversal_waits_and_a_second_super_admin_does_it() {
    let (house, second) = careful().await;
    let agent = house.agent(0).await;
    let boss = context(house.boss);
    let made = house.here.top_up(&boss, agent.account_id, quota(2_000), None).await.unwrap().value.id;
    limit(&house, None).await;
    let head = house.head().await;
    let waits = reverse(&house, &boss, made, 501).await;
    assert_eq!((waits.proposed.amount, waits.proposed.limit, waits.sequence), (quota(501), quota(500), 1));
    assert_eq!(house.head().await, head + 1, "nothing but the proposal is written");
    assert_eq!(house.balance(agent).await, (2_000, 0));
    let id = waits.proposal_id;
    let own = house.here.confirm_proposal(&boss, id).await;
    assert_eq!(refusal(own), ProposalError::SamePerson.into());
    for stranger in [agent, house.account(Role::AgentAdmin).await, house.account(Role::Auditor).await] {
        assert_eq!(refusal(house.here.confirm_proposal(&context(stranger), id).await), Refusal::Forbidden);
        assert_eq!(refusal(house.here.decline_proposal(&context(stranger), id, None).await), Refusal::Forbidden);
    }
    let done = house.here.confirm_proposal(&context(second), id).await.unwrap().value;
    let ActDone::JournalReversed(reversed) = done.done else { panic!("{:?}", done.done) };
    assert_eq!((reversed.made.amount, reversed.made.by), (quota(501), second.account_id));
    assert_eq!(done.after.status, ProposalStatus::Confirmed);
    assert_eq!(house.balance(agent).await, (1_499, 0));
    let again = house.here.confirm_proposal(&context(second), id).await;
    assert_eq!(refusal(again), ProposalError::NotOpen(ProposalStatus::Confirmed).into());
    let late = house.here.decline_proposal(&boss, id, None).await;
    assert_eq!(refusal(late), ProposalError::NotOpen(ProposalStatus::Confirmed).into());
    assert_eq!(house.balance(agent).await, (1_499, 0));
    house.leave().await;
}

#[tokio::test]
async fn what_one_person_may_move_and_what_is_refused_anyway_is_not_proposed() {
    let (house, _) = careful().await;
    let agent = house.agent(0).await;
    let boss = context(house.boss);
    let made = house.here.top_up(&boss, agent.account_id, quota(2_000), None).await.unwrap().value.id;
    limit(&house, None).await;
    let at = positions(&house, made).await;
    let reverse = async |amount| house.here.reverse_journal(&boss, made, &at, Some(quota(amount)), "no".into()).await;
    let too_much = reverse(2_001).await;
    assert_eq!(refusal(too_much), ReversalError::InvalidAmount(quota(2_000)).into());
    assert!(matches!(reverse(500).await.unwrap().value, Taken::Done(_)), "exactly the limit");
    assert!(matches!(refusal(reverse(501).await), Refusal::Reversal(ReversalError::AlreadyReversed(_))));
    assert_eq!(house.count("select count(*) from events where aggregate_type = 'Proposal'").await, 0);
    house.leave().await;
}

#[tokio::test]
async fn a_proposal_is_done_as_of_its_confirmation_and_stays_open_when_that_is_refused() {
    let (house, second) = careful().await;
    let (agent, other) = (house.agent(0).await, house.agent(0).await);
    let (boss, second) = (context(house.boss), context(second));
    let made = house.here.top_up(&boss, agent.account_id, quota(900), None).await.unwrap().value.id;
    limit(&house, None).await;
    let (first, same) = (reverse(&house, &boss, made, 900).await, reverse(&house, &boss, made, 600).await);
    house.here.transfer_to(&context(agent), other.account_id, quota(100), None).await.unwrap();
    let short = AgentQuotaError::Insufficient { requested: quota(900), available: quota(800) };
    let head = house.head().await;
    assert_eq!(refusal(house.here.confirm_proposal(&second, first.proposal_id).await), short.into());
    assert_eq!(house.head().await, head, "a refusal changes nothing");
    house.here.confirm_proposal(&second, same.proposal_id).await.unwrap();
    for _ in 0..2 {
        house.give(&house.here, agent, 500).await;
    }
    let twice = refusal(house.here.confirm_proposal(&second, first.proposal_id).await);
    assert!(matches!(twice, Refusal::Reversal(ReversalError::AlreadyReversed(_))), "{twice:?}");
    let declined = house.here.decline_proposal(&boss, first.proposal_id, Some("spent".into())).await.unwrap().value;
    assert_eq!(declined.status, ProposalStatus::Declined);
    assert_eq!(house.balance(agent).await, (1_200, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_proposal_whose_time_is_over_is_not_confirmed() {
    let (house, second) = careful().await;
    let agent = house.agent(0).await;
    let made = house.here.top_up(&context(house.boss), agent.account_id, quota(900), None).await.unwrap().value.id;
    limit(&house, Some(5)).await;
    let ago = Context { now: clock::now() - TimeDelta::hours(1), ..context(house.boss) };
    let waits = reverse(&house, &ago, made, 900).await;
    let late = house.here.confirm_proposal(&context(second), waits.proposal_id).await;
    assert_eq!(refusal(late), ProposalError::Overdue(waits.proposed.expires_at.unwrap()).into());
    assert_eq!(house.balance(agent).await, (900, 0));
    house.leave().await;
}

#[tokio::test]
async fn refunds_of_batches_and_orders_need_a_second_person_too() {
    let (house, second) = careful().await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 2_000).await;
    let (alone, ordered) = (ask(&house, shop, seller, 600).await, ask(&house, shop, seller, 700).await);
    issue_all(&house, alone).await;
    issue_all(&house, ordered).await;
    limit(&house, None).await;
    let (boss, second) = (context(house.boss), context(second));
    let order = house.here.record_payment(&boss, payment(seller, "B1", 900, Some(ordered))).await;
    let order = order.unwrap().value.order_id;

    let waits = house.here.refund_batch(&boss, alone).await.unwrap().value.proposed().expect("it waits");
    assert_eq!((waits.proposed.amount, house.balance(seller).await), (quota(600), (700, 0)));
    let done = house.here.confirm_proposal(&second, waits.proposal_id).await.unwrap().value;
    assert_eq!((done.done.refunded_batch(), house.balance(seller).await), (Some(alone), (1_300, 0)));
    let again = refusal(house.here.refund_batch(&second, alone).await);
    assert!(matches!(again, Refusal::LicenseBatch(_)), "{again:?}");

    // A part moves money alone; what completes the whole moves the batch's quota.
    let money = house.here.refund_order(&boss, order, part(300)).await.unwrap().value.done().expect("money alone");
    assert_eq!(money.after.order.status(), OrderStatus::PartlyRefunded);
    let rest = house.here.refund_order(&boss, order, RefundRequest::default()).await.unwrap().value;
    let waits = rest.proposed().expect("it waits");
    assert_eq!((waits.proposed.amount, house.balance(seller).await), (quota(700), (1_300, 0)));
    let done = house.here.confirm_proposal(&second, waits.proposal_id).await.unwrap().value;
    let ActDone::OrderRefunded(refunded) = &done.done else { panic!("{:?}", done.done) };
    assert_eq!(refunded.after.order.status(), OrderStatus::Refunded);
    assert_eq!((done.done.refunded_batch(), house.balance(seller).await), (Some(ordered), (2_000, 0)));
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_confirmations_at_once_one_moves_the_quota() {
    let (house, second) = careful().await;
    let third = house.account(Role::SuperAdmin).await;
    let there = house.another("there").await;
    let agent = house.agent(0).await;
    let boss = context(house.boss);
    let made = house.here.top_up(&boss, agent.account_id, quota(900), None).await.unwrap().value.id;
    house.give(&house.here, agent, 10_000).await;
    limit(&house, None).await;
    let waits = [reverse(&house, &boss, made, 900).await, reverse(&house, &boss, made, 900).await];
    let tasks = (0..12_usize).map(|n| {
        let by = if n % 2 == 0 { house.here.clone() } else { there.clone() };
        let (context, id) = (context(if n % 3 == 0 { second } else { third }), waits[n % 2].proposal_id);
        tokio::spawn(async move {
            loop {
                match by.confirm_proposal(&context, id).await {
                    Err(CommandError::Contention) => {}
                    Ok(_) => return 1,
                    Err(CommandError::Refused(Refusal::Proposal(_) | Refusal::Reversal(_))) => return 0,
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    let done: i32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    assert_eq!((done, house.balance(agent).await), (1, (10_000, 0)));
    house.leave().await;
}

#[tokio::test]
async fn a_repeat_with_its_key_gets_the_same_proposal() {
    let (house, second) = careful().await;
    let agent = house.agent(0).await;
    let made = house.here.top_up(&context(house.boss), agent.account_id, quota(900), None).await.unwrap().value.id;
    limit(&house, None).await;
    let keyed = keyed(house.boss, "k", "reverse");
    let (first, again) = (reverse(&house, &keyed, made, 900).await, reverse(&house, &keyed, made, 900).await);
    assert_eq!(first, again);
    house.here.confirm_proposal(&context(second), first.proposal_id).await.unwrap();
    assert_eq!(reverse(&house, &keyed, made, 900).await, first, "the answer stays, whatever has changed since");
    assert_eq!(house.balance(agent).await, (0, 0));
    house.leave().await;
}
