//! What a rule suspends: the amount is held, one decision ends it, and it moves or returns exactly once.

use chrono::TimeDelta;
use quotary_commands::quota::expire_hold::Expiring;
use quotary_commands::{Context, Refusal, clock};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaError, HoldPurpose};
use quotary_domain::ledger::LedgerAccount;
use quotary_domain::risk::{MovementRules, RiskPolicyError, RiskReason, RiskRules, Window};
use quotary_domain::transfer::{TransferError, TransferStatus};
use quotary_domain::withdrawal::{WithdrawalError, WithdrawalStatus};
use quotary_domain::{Actor, HoldId, JournalId, Role};

use crate::glances::above;
use crate::house::{House, by_itself, context, keyed, quota, refusal};

/// A house with rules, an agent admin, and a giver with 100 below it.
async fn under(rules: RiskRules) -> (House, Actor, Actor, Actor) {
    let house = House::new().await;
    let admin = house.account(Role::AgentAdmin).await;
    let giver = house.account_below(Role::Agent, vec![house.boss.account_id, admin.account_id]).await;
    let receiver = house.agent(0).await;
    house.give(&house.here, giver, 100).await;
    house.here.set_risk_rules(&context(house.boss), rules).await.unwrap();
    (house, admin, giver, receiver)
}

async fn suspended(house: &House, giver: Actor, receiver: Actor, amount: i64) -> JournalId {
    let asked = house.here.transfer_to(&context(giver), receiver.account_id, quota(amount), None).await.unwrap();
    assert!(asked.value.suspension.is_some());
    asked.value.id
}

#[tokio::test]
async fn a_part_is_let_go_and_the_rest_returns_in_the_same_step() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let id = suspended(&house, giver, receiver, 50).await;
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((50, 50), (0, 0)));
    let done = house.here.release_transfer(&context(admin), id, Some(quota(30))).await.unwrap();
    assert_eq!(done.value.status, TransferStatus::Completed(quota(30)));
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((70, 0), (30, 0)));
    let events = house.count("select count(*) from events").await;
    let again = house.here.release_transfer(&context(admin), id, None).await;
    assert_eq!(refusal(again), TransferError::NotSuspended(TransferStatus::Completed(quota(30))).into());
    let refused = house.here.refuse_transfer(&context(house.boss), id, None).await;
    assert_eq!(refusal(refused), TransferError::NotSuspended(TransferStatus::Completed(quota(30))).into());
    assert_eq!(house.count("select count(*) from events").await, events, "refusals change nothing");
    house.leave().await;
}

#[tokio::test]
async fn a_refused_transfer_returns_all() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let id = suspended(&house, giver, receiver, 50).await;
    house.here.refuse_transfer(&context(admin), id, Some("no".to_owned())).await.unwrap();
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((100, 0), (0, 0)));
    house.leave().await;
}

#[tokio::test]
async fn only_an_admin_above_the_giver_who_is_no_party_decides() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let stranger = house.account(Role::AgentAdmin).await;
    let to_admin = suspended(&house, giver, admin, 50).await;
    let party = house.here.release_transfer(&context(admin), to_admin, None).await;
    assert_eq!(refusal(party), TransferError::Party.into());
    let unseen = house.here.release_transfer(&context(stranger), to_admin, None).await;
    assert_eq!(refusal(unseen), Refusal::NotFound("transfer"));
    let own = house.here.release_transfer(&context(giver), to_admin, None).await;
    assert_eq!(refusal(own), TransferError::Party.into());
    // One who manages the receiver only sees it.
    let below = house.account_below(Role::Agent, vec![house.boss.account_id, stranger.account_id]).await;
    let to_below = suspended(&house, giver, below, 41).await;
    let seen = house.here.release_transfer(&context(stranger), to_below, None).await;
    assert_eq!(refusal(seen), Refusal::Forbidden);
    let unknown = house.here.release_transfer(&context(admin), JournalId(receiver.account_id.0), None).await;
    assert_eq!(refusal(unknown), Refusal::NotFound("transfer"));
    house.here.release_transfer(&context(house.boss), to_admin, None).await.unwrap();
    assert_eq!((house.balance(giver).await, house.balance(admin).await), ((9, 41), (50, 0)));
    house.leave().await;
}

