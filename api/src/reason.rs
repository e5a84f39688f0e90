//! The reasons why a rule suspended a movement, as answers show them.

use quotary_domain::risk::RiskReason;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a movement was suspended; `limit` is the rule's, `value` what went beyond it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reason {
    /// `amount-above`, `sum-above`, `count-above`, `new-receiver`, `night` or `second-person`.
    rule: &'static str,
    /// The rule's limit: minor units, or a number of movements for `count-above`.
    limit: i64,
    /// What the window had with this movement, for `sum-above` and `count-above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
    /// The window's length in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    minutes: Option<u32>,
}

impl From<RiskReason> for Reason {
    fn from(reason: RiskReason) -> Self {
        let plain = |rule, limit| Self { rule, limit, value: None, minutes: None };
        match reason {
            RiskReason::AmountAbove { limit } => plain("amount-above", limit.minor_units()),
            RiskReason::SumAbove { limit, sum, minutes } => Self {
                value: Some(sum.minor_units()),
                minutes: Some(minutes),
                ..plain("sum-above", limit.minor_units())
            },
            RiskReason::CountAbove { limit, count, minutes } => {
                Self { value: Some(count.into()), minutes: Some(minutes), ..plain("count-above", limit.into()) }
            }
            RiskReason::NewReceiver { limit } => plain("new-receiver", limit.minor_units()),
            RiskReason::Night { limit } => plain("night", limit.minor_units()),
            RiskReason::SecondPerson { limit } => plain("second-person", limit.minor_units()),
        }
    }
}

/// The reasons of a movement.
pub(crate) fn reasons(of: Vec<RiskReason>) -> Vec<Reason> {
    of.into_iter().map(Reason::from).collect()
}
