//! Orders, refunds and commissions: what was paid comes back once and in full, what was earned as far as it is there, and
//! licences end with their batch.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use quotary_commands::order::refund::RefundRequest;
use quotary_commands::{CommandError, Commands, Refusal};
use quotary_domain::account::{AccountError, BasisPoints};
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::ledger::LedgerAccount;
use quotary_domain::license::{License, LicenseStatus, Machine, UsedBy};
use quotary_domain::license_batch::{BatchStatus, LicenseBatch, LicenseBatchError, StopReason};
use quotary_domain::order::{Money, OrderError, OrderStatus, Payment};
use quotary_domain::{AccountId, Actor, BatchId, LicenseId, Role};

use crate::dice::Dice;
use crate::house::{House, Shop, by_itself, context, quota, refusal};

pub async fn ask(house: &House, shop: Shop, seller: Actor, count: u32) -> BatchId {
    house.here.request_batch(&context(seller), shop.project, shop.plan, count).await.unwrap().value.batch_id
}

async fn issue(house: &House, batch: BatchId) -> LicenseBatch {
    house.here.issue_chunk(&by_itself(house.boss), batch).await.unwrap().value.batch
}

pub async fn issue_all(house: &House, batch: BatchId) {
    while issue(house, batch).await.status() == BatchStatus::Issuing {}
}

/// The licences of a batch in the order of issue, as the read model numbers them.
async fn licences(house: &House, batch: BatchId) -> Vec<LicenseId> {
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select aggregate_id::uuid from events where event_type = 'LicenseIssued' \
         and payload->'LicenseIssued'->>'batch_id' = $1 order by position",
    )
    .bind(batch.to_string())
    .fetch_all(&house.owner)
    .await
    .unwrap();
    ids.into_iter().map(LicenseId).collect()
}

async fn disable_next(by: &Commands, house: &House, batch: BatchId) -> Option<()> {
    let next = house.stored::<LicenseBatch>(batch).await.next_disabling()?;
    let all = licences(house, batch).await;
    let ids = &all[next.first as usize..(next.first + next.count) as usize];
    by.disable_chunk(&by_itself(house.boss), batch, next, ids).await.unwrap();
    Some(())
}

fn paid_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

pub fn payment(agent: Actor, number: &str, amount: i64, batch_id: Option<BatchId>) -> Payment {
    Payment {
        provider: "alipay".into(),
        provider_order_id: number.into(),
        amount: Money(quota(amount)),
        currency: "CNY".into(),
        paid_at: paid_at(),
        agent_id: agent.account_id,
        batch_id,
    }
}

pub fn part(amount: i64) -> RefundRequest {
    RefundRequest { amount: Some(quota(amount)), ..RefundRequest::default() }
}

/// A boss, a manager below it, a seller below the manager.
async fn line(house: &House, shop: Shop, available: i64) -> (Actor, Actor) {
    let manager = house.account(Role::AgentAdmin).await;
    let seller = house.account_below(Role::Agent, vec![house.boss.account_id, manager.account_id]).await;
    house.give(&house.here, seller, available).await;
    house.here.grant_project(&context(house.boss), shop.project, seller.account_id, None).await.unwrap();
    (manager, seller)
}

async fn rates(house: &House, of: AccountId, rates: &[u16]) {
    let rates = rates.iter().map(|rate| BasisPoints(*rate)).collect();
    house.here.set_commission_rates(&context(house.boss), of, rates).await.unwrap();
}