#[tokio::test]
async fn what_a_disabled_account_asked_for_before_is_not_let_go() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let id = suspended(&house, giver, receiver, 50).await;
    let boss = context(house.boss);
    for disabled in [giver, receiver] {
        house.here.disable_account(&boss, disabled.account_id).await.unwrap();
        let released = house.here.release_transfer(&context(admin), id, None).await;
        assert_eq!(refusal(released), Refusal::AccountDisabled);
        house.here.enable_account(&boss, disabled.account_id).await.unwrap();
    }
    house.here.disable_account(&boss, giver.account_id).await.unwrap();
    house.here.refuse_transfer(&context(admin), id, None).await.expect("it can be refused all the same");
    assert_eq!(house.balance(giver).await, (100, 0));
    house.leave().await;
}

#[tokio::test]
async fn of_many_who_decide_at_once_one_wins_and_the_others_are_told_so() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let there = house.another("there").await;
    for round in 0..5_usize {
        let id = suspended(&house, giver, receiver, 50).await;
        let deciders = (0..8_usize).map(|n| {
            let by = if n % 2 == 0 { house.here.clone() } else { there.clone() };
            let actor = context(if n % 3 == 0 { house.boss } else { admin });
            async move {
                if (n + round) % 2 == 0 {
                    by.release_transfer(&actor, id, Some(quota(1))).await.map(|_| ())
                } else {
                    by.refuse_transfer(&actor, id, None).await.map(|_| ())
                }
            }
        });
        let outcomes = futures::future::join_all(deciders).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        for lost in outcomes.into_iter().filter(Result::is_err) {
            let Err(quotary_commands::CommandError::Refused(lost)) = lost else { panic!("{lost:?}") };
            assert!(matches!(lost, Refusal::Transfer(TransferError::NotSuspended(_))), "{lost:?}");
        }
    }
    assert_eq!(house.balance(giver).await.1, 0, "nothing stays held");
    assert_eq!(house.balance(giver).await.0 + house.balance(receiver).await.0, 100);
    house.leave().await;
}

#[tokio::test]
async fn a_repeat_of_a_decision_with_its_key_gets_the_same_answer() {
    let (house, admin, giver, receiver) = under(above(40)).await;
    let id = suspended(&house, giver, receiver, 50).await;
    let once = house.here.release_transfer(&keyed(admin, "k", "release"), id, None).await.unwrap();
    let again = house.here.release_transfer(&keyed(admin, "k", "release"), id, None).await.unwrap();
    assert_eq!((again.value, again.position, again.replayed), (once.value, once.position, true));
    assert_eq!(house.balance(receiver).await, (50, 0));
    house.leave().await;
}

#[tokio::test]
async fn a_window_counts_what_waits_and_forgets_what_came_back() {
    let window = Window { minutes: 60, sum_above: Some(quota(60)), count_above: None };
    let transfers = MovementRules { window: Some(window), ..MovementRules::default() };
    let (house, admin, giver, receiver) = under(RiskRules { transfers, ..RiskRules::default() }).await;
    let send = async |amount| {
        house.here.transfer_to(&context(giver), receiver.account_id, quota(amount), None).await.unwrap().value
    };
    assert_eq!(send(60).await.suspension, None);
    let held = send(10).await;
    let reasons = held.suspension.unwrap().reasons;
    assert_eq!(reasons, [RiskReason::SumAbove { limit: quota(60), sum: quota(70), minutes: 60 }]);
    house.here.refuse_transfer(&context(admin), held.id, None).await.unwrap();
    let held = send(1).await.suspension.unwrap().reasons;
    assert_eq!(held, [RiskReason::SumAbove { limit: quota(60), sum: quota(61), minutes: 60 }]);
    house.leave().await;
}

