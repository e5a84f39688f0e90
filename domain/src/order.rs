//! `Order`: a payment by an end customer or agent at a payment provider, and what it bought (rows Q8, Q9). Its id follows
//! from the provider and the provider's own number, so a payment is recorded once however often it is told.
//!
//! An order's amount is money at the provider, in minor units of its currency; it is no quota and no posting.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AccountId, BatchId, Quota, event_names, impl_aggregate};

/// The state of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The payment; `None` before.
    pub payment: Option<Payment>,
    /// How much of it was paid back.
    pub refunded: Option<Money>,
}

/// An amount of money in minor units; not quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub Quota);

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A payment at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The provider, e.g. `alipay`: 1 to 32 of `a-z 0-9 _ -`.
    pub provider: String,
    /// The provider's number of the payment, at most 128 characters.
    pub provider_order_id: String,
    /// In minor units, more than zero.
    pub amount: Money,
    /// ISO 4217, e.g. `CNY`.
    pub currency: String,
    /// When it was paid, as the provider says.
    pub paid_at: DateTime<Utc>,
    /// The agent whose sale it is.
    pub agent_id: AccountId,
    /// The licences it bought, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
}

/// A payment given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// In minor units, at most what was paid.
    pub amount: Money,
    /// The provider's number of the refund, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_refund_id: Option<String>,
    /// When, as the provider says.
    pub refunded_at: DateTime<Utc>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can be asked of an order.
#[derive(Clone, Debug)]
pub enum OrderCommand {
    /// Notes that it was paid.
    RecordPayment(Payment),
    /// Notes that it was paid back; always in the same step as the refund of its batch.
    RecordRefund(Refund),
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// It was paid.
    OrderPaid(Payment),
    /// It was paid back.
    OrderRefunded(Refund),
}

event_names!(OrderEvent { OrderPaid, OrderRefunded });

/// Why a command on an order is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
    /// The provider's number is known with another payment.
    #[error("the order exists already with another content")]
    Exists,
    /// It was paid back before.
    #[error("the order was refunded before")]
    AlreadyRefunded,
    /// More than was paid, or nothing.
    #[error("from 1 to {0} can be refunded")]
    InvalidAmount(Money),
    /// A field is out of limits.
    #[error("{0}")]
    Invalid(&'static str),
}

impl_aggregate!(Order, "Order", OrderCommand, OrderEvent, OrderError);

impl Order {
    fn decisions(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match (command, &self.payment) {
            (OrderCommand::RecordPayment(payment), None) => {
                payment.check()?;
                Ok(vec![OrderEvent::OrderPaid(payment)])
            }
            (OrderCommand::RecordPayment(same), Some(known)) if same == *known => Ok(vec![]),
            (OrderCommand::RecordPayment(_), Some(_)) => Err(OrderError::Exists),
            (OrderCommand::RecordRefund(_), None) => Err(OrderError::Unknown),
            (OrderCommand::RecordRefund(_), Some(_)) if self.refunded.is_some() => Err(OrderError::AlreadyRefunded),
            (OrderCommand::RecordRefund(refund), Some(payment)) => {
                if refund.amount.0.is_zero() || refund.amount > payment.amount {
                    return Err(OrderError::InvalidAmount(payment.amount));
                }
                Ok(vec![OrderEvent::OrderRefunded(refund)])
            }
        }
    }

    fn evolve(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderPaid(payment) => self.payment = Some(payment),
            OrderEvent::OrderRefunded(refund) => self.refunded = Some(refund.amount),
        }
    }
}

impl Payment {
    fn check(&self) -> Result<(), OrderError> {
        let provider = self.provider.as_bytes();
        let is_name = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if !(1..=32).contains(&provider.len()) || !provider.iter().all(is_name) {
            return Err(OrderError::Invalid("a provider has 1 to 32 characters of a-z 0-9 _ -"));
        }
        if !(1..=128).contains(&self.provider_order_id.chars().count())
            || self.provider_order_id.chars().any(char::is_control)
        {
            return Err(OrderError::Invalid("a provider's number has 1 to 128 characters"));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(OrderError::Invalid("a currency has three letters, as in ISO 4217"));
        }
        if self.amount.0.is_zero() {
            return Err(OrderError::Invalid("the amount must be more than zero"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    fn money(amount: i64) -> Money {
        Money(Quota::new(amount).unwrap())
    }

    fn payment(amount: i64) -> Payment {
        Payment {
            provider: "alipay".into(),
            provider_order_id: "2026112422001".into(),
            amount: money(amount),
            currency: "CNY".into(),
            paid_at: DateTime::UNIX_EPOCH,
            agent_id: AccountId(Uuid::from_u128(1)),
            batch_id: None,
        }
    }

    fn refund(amount: i64) -> OrderCommand {
        OrderCommand::RecordRefund(Refund {
            amount: money(amount),
            provider_refund_id: None,
            refunded_at: DateTime::UNIX_EPOCH,
            reason: None,
        })
    }

    #[test]
    fn a_payment_told_twice_is_recorded_once_and_another_amount_is_an_error() {
        let given = || TestFramework::<Order>::with(()).given(vec![OrderEvent::OrderPaid(payment(100))]);
        given().when(OrderCommand::RecordPayment(payment(100))).then_expect_events(vec![]);
        given().when(OrderCommand::RecordPayment(payment(101))).then_expect_error(OrderError::Exists);
    }

    #[test]
    fn an_order_is_refunded_once_and_never_beyond_its_amount() {
        let mut order = Order::default();
        cqrs_es::Aggregate::apply(&mut order, OrderEvent::OrderPaid(payment(100)));
        assert_eq!(order.decisions(refund(101)), Err(OrderError::InvalidAmount(money(100))));
        for event in order.decisions(refund(100)).unwrap() {
            cqrs_es::Aggregate::apply(&mut order, event);
        }
        assert_eq!(order.decisions(refund(1)), Err(OrderError::AlreadyRefunded));
    }

    #[test]
    fn payments_out_of_limits_are_refused() {
        let bad = [
            Payment { provider: "Alipay".into(), ..payment(1) },
            Payment { provider_order_id: String::new(), ..payment(1) },
            Payment { currency: "cny".into(), ..payment(1) },
            payment(0),
        ];
        for payment in bad {
            assert!(matches!(
                Order::default().decisions(OrderCommand::RecordPayment(payment)),
                Err(OrderError::Invalid(_))
            ));
        }
    }
}