#[tokio::test]
async fn a_sale_credits_the_ancestors_in_the_same_journal_and_a_refund_takes_back_what_they_have() {
    let house = House::new().await;
    let shop = house.shop(3, 1).await;
    let (manager, seller) = line(&house, shop, 10_000).await;
    rates(&house, manager.account_id, &[1_000]).await;
    rates(&house, house.boss.account_id, &[0, 500]).await;
    let batch = ask(&house, shop, seller, 1_100).await;
    issue_all(&house, batch).await;
    // 3,300 were paid: 10 % to the manager, 5 % to the boss, over both chunks.
    assert_eq!((house.balance(manager).await, house.balance(house.boss).await), ((330, 0), (165, 0)));
    let journals = "select count(*) from events c join events s on s.event_type = 'HoldSettled' \
        and s.payload->'HoldSettled'->>'journal_id' = c.payload->'CommissionEarned'->>'journal_id' \
        where c.event_type = 'CommissionEarned'";
    assert_eq!(house.count(journals).await, 4, "each commission has the journal of its payment");
    // The manager has spent most of it meanwhile.
    house.here.transfer_to(&context(manager), seller.account_id, quota(300), None).await.unwrap();
    let refunded = house.here.refund_batch(&context(house.boss), batch).await.unwrap().value.done().unwrap();
    let done = refunded.refund;
    assert_eq!((done.amount, done.commissions_returned), (quota(3_300), quota(195)));
    assert_eq!((done.commissions_missing, done.released), (quota(300), quota(0)));
    assert_eq!(house.balance(seller).await, (10_300, 0), "the seller gets the whole");
    assert_eq!((house.balance(manager).await, house.balance(house.boss).await), ((0, 0), (0, 0)));
    let again = refusal(house.here.refund_batch(&context(house.boss), batch).await);
    assert!(matches!(again, Refusal::LicenseBatch(LicenseBatchError::AlreadyRefunded(_))), "{again:?}");
    let reading = house.leave().await;
    assert_eq!(reading.balances[&LedgerAccount::Sales(shop.project)], -300, "what is missing stays with sales");
}

#[tokio::test]
async fn commissions_follow_an_independent_model_over_random_trees_rates_and_chunks() {
    let house = House::new().await;
    let mut dice = Dice::new(20_261_124);
    for round in 0..6_i64 {
        let shop = house.shop(1 + i64::try_from(dice.below(9)).unwrap(), 1).await;
        let mut above = vec![house.boss.account_id];
        let mut earners: Vec<(Actor, Vec<u16>, bool)> = vec![(house.boss, vec![], false)];
        for _ in 0..dice.below(4) {
            let admin = house.account_below(Role::AgentAdmin, above.clone()).await;
            above.push(admin.account_id);
            earners.push((admin, vec![], false));
        }
        for (earner, its, disabled) in &mut earners {
            *its = (0..dice.below(5)).map(|_| u16::try_from(dice.below(2_001)).unwrap()).collect();
            rates(&house, earner.account_id, its).await;
            *disabled = earner.role == Role::AgentAdmin && dice.below(4) == 0;
            if *disabled {
                house.here.disable_account(&context(house.boss), earner.account_id).await.unwrap();
            }
        }
        let seller = house.account_below(Role::Agent, above.clone()).await;
        house.give(&house.here, seller, 100_000).await;
        house.here.grant_project(&context(house.boss), shop.project, seller.account_id, None).await.unwrap();
        let mut before = Vec::new();
        for (earner, ..) in &earners {
            before.push(house.balance(*earner).await.0);
        }
        let batch = ask(&house, shop, seller, 1_000 + u32::try_from(dice.below(1_500)).unwrap()).await;
        issue_all(&house, batch).await;
        let paid = house.stored::<LicenseBatch>(batch).await.paid.minor_units();
        let mut sum = 0;
        for (level, (place, (earner, its, disabled))) in (1..).zip(earners.iter().enumerate().rev()) {
            let rate = its.get(level - 1).copied().filter(|_| !disabled).unwrap_or(0);
            let expected = paid * i64::from(rate) / 10_000;
            let earned = house.balance(*earner).await.0 - before[place];
            assert_eq!(earned, expected, "round {round}, level {level} of {paid} at {rate}");
            sum += earned;
        }
        assert!(sum <= paid, "never more than the price");
        house.here.refund_batch(&context(house.boss), batch).await.unwrap();
        for (place, (earner, ..)) in earners.iter().enumerate() {
            assert_eq!(house.balance(*earner).await.0, before[place], "all of it comes back");
        }
        assert_eq!(house.balance(seller).await, (100_000, 0));
    }
    house.leave().await;
}

