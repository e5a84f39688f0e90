//! The read model of orders equals the fold of their events, however the runs were cut, and gives them all to a bill.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod read_model_fixture;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate as _;
use futures::TryStreamExt as _;
use quotary_domain::order::{Money, Order, OrderCommand, OrderStatus, Payment, Refund};
use quotary_domain::{AccountId, Actor, Aggregate as _, BatchId, OrderId, Quota, Role, TenantId};
use quotary_projections::accounts::Accounts;
use quotary_projections::orders::{self, Billed, OrderFilter, Orders};
use quotary_projections::page::PageRequest;
use read_model_fixture::{Dice, Fact, Fixture, TENANT, fact};
use uuid::Uuid;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

fn money(dice: &mut Dice, most: i64) -> Money {
    Money(Quota::new(1 + i64::try_from(dice.below(most.unsigned_abs())).unwrap()).unwrap())
}

/// Orders as their aggregates have them, and the facts that made them so.
#[derive(Default)]
struct Shop {
    orders: BTreeMap<OrderId, Order>,
}

impl Shop {
    fn decide(&mut self, id: OrderId, command: OrderCommand, facts: &mut Vec<Fact>) {
        let order = self.orders.entry(id).or_default();
        for event in order.decide(command).unwrap_or_default() {
            facts.push(fact::<Order>(id.0, &event));
            order.apply(event);
        }
    }

    fn facts(&mut self, dice: &mut Dice, steps: usize) -> Vec<Fact> {
        let mut facts = Vec::new();
        for _ in 0..steps {
            let number = dice.below(300);
            let provider = if number.is_multiple_of(3) { "wechat" } else { "alipay" };
            let id = OrderId::of(TENANT, provider, &number.to_string());
            let command = if dice.below(2) == 0 || !self.orders.contains_key(&id) {
                OrderCommand::RecordPayment(Payment {
                    provider: provider.into(),
                    provider_order_id: number.to_string(),
                    amount: money(dice, 1_000),
                    currency: "CNY".into(),
                    paid_at: at(i64::try_from(dice.below(1_000)).unwrap()),
                    agent_id: AccountId(Uuid::from_u128(1 + u128::from(dice.below(3)))),
                    batch_id: (dice.below(2) == 0).then(|| BatchId(Uuid::from_u128(u128::from(number)))),
                })
            } else {
                OrderCommand::RecordRefund(Refund {
                    amount: money(dice, 400),
                    provider_refund_id: (dice.below(2) == 0).then(|| format!("r{}", dice.below(1_000))),
                    refunded_at: at(2_000 + i64::try_from(dice.below(1_000)).unwrap()),
                    reason: (dice.below(3) == 0).then(|| "late".to_owned()),
                })
            };
            self.decide(id, command, &mut facts);
        }
        facts
    }
}

fn assert_same(row: &orders::Order, order: &Order) {
    let payment = order.payment.as_ref().unwrap();
    assert_eq!((&row.provider, &row.provider_order_id), (&payment.provider, &payment.provider_order_id));
    assert_eq!((row.amount, row.paid_at), (payment.amount.0.minor_units(), payment.paid_at));
    assert_eq!((row.agent_id, row.batch_id), (payment.agent_id, payment.batch_id));
    assert_eq!((row.refunded_amount, row.status()), (order.refunded().0.minor_units(), order.status()));
    assert_eq!(row.refunds, i64::try_from(order.refunds.len()).unwrap());
    assert_eq!(row.refunded_at, order.refunds.last().map(|refund| refund.refunded_at));
    let number = order.refunds.iter().rev().find_map(|refund| refund.provider_refund_id.clone());
    assert_eq!(row.provider_refund_id, number);
    assert_eq!(row.sequence, 1 + order.refunds.len() as u64);
}

#[tokio::test]
async fn orders_equal_the_fold_of_their_events_and_stream_in_the_order_of_payment() {
    let fixture = Fixture::new().await;
    let (mut shop, mut dice) = (Shop::default(), Dice(7));
    let mut head = 0;
    for steps in [1, 40, 400, 900] {
        head = fixture.append(shop.facts(&mut dice, steps)).await;
        fixture.project(Orders, head).await;
    }
    fixture.project(Accounts, head).await;
    let mut seen = 0;
    for provider in ["alipay", "wechat"] {
        let billed = Billed { provider: provider.into(), from: at(100), to: at(900) };
        let rows: Vec<_> = orders::stream(&fixture.pool, TENANT, billed).try_collect().await.unwrap();
        assert!(rows.windows(2).all(|pair| pair[0].paid_at <= pair[1].paid_at));
        let fits =
            |payment: &Payment| payment.provider == provider && payment.paid_at >= at(100) && payment.paid_at < at(900);
        let expected = shop.orders.values().filter(|order| order.payment.as_ref().is_some_and(fits)).count();
        assert_eq!(rows.len(), expected);
        for row in &rows {
            assert_same(row, &shop.orders[&row.order_id]);
        }
        seen += rows.len();
    }
    assert!(seen > 100, "{seen}");
    let elsewhere = Billed { provider: "alipay".into(), from: at(0), to: at(1_000) };
    let other = TenantId(Uuid::from_u128(77));
    let rows: Vec<_> = orders::stream(&fixture.pool, other, elsewhere).try_collect().await.unwrap();
    assert_eq!(rows, [], "another tenant has none of them");

    let everyone = Actor { tenant_id: TENANT, account_id: AccountId(Uuid::from_u128(9)), role: Role::Auditor };
    for status in [OrderStatus::Paid, OrderStatus::PartlyRefunded, OrderStatus::Refunded] {
        let filter = OrderFilter { status: Some(status), ..OrderFilter::default() };
        let (mut found, mut cursor) = (0, None);
        loop {
            let page =
                orders::list(&fixture.pool, &everyone, &filter, &PageRequest::new(Some(7), cursor)).await.unwrap();
            for row in &page.items {
                assert_same(row, &shop.orders[&row.order_id]);
            }
            found += page.items.len();
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let expected = shop.orders.values().filter(|order| order.payment.is_some() && order.status() == status).count();
        assert_eq!(found, expected, "{status:?}");
    }
    let own = Actor { account_id: AccountId(Uuid::from_u128(1)), role: Role::Agent, ..everyone };
    let page =
        orders::list(&fixture.pool, &own, &OrderFilter::default(), &PageRequest::new(Some(200), None)).await.unwrap();
    assert!(!page.items.is_empty() && page.items.iter().all(|order| order.agent_id == own.account_id));
    fixture.finish().await;
}