#[tokio::test]
async fn a_large_top_up_by_the_tenant_needs_a_second_super_admin() {
    let rules = RiskRules { second_person_above: Some(quota(500)), ..RiskRules::default() };
    let (house, admin, giver, _) = under(rules).await;
    let second = house.account(Role::SuperAdmin).await;
    let boss = context(house.boss);
    assert_eq!(house.here.top_up(&boss, giver.account_id, quota(500), None).await.unwrap().value.suspension, None);
    let asked = house.here.top_up(&boss, giver.account_id, quota(501), None).await.unwrap().value;
    assert_eq!(asked.suspension.unwrap().reasons, [RiskReason::SecondPerson { limit: quota(500) }]);
    assert_eq!(house.balance(giver).await, (600, 0), "nothing is created, nothing held");
    assert_eq!(refusal(house.here.release_transfer(&boss, asked.id, None).await), TransferError::Party.into());
    let manager = house.here.release_transfer(&context(admin), asked.id, None).await;
    assert_eq!(refusal(manager), Refusal::Forbidden);
    house.here.release_transfer(&context(second), asked.id, Some(quota(1))).await.unwrap();
    assert_eq!(house.balance(giver).await, (601, 0));
    let reading = house.leave().await;
    assert_eq!(reading.balances[&LedgerAccount::Issuance], -601);
}

#[tokio::test]
async fn a_top_up_that_an_admin_pays_follows_the_rules_of_transfers() {
    let (house, admin, giver, _) = under(above(40)).await;
    house.give(&house.here, admin, 100).await;
    let asked = house.here.top_up(&context(admin), giver.account_id, quota(41), None).await.unwrap().value;
    assert!(asked.suspension.is_some());
    assert_eq!(house.balance(admin).await, (59, 41));
    assert_eq!(
        refusal(house.here.release_transfer(&context(admin), asked.id, None).await),
        TransferError::Party.into()
    );
    house.here.release_transfer(&context(house.boss), asked.id, None).await.unwrap();
    assert_eq!((house.balance(admin).await, house.balance(giver).await), ((59, 0), (141, 0)));
    house.leave().await;
}

#[tokio::test]
async fn less_than_the_minimum_and_more_than_a_days_maximum_are_refused() {
    let rules = RiskRules {
        min_transfer: Some(quota(5)),
        min_withdrawal: Some(quota(10)),
        max_withdrawn_per_day: Some(quota(50)),
        ..RiskRules::default()
    };
    let (house, _, giver, receiver) = under(rules).await;
    let of_giver = context(giver);
    let small = house.here.transfer_to(&of_giver, receiver.account_id, quota(4), None).await;
    assert_eq!(refusal(small), RiskPolicyError::BelowMinimum { minimum: quota(5) }.into());
    let ask = async |amount| house.here.request_withdrawal(&of_giver, quota(amount), "{}".to_owned().into()).await;
    assert_eq!(refusal(ask(9).await), RiskPolicyError::BelowMinimum { minimum: quota(10) }.into());
    let first = ask(30).await.unwrap().value;
    let above = RiskPolicyError::AboveMaximum { maximum: quota(50), asked: quota(30) };
    assert_eq!(refusal(ask(21).await), above.into());
    house.here.cancel_withdrawal(&of_giver, first.withdrawal_id).await.unwrap();
    ask(50).await.expect("what was taken back does not count");
    assert_eq!(house.balance(giver).await, (50, 50));
    house.leave().await;
}

#[tokio::test]
async fn a_suspended_withdrawal_needs_two_people_and_pays_what_was_let_go() {
    let withdrawals = MovementRules { amount_above: Some(quota(40)), ..MovementRules::default() };
    let rules = RiskRules { withdrawals, review_within_minutes: Some(60), ..RiskRules::default() };
    let (house, admin, giver, _) = under(rules).await;
    let (of_giver, of_admin, boss) = (context(giver), context(admin), context(house.boss));
    let asked = house.here.request_withdrawal(&of_giver, quota(50), "{}".to_owned().into()).await.unwrap().value;
    let id = asked.withdrawal_id;
    assert_eq!(asked.withdrawal.status, WithdrawalStatus::Suspended);
    let early = house.here.approve_withdrawal(&boss, id).await;
    assert_eq!(refusal(early), WithdrawalError::WrongStatus(WithdrawalStatus::Suspended).into());
    let own = house.here.release_withdrawal(&of_giver, id, None).await;
    assert_eq!(refusal(own), WithdrawalError::OwnRequest.into());
    let released = house.here.release_withdrawal(&of_admin, id, Some(quota(30))).await.unwrap().value;
    assert_eq!((released.withdrawal.status, released.withdrawal.amount), (WithdrawalStatus::Requested, quota(30)));
    assert_eq!(house.balance(giver).await, (70, 30));
    let state = house.stored::<AgentQuota>(giver.account_id).await;
    let hold = state.holds[&HoldId::of_withdrawal(id)];
    assert_eq!((hold.left, hold.expires_at), (quota(30), None), "what was let go on has no end of its own");
    let alone = house.here.approve_withdrawal(&of_admin, id).await;
    assert_eq!(refusal(alone), WithdrawalError::SamePerson.into());
    house.here.approve_withdrawal(&boss, id).await.unwrap();
    house.here.mark_withdrawal_paid(&of_admin, id, None).await.unwrap();
    assert_eq!(house.balance(giver).await, (70, 0));
    let reading = house.leave().await;
    assert_eq!(reading.balances[&LedgerAccount::PaidOut], 30);
}