#[tokio::test]
async fn rates_are_set_by_those_who_manage_and_never_above_their_own() {
    let house = House::new().await;
    let manager = house.account(Role::AgentAdmin).await;
    let below = house.account_below(Role::AgentAdmin, vec![house.boss.account_id, manager.account_id]).await;
    let agent = house.account_below(Role::Agent, vec![house.boss.account_id, manager.account_id]).await;
    let set = |by: Actor, of: Actor, rates: Vec<u16>| {
        let (here, rates) = (house.here.clone(), rates.into_iter().map(BasisPoints).collect());
        async move { here.set_commission_rates(&context(by), of.account_id, rates).await }
    };
    set(house.boss, manager, vec![500, 100]).await.unwrap();
    set(manager, below, vec![500]).await.unwrap();
    for rates in [vec![501], vec![500, 101], vec![0, 0, 1]] {
        assert!(matches!(refusal(set(manager, below, rates).await), Refusal::Invalid { field: "rates", .. }));
    }
    assert_eq!(refusal(set(manager, manager, vec![1]).await), Refusal::Forbidden, "nobody sets one's own");
    assert_eq!(refusal(set(below, manager, vec![1]).await), Refusal::NotFound("account"));
    assert!(matches!(refusal(set(house.boss, agent, vec![1]).await), Refusal::Invalid { field: "rates", .. }));
    let all = refusal(set(house.boss, manager, vec![9_000, 1_001]).await);
    assert_eq!(all, Refusal::Account(AccountError::InvalidRates));
    let head = house.head().await;
    set(house.boss, manager, vec![500, 100]).await.unwrap();
    assert_eq!(house.head().await, head, "the same rates again change nothing");
    house.leave().await;
}

#[tokio::test]
async fn a_payment_told_many_times_at_once_is_recorded_once() {
    let house = House::new().await;
    let there = house.another("there").await;
    let seller = house.agent(0).await;
    let told = (0..20).map(|n| {
        let by = if n % 2 == 0 { house.here.clone() } else { there.clone() };
        let (context, payment) = (context(house.boss), payment(seller, "A1", 100, None));
        async move {
            loop {
                match by.record_payment(&context, payment.clone()).await {
                    Err(CommandError::Contention) => {}
                    other => return other.unwrap().value.added,
                }
            }
        }
    });
    let added = join_all(told).await.into_iter().filter(|added| *added).count();
    assert_eq!((added, house.count("select count(*) from events where event_type = 'OrderPaid'").await), (1, 1));
    let other = house.here.record_payment(&context(house.boss), payment(seller, "A1", 101, None)).await;
    assert_eq!(refusal(other), Refusal::Order(OrderError::Exists));
    let by_agent = house.here.record_payment(&context(seller), payment(seller, "A2", 1, None)).await;
    assert_eq!(refusal(by_agent), Refusal::Forbidden);
    let nowhere = payment(seller, "A3", 1, Some(BatchId::default()));
    let unknown = house.here.record_payment(&context(house.boss), nowhere).await;
    assert_eq!(refusal(unknown), Refusal::NotFound("batch"));
    house.leave().await;
}

