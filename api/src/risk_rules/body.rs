//! Risk rules as requests and answers have them.

use quotary_domain::risk;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::{Amount, Whole};

/// A tenant's rules; what is absent limits nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskRules {
    /// The least that can be transferred, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    min_transfer: Option<Amount>,
    /// The least that can be withdrawn, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    min_withdrawal: Option<Amount>,
    /// The most that an agent can ask to be paid out within 24 hours, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    max_withdrawn_per_day: Option<Amount>,
    /// What suspends a transfer, or a top-up that an agent admin pays.
    #[serde(default)]
    transfers: MovementRules,
    /// What suspends a withdrawal; `new_receiver_above` makes no sense here.
    #[serde(default)]
    withdrawals: MovementRules,
    /// When it is night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    night: Option<Night>,
    /// A top-up by the tenant itself of more than this needs a second super admin, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    second_person_above: Option<Amount>,
    /// After how many minutes a suspended movement ends by itself; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 129_600)]
    review_within_minutes: Option<Whole<1, { risk::MAX_REVIEW_MINUTES }>>,
}

/// What suspends a movement until an admin decides.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MovementRules {
    /// More than this at once, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    amount_above: Option<Amount>,
    /// Too much or too often within a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    /// More than this to a receiver who never got a transfer from the giver, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    new_receiver_above: Option<Amount>,
    /// More than this at night, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    night_above: Option<Amount>,
}

/// Too much or too often within a time, the new movement included.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How long, in minutes; it may look up to five minutes further back.
    #[schema(value_type = u32, minimum = 5, maximum = 1_440)]
    minutes: Whole<5, 1_440>,
    /// More than this in all, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    sum_above: Option<Amount>,
    /// More movements than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 0)]
    count_above: Option<Whole<0, { u32::MAX }>>,
}

/// When it is night: from a minute of the day to another, over midnight if the first is later.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Night {
    /// Its first minute, counted from midnight.
    #[schema(value_type = u16, minimum = 0, maximum = 1_439)]
    from_minute: u16,
    /// The minute after its last.
    #[schema(value_type = u16, minimum = 0, maximum = 1_439)]
    to_minute: u16,
    /// The vendor's distance from UTC in minutes.
    #[schema(value_type = i16, minimum = -840, maximum = 840)]
    utc_offset_minutes: i16,
}

impl From<RiskRules> for risk::RiskRules {
    fn from(rules: RiskRules) -> Self {
        Self {
            min_transfer: rules.min_transfer.map(|amount| amount.0),
            min_withdrawal: rules.min_withdrawal.map(|amount| amount.0),
            max_withdrawn_per_day: rules.max_withdrawn_per_day.map(|amount| amount.0),
            transfers: rules.transfers.into(),
            withdrawals: rules.withdrawals.into(),
            night: rules.night.map(|night| risk::Night {
                from_minute: night.from_minute,
                to_minute: night.to_minute,
                utc_offset_minutes: night.utc_offset_minutes,
            }),
            second_person_above: rules.second_person_above.map(|amount| amount.0),
            review_within_minutes: rules.review_within_minutes.map(|minutes| minutes.0),
        }
    }
}

impl From<MovementRules> for risk::MovementRules {
    fn from(rules: MovementRules) -> Self {
        Self {
            amount_above: rules.amount_above.map(|amount| amount.0),
            window: rules.window.map(|window| risk::Window {
                minutes: window.minutes.0,
                sum_above: window.sum_above.map(|amount| amount.0),
                count_above: window.count_above.map(|count| count.0),
            }),
            new_receiver_above: rules.new_receiver_above.map(|amount| amount.0),
            night_above: rules.night_above.map(|amount| amount.0),
        }
    }
}

impl From<risk::RiskRules> for RiskRules {
    fn from(rules: risk::RiskRules) -> Self {
        Self {
            min_transfer: rules.min_transfer.map(Amount),
            min_withdrawal: rules.min_withdrawal.map(Amount),
            max_withdrawn_per_day: rules.max_withdrawn_per_day.map(Amount),
            transfers: rules.transfers.into(),
            withdrawals: rules.withdrawals.into(),
            night: rules.night.map(|night| Night {
                from_minute: night.from_minute,
                to_minute: night.to_minute,
                utc_offset_minutes: night.utc_offset_minutes,
            }),
            second_person_above: rules.second_person_above.map(Amount),
            review_within_minutes: rules.review_within_minutes.map(Whole),
        }
    }
}

impl From<risk::MovementRules> for MovementRules {
    fn from(rules: risk::MovementRules) -> Self {
        Self {
            amount_above: rules.amount_above.map(Amount),
            window: rules.window.map(|window| Window {
                minutes: Whole(window.minutes),
                sum_above: window.sum_above.map(Amount),
                count_above: window.count_above.map(Whole),
            }),
            new_receiver_above: rules.new_receiver_above.map(Amount),
            night_above: rules.night_above.map(Amount),
        }
    }
}