#[tokio::test]
async fn only_the_requester_cancels_and_only_before_the_decision() {
    let (house, admin, giver, receiver) = under(RiskRules::default()).await;
    let ask = async || {
        let asked = house.here.request_withdrawal(&context(giver), quota(40), "{}".to_owned().into()).await;
        asked.unwrap().value.withdrawal_id
    };
    let id = ask().await;
    assert_eq!(refusal(house.here.cancel_withdrawal(&context(admin), id).await), WithdrawalError::NotOwn.into());
    let unseen = house.here.cancel_withdrawal(&context(receiver), id).await;
    assert_eq!(refusal(unseen), Refusal::NotFound("withdrawal"));
    house.here.cancel_withdrawal(&context(giver), id).await.unwrap();
    house.here.cancel_withdrawal(&context(giver), id).await.expect("it is cancelled already");
    assert_eq!(house.balance(giver).await, (100, 0));
    let id = ask().await;
    house.here.approve_withdrawal(&context(admin), id).await.unwrap();
    let late = house.here.cancel_withdrawal(&context(giver), id).await;
    assert_eq!(refusal(late), WithdrawalError::WrongStatus(WithdrawalStatus::Approved).into());
    assert_eq!(house.balance(giver).await, (60, 0));
    house.leave().await;
}

#[tokio::test]
async fn what_expires_ends_once_whoever_and_how_many_ask() {
    let rules = RiskRules {
        withdrawals: MovementRules { amount_above: Some(quota(10)), ..MovementRules::default() },
        second_person_above: Some(quota(10)),
        review_within_minutes: Some(5),
        ..above(10)
    };
    let (house, admin, giver, receiver) = under(rules).await;
    let there = house.another("there").await;
    let transfer = suspended(&house, giver, receiver, 20).await;
    let asked = house.here.request_withdrawal(&context(giver), quota(30), "{}".to_owned().into()).await.unwrap();
    let withdrawal = asked.value.withdrawal_id;
    let top_up = house.here.top_up(&context(house.boss), giver.account_id, quota(11), None).await.unwrap().value.id;
    let agent_id = giver.account_id;
    let due = [
        Expiring::Transfer(top_up),
        Expiring::Hold { agent_id, hold_id: HoldId::of_transfer(transfer), purpose: HoldPurpose::Transfer(transfer) },
        Expiring::Hold {
            agent_id,
            hold_id: HoldId::of_withdrawal(withdrawal),
            purpose: HoldPurpose::Withdrawal(withdrawal),
        },
    ];
    let now = by_itself(house.boss);
    for what in due {
        let early = refusal(house.here.expire(&now, what).await);
        let expected = match what {
            Expiring::Hold { purpose: HoldPurpose::Withdrawal(_), .. } => WithdrawalError::NotExpired.into(),
            _ => Refusal::from(TransferError::NotExpired),
        };
        assert_eq!(early, expected);
    }
    assert_eq!(house.balance(giver).await, (50, 50));
    let later = Context { now: now.now + TimeDelta::minutes(5), ..now };
    let all = due.iter().flat_map(|what| (0..6).map(move |n| (n, *what)));
    let outcomes = all.map(|(n, what)| {
        let (by, later) = (if n % 2 == 0 { &house.here } else { &there }, &later);
        async move { by.expire(later, what).await }
    });
    for outcome in futures::future::join_all(outcomes).await {
        outcome.expect("whoever comes second changes nothing");
    }
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((100, 0), (0, 0)));
    for (kind, times) in [("TransferExpired", 2), ("WithdrawalExpired", 1), ("HoldExpired", 2)] {
        let sql = format!("select count(*) from events where event_type = '{kind}'");
        assert_eq!(house.count(&sql).await, times, "{kind}");
    }
    let decided = house.here.release_transfer(&context(admin), transfer, None).await;
    assert_eq!(refusal(decided), TransferError::NotSuspended(TransferStatus::Expired).into());
    house.leave().await;
}