#[tokio::test]
async fn parts_of_an_order_are_money_alone_and_the_last_one_takes_the_batch_back() {
    let house = House::new().await;
    let shop = house.shop(2, 1).await;
    let seller = house.seller(shop, 10_000).await;
    let other = house.seller(shop, 10_000).await;
    let batch = ask(&house, shop, seller, 2_000).await;
    let stranger = house.here.record_payment(&context(house.boss), payment(other, "B0", 900, Some(batch))).await;
    assert!(matches!(refusal(stranger), Refusal::Invalid { field: "batch_id", .. }));
    let order = house.here.record_payment(&context(house.boss), payment(seller, "B1", 900, Some(batch))).await;
    let order = order.unwrap().value.order_id;
    let second = house.here.record_payment(&context(house.boss), payment(seller, "B2", 900, Some(batch))).await;
    assert_eq!(refusal(second), Refusal::LicenseBatch(LicenseBatchError::OtherOrder(order)));
    issue(&house, batch).await;
    assert_eq!(house.balance(seller).await, (6_000, 2_000));
    let direct = refusal(house.here.refund_batch(&context(house.boss), batch).await);
    assert_eq!(direct, Refusal::LicenseBatch(LicenseBatchError::OtherOrder(order)));

    let refunded = house.here.refund_order(&context(house.boss), order, part(300)).await.unwrap().value.done().unwrap();
    assert_eq!((refunded.batch, refunded.after.order.status()), (None, OrderStatus::PartlyRefunded));
    assert_eq!(house.balance(seller).await, (6_000, 2_000));
    let too_much = refusal(house.here.refund_order(&context(house.boss), order, part(601)).await);
    assert_eq!(too_much, Refusal::Order(OrderError::InvalidAmount(Money(quota(600)))));

    // What is left, while the batch is still being issued: it stops, and what was held returns.
    let refunded = house.here.refund_order(&context(house.boss), order, RefundRequest::default()).await.unwrap();
    let refunded = refunded.value.done().unwrap();
    let done = refunded.batch.unwrap();
    assert_eq!((done.amount, done.released), (quota(2_000), quota(2_000)));
    assert_eq!(house.balance(seller).await, (10_000, 0));
    let stored = house.stored::<LicenseBatch>(batch).await;
    assert_eq!((stored.issued, stored.stopped), (1_000, Some(StopReason::Refunded)));
    assert_eq!(issue(&house, batch).await.issued, 1_000, "nothing is issued after it");
    let again = refusal(house.here.refund_order(&context(house.boss), order, RefundRequest::default()).await);
    assert_eq!(again, Refusal::Order(OrderError::AlreadyRefunded));
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_refunds_at_once_beside_the_issuing_one_happens() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 5_000).await;
    let batch = ask(&house, shop, seller, 5_000).await;
    issue(&house, batch).await;
    let refunds = (0..8).map(|n| {
        let (by, context) = (if n % 2 == 0 { house.here.clone() } else { there.clone() }, context(house.boss));
        tokio::spawn(async move {
            loop {
                match by.refund_batch(&context, batch).await {
                    Err(CommandError::Contention) => {}
                    Ok(_) => return 1,
                    Err(CommandError::Refused(Refusal::LicenseBatch(LicenseBatchError::AlreadyRefunded(_)))) => {
                        return 0;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    let issuing = tokio::spawn({
        let (there, boss) = (there.clone(), house.boss);
        async move {
            for _ in 0..8 {
                // Refused or done: the last word is the log's.
                let chunk = there.issue_chunk(&by_itself(boss), batch).await;
                assert!(!matches!(chunk, Err(CommandError::Database(_))), "{chunk:?}");
            }
        }
    });
    let done: i32 = join_all(refunds).await.into_iter().map(Result::unwrap).sum();
    issuing.await.unwrap();
    assert_eq!(done, 1);
    assert_eq!(house.balance(seller).await, (5_000, 0));
    let stored = house.stored::<LicenseBatch>(batch).await;
    assert_eq!(licences(&house, batch).await.len(), stored.issued as usize);
    house.leave().await;
}

#[tokio::test]
async fn licences_of_a_refunded_batch_are_refused_at_once_and_disabled_once_each() {
    let house = House::new().await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 1_200).await;
    let batch = ask(&house, shop, seller, 1_200).await;
    issue_all(&house, batch).await;
    let all = licences(&house, batch).await;
    let boss = context(house.boss);
    house.here.revoke_license(&boss, all[0], None).await.unwrap();
    house.here.disable_license(&boss, all[1]).await.unwrap();
    house.here.refund_batch(&boss, batch).await.unwrap();

    let machine = Machine::of("m");
    let there = house.another("there").await;
    for process in [&house.here, &there] {
        let used = process
            .use_license(&by_itself(house.boss), shop.project, all[2], machine.clone(), UsedBy::Verification)
            .await;
        assert_eq!(refusal(used), Refusal::BatchRefunded, "before it is disabled");
    }
    assert_eq!(refusal(house.here.enable_license(&boss, all[1]).await), Refusal::BatchRefunded);

    disable_next(&house.here, &house, batch).await.unwrap();
    let next = house.stored::<LicenseBatch>(batch).await.next_disabling().unwrap();
    let first = quotary_domain::license_batch::NextDisabling { chunk: 0, first: 0, count: 500 };
    let head = house.head().await;
    let repeated = house.here.disable_chunk(&by_itself(house.boss), batch, first, &all[..500]).await;
    let wrong = LicenseBatchError::WrongChunk { asked: 0, next: 1 };
    assert_eq!(refusal(repeated), Refusal::LicenseBatch(wrong));
    // A work list that is wrong is not believed: too few, the same twice, another's.
    let mut twice = all[500..1_000].to_vec();
    twice[1] = twice[0];
    for ids in [&all[500..999], &twice[..]] {
        let refused = refusal(house.here.disable_chunk(&by_itself(house.boss), batch, next, ids).await);
        assert!(matches!(refused, Refusal::Invalid { .. }), "{refused:?}");
    }
    assert_eq!(house.head().await, head, "nothing was written");
    while disable_next(&there, &house, batch).await.is_some() {}

    let disabled = "select count(*) from events where event_type = 'LicenseDisabled'";
    assert_eq!(house.count(disabled).await, 1_199, "each once; the revoked one stays as it is");
    for id in [all[0], all[1], all[2], all[1_199]] {
        let status = house.stored::<License>(id).await.status(boss.now);
        assert!(matches!(status, LicenseStatus::Disabled | LicenseStatus::Revoked));
    }
    assert_eq!(refusal(house.here.enable_license(&boss, all[2]).await), Refusal::BatchRefunded);
    house.leave().await;
}

#[tokio::test]
async fn only_those_who_manage_the_agent_refund_its_batch() {
    let house = House::new().await;
    let shop = house.shop(1, 1).await;
    let (manager, seller) = line(&house, shop, 10).await;
    let stranger = house.account(Role::AgentAdmin).await;
    let batch = ask(&house, shop, seller, 10).await;
    issue_all(&house, batch).await;
    let head = house.head().await;
    assert_eq!(refusal(house.here.refund_batch(&context(seller), batch).await), Refusal::Forbidden);
    assert_eq!(refusal(house.here.refund_batch(&context(stranger), batch).await), Refusal::NotFound("batch"));
    let unknown = BatchId(uuid::Uuid::from_u128(7));
    assert_eq!(refusal(house.here.refund_batch(&context(house.boss), unknown).await), Refusal::NotFound("batch"));
    assert_eq!(house.head().await, head);
    house.here.refund_batch(&context(manager), batch).await.unwrap();
    house.leave().await;
}

/// Where the events of a journal stand.
pub async fn positions(house: &House, journal: quotary_domain::JournalId) -> Vec<u64> {
    let found: Vec<i64> = sqlx::query_scalar(
        "select position from events where aggregate_type = 'AgentQuota' and payload::text like $1 order by position",
    )
    .bind(format!("%{journal}%"))
    .fetch_all(&house.owner)
    .await
    .unwrap();
    found.into_iter().map(i64::cast_unsigned).collect()
}

#[tokio::test]
async fn a_mistyped_top_up_goes_back_to_where_it_came_from_once_and_never_beyond_its_amount() {
    let house = House::new().await;
    let agent = house.agent(0).await;
    let made = house.here.top_up(&context(house.boss), agent.account_id, quota(1_000), None).await.unwrap().value;
    let at = positions(&house, made.id).await;
    let boss = context(house.boss);
    let reverse = |by: Actor, at: Vec<u64>, amount: Option<i64>| {
        let (here, context) = (house.here.clone(), context(by));
        async move { here.reverse_journal(&context, made.id, &at, amount.map(quota), "typed twice".into()).await }
    };
    assert_eq!(refusal(reverse(agent, at.clone(), None).await), Refusal::Forbidden);
    assert_eq!(refusal(reverse(house.boss, vec![], None).await), Refusal::NotFound("journal"));
    assert_eq!(refusal(reverse(house.boss, vec![1, 2], None).await), Refusal::NotFound("journal"), "not believed");
    let other = house.agent(0).await;
    let head = house.head().await;
    assert!(matches!(refusal(reverse(house.boss, at.clone(), Some(1_001)).await), Refusal::Reversal(_)));
    // The agent has spent some: nothing is taken then, not even a part.
    house.here.transfer_to(&context(agent), other.account_id, quota(400), None).await.unwrap();
    let short = AgentQuotaError::Insufficient { requested: quota(1_000), available: quota(600) };
    assert_eq!(refusal(reverse(house.boss, at.clone(), None).await), Refusal::AgentQuota(short));
    assert_eq!(house.head().await, head + 2, "only the transfer was written");

    let done = reverse(house.boss, at.clone(), Some(600)).await.unwrap().value.done().unwrap();
    assert_eq!((done.added, done.to, house.balance(agent).await), (true, None, (0, 0)));
    let again = reverse(house.boss, at.clone(), Some(600)).await.unwrap().value.done().unwrap();
    assert!(!again.added, "the same again changes nothing");
    house.give(&house.here, agent, 5_000).await;
    assert!(matches!(refusal(reverse(house.boss, at, Some(100)).await), Refusal::Reversal(_)), "once only");
    assert_eq!(house.balance(agent).await, (5_000, 0));
    // Neither is the reversal itself taken back.
    let new = done.made.journal_id;
    let of_reversal = house.here.reverse_journal(&boss, new, &positions(&house, new).await, None, "no".into()).await;
    assert!(matches!(refusal(of_reversal), Refusal::NotReversible(_)));
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_reversals_of_a_transfer_at_once_one_happens() {
    let house = House::new().await;
    let there = house.another("there").await;
    let (from, to) = (house.agent(500).await, house.agent(0).await);
    let made = house.here.transfer_to(&context(from), to.account_id, quota(300), None).await.unwrap().value;
    house.give(&house.here, to, 10_000).await;
    let at = positions(&house, made.id).await;
    let tasks = (1..=10_i64).map(|n| {
        let by = if n % 2 == 0 { house.here.clone() } else { there.clone() };
        let (context, at) = (context(house.boss), at.clone());
        tokio::spawn(async move {
            loop {
                match by.reverse_journal(&context, made.id, &at, Some(quota(n)), "wrong receiver".into()).await {
                    Err(CommandError::Contention) => {}
                    Ok(done) => return Some((n, done.value.done().unwrap().to)),
                    Err(CommandError::Refused(Refusal::Reversal(_))) => return None,
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    let done: Vec<_> = join_all(tasks).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(done.len(), 1);
    let (amount, giver) = done[0];
    assert_eq!(giver, Some(from.account_id));
    assert_eq!((house.balance(from).await.0, house.balance(to).await.0), (200 + amount, 10_300 - amount));
    house.leave().await;
}

#[tokio::test]
async fn sales_holds_and_withdrawals_are_not_reversed() {
    let house = House::new().await;
    let shop = house.shop(2, 1).await;
    let seller = house.seller(shop, 100).await;
    let batch = ask(&house, shop, seller, 3).await;
    let boss = context(house.boss);
    issue_all(&house, batch).await;
    let sale = LicenseBatch::journal_of(batch, 0);
    let hold = quotary_domain::JournalId(batch.0);
    for (journal, kind) in [(sale, "issue"), (hold, "hold")] {
        let at: Vec<u64> = (1..=u64::try_from(house.head().await).unwrap()).collect();
        let refused = house.here.reverse_journal(&boss, journal, &at[at.len() - 10..], None, "no".into()).await;
        let Refusal::NotReversible(found) = refusal(refused) else { panic!("{kind} was not refused as such") };
        assert_eq!(found.as_str(), kind);
    }
    house.leave().await;
}
