//! Use cases of orders.

pub mod record_payment;
pub mod refund;