#[tokio::test]
async fn what_is_overdue_is_not_released_whatever_the_clock_of_the_process_says() {
    let rules = RiskRules {
        withdrawals: MovementRules { amount_above: Some(quota(10)), ..MovementRules::default() },
        review_within_minutes: Some(5),
        ..above(10)
    };
    let (house, admin, giver, receiver) = under(rules).await;
    // Asked for an hour ago; the worker that ends it has not come by yet.
    let ago = |actor| Context { now: clock::now() - TimeDelta::hours(1), ..context(actor) };
    let sent = house.here.transfer_to(&ago(giver), receiver.account_id, quota(20), None).await.unwrap().value;
    let asked = house.here.request_withdrawal(&ago(giver), quota(30), "{}".to_owned().into()).await.unwrap().value;
    let (transfer, withdrawal) = (sent.id, asked.withdrawal_id);
    let ended = sent.suspension.unwrap().expires_at.unwrap();
    let events = house.count("select count(*) from events").await;
    for by in [context(admin), ago(admin)] {
        let late = house.here.release_transfer(&by, transfer, None).await;
        assert_eq!(refusal(late), TransferError::Overdue(ended).into());
        let late = house.here.release_withdrawal(&by, withdrawal, Some(quota(1))).await;
        let ended = asked.withdrawal.request.as_ref().unwrap().expires_at.unwrap();
        assert_eq!(refusal(late), WithdrawalError::Overdue(ended).into());
    }
    assert_eq!(house.count("select count(*) from events").await, events, "refusals change nothing");
    house.here.refuse_transfer(&context(admin), transfer, None).await.expect("it returns either way");
    house.here.cancel_withdrawal(&context(giver), withdrawal).await.expect("it returns either way");
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((100, 0), (0, 0)));
    house.leave().await;
}

#[tokio::test]
async fn what_was_let_go_in_time_does_not_expire_later() {
    let rules = RiskRules {
        withdrawals: MovementRules { amount_above: Some(quota(10)), ..MovementRules::default() },
        review_within_minutes: Some(5),
        ..above(10)
    };
    let (house, admin, giver, receiver) = under(rules).await;
    let transfer = suspended(&house, giver, receiver, 20).await;
    let asked = house.here.request_withdrawal(&context(giver), quota(30), "{}".to_owned().into()).await.unwrap();
    let withdrawal = asked.value.withdrawal_id;
    house.here.release_transfer(&context(admin), transfer, None).await.unwrap();
    house.here.release_withdrawal(&context(admin), withdrawal, None).await.unwrap();
    let now = by_itself(house.boss);
    let later = Context { now: now.now + TimeDelta::days(1), ..now };
    let agent_id = giver.account_id;
    for (hold_id, purpose) in [
        (HoldId::of_transfer(transfer), HoldPurpose::Transfer(transfer)),
        (HoldId::of_withdrawal(withdrawal), HoldPurpose::Withdrawal(withdrawal)),
    ] {
        house.here.expire(&later, Expiring::Hold { agent_id, hold_id, purpose }).await.unwrap();
    }
    assert_eq!((house.balance(giver).await, house.balance(receiver).await), ((50, 30), (20, 0)));
    house.here.refuse_withdrawal(&context(admin), withdrawal, None).await.unwrap();
    assert_eq!(house.balance(giver).await, (80, 0));
    house.leave().await;
}

#[tokio::test]
async fn more_than_is_available_is_refused_and_not_suspended() {
    let (house, _, giver, receiver) = under(above(40)).await;
    let asked = house.here.transfer_to(&context(giver), receiver.account_id, quota(101), None).await;
    let insufficient = AgentQuotaError::Insufficient { requested: quota(101), available: quota(100) };
    assert_eq!(refusal(asked), insufficient.into());
    house.leave().await;
}
