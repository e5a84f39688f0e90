//! `Order`: a payment by an end customer or agent at a payment provider, and what it bought (rows Q8, Q9). Its id follows
//! from the provider and the provider's own number, so a payment is recorded once however often it is told.
//!
//! An order's amount is money at the provider, in minor units of its currency; it is no quota and no posting.
//!
//! It can be paid back in parts, never more than was paid. A part is money alone; the part that makes the whole also takes
//! back what the order bought (see [`crate::license_batch`]).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AccountId, BatchId, Quota, event_names, impl_aggregate};

/// In how many parts an order can be paid back.
pub const MAX_REFUNDS: usize = 100;

/// The state of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The payment; `None` before.
    pub payment: Option<Payment>,
    /// How it was paid back, in the order of recording.
    pub refunds: Vec<Refund>,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Paid, and nothing was paid back.
    Paid,
    /// A part was paid back.
    PartlyRefunded,
    /// All was paid back.
    Refunded,
}

impl OrderStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PartlyRefunded => "partly_refunded",
            Self::Refunded => "refunded",
        }
    }
}

/// An amount of money in minor units; not quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// In minor units, at most what is left of the payment.
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
    /// Notes that it, or a part, was paid back; the last part always in the same step as the refund of its batch.
    RecordRefund(Refund),
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// It was paid.
    OrderPaid(Payment),
    /// It, or a part of it, was paid back.
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
    /// All of it was paid back before.
    #[error("the order was refunded before")]
    AlreadyRefunded,
    /// The provider's number of the refund is known with another content.
    #[error("the refund exists already with another content")]
    RefundExists,
    /// More than is left of the payment, or nothing.
    #[error("from 1 to {0} can be refunded")]
    InvalidAmount(Money),
    /// [`MAX_REFUNDS`] are recorded.
    #[error("an order can be refunded in {MAX_REFUNDS} parts at most")]
    TooManyRefunds,
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
            (OrderCommand::RecordRefund(refund), Some(_)) => self.record_refund(refund),
        }
    }

    fn record_refund(&self, refund: Refund) -> Result<Vec<OrderEvent>, OrderError> {
        refund.check()?;
        if let Some(number) = &refund.provider_refund_id
            && let Some(known) = self.refunds.iter().find(|known| known.provider_refund_id.as_ref() == Some(number))
        {
            // Whoever tells it again may say another time or reason; the number and the amount are the provider's.
            return if known.amount == refund.amount { Ok(vec![]) } else { Err(OrderError::RefundExists) };
        }
        let left = self.left();
        if left.0.is_zero() {
            return Err(OrderError::AlreadyRefunded);
        }
        if refund.amount.0.is_zero() || refund.amount > left {
            return Err(OrderError::InvalidAmount(left));
        }
        if self.refunds.len() >= MAX_REFUNDS && refund.amount < left {
            return Err(OrderError::TooManyRefunds);
        }
        Ok(vec![OrderEvent::OrderRefunded(refund)])
    }

    /// How much was paid back.
    #[must_use]
    pub fn refunded(&self) -> Money {
        Money(self.refunds.iter().fold(Quota::ZERO, |sum, refund| sum.saturating_plus(refund.amount.0)))
    }

    /// How much of the payment was not paid back.
    #[must_use]
    pub fn left(&self) -> Money {
        let paid = self.payment.as_ref().map(|payment| payment.amount).unwrap_or_default();
        Money(paid.0.saturating_minus(self.refunded().0))
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        if self.refunds.is_empty() {
            OrderStatus::Paid
        } else if self.left().0.is_zero() {
            OrderStatus::Refunded
        } else {
            OrderStatus::PartlyRefunded
        }
    }

    fn evolve(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderPaid(payment) => self.payment = Some(payment),
            OrderEvent::OrderRefunded(refund) => self.refunds.push(refund),
        }
    }
}

/// A provider's number: of a payment or a refund.
fn check_number(number: &str, otherwise: &'static str) -> Result<(), OrderError> {
    let fits = (1..=128).contains(&number.chars().count()) && !number.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(OrderError::Invalid(otherwise)) }
}

impl Refund {
    fn check(&self) -> Result<(), OrderError> {
        let number = self.provider_refund_id.as_deref();
        number.map_or(Ok(()), |number| check_number(number, "a provider's number of a refund has 1 to 128 characters"))
    }
}

impl Payment {
    /// Whether a text is the name of a provider.
    #[must_use]
    pub fn is_provider(name: &str) -> bool {
        let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=32).contains(&name.len()) && name.bytes().all(is_name)
    }

    fn check(&self) -> Result<(), OrderError> {
        if !Self::is_provider(&self.provider) {
            return Err(OrderError::Invalid("a provider has 1 to 32 characters of a-z 0-9 _ -"));
        }
        check_number(&self.provider_order_id, "a provider's number has 1 to 128 characters")?;
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

    /// The order after a command that is not refused.
    fn after(mut order: Order, command: OrderCommand) -> Order {
        for event in order.decisions(command).unwrap() {
            cqrs_es::Aggregate::apply(&mut order, event);
        }
        order
    }

    fn numbered(amount: i64, number: &str) -> OrderCommand {
        let OrderCommand::RecordRefund(refund) = refund(amount) else { unreachable!() };
        OrderCommand::RecordRefund(Refund { provider_refund_id: Some(number.into()), ..refund })
    }

    #[test]
    fn an_order_is_refunded_in_parts_and_never_beyond_its_amount() {
        let order = after(Order::default(), OrderCommand::RecordPayment(payment(100)));
        assert_eq!(order.status(), OrderStatus::Paid);
        for amount in [0, 101] {
            assert_eq!(order.decisions(refund(amount)), Err(OrderError::InvalidAmount(money(100))));
        }
        let order = after(order, refund(60));
        assert_eq!((order.status(), order.left()), (OrderStatus::PartlyRefunded, money(40)));
        assert_eq!(order.decisions(refund(41)), Err(OrderError::InvalidAmount(money(40))));
        let order = after(order, refund(40));
        assert_eq!((order.status(), order.refunded()), (OrderStatus::Refunded, money(100)));
        assert_eq!(order.decisions(refund(1)), Err(OrderError::AlreadyRefunded));
    }

    #[test]
    fn a_refund_told_twice_is_recorded_once_and_another_amount_is_an_error() {
        let order = after(Order::default(), OrderCommand::RecordPayment(payment(100)));
        let order = after(order, numbered(30, "r1"));
        assert_eq!(order.decisions(numbered(30, "r1")), Ok(vec![]));
        assert_eq!(order.decisions(numbered(31, "r1")), Err(OrderError::RefundExists));
        let order = after(order, numbered(30, "r2"));
        assert_eq!(order.refunded(), money(60));
        assert!(matches!(order.decisions(numbered(1, "")), Err(OrderError::Invalid(_))));
    }

    #[test]
    fn the_number_of_parts_is_bounded_and_the_rest_can_always_be_refunded() {
        let mut order = after(Order::default(), OrderCommand::RecordPayment(payment(1_000)));
        for _ in 0..MAX_REFUNDS {
            order = after(order, refund(1));
        }
        assert_eq!(order.decisions(refund(1)), Err(OrderError::TooManyRefunds));
        assert_eq!(after(order, refund(900)).status(), OrderStatus::Refunded);
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
