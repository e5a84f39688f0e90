//! `RiskPolicy`: a tenant's rules about movements of quota (row Q4, and the limits of Q2 and Q3). Its id is the tenant's.
//!
//! A rule is a pure function of the policy, the giver's quota and the time of the command, so the same log always gives
//! the same decision; the reasons stand in the event that suspends.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, MAX_WINDOW_MINUTES, Recent, SLOT_MINUTES};
use crate::{AccountId, Quota, event_names, impl_aggregate};

/// The longest time that a review may take, in minutes.
pub const MAX_REVIEW_MINUTES: u32 = 90 * 24 * 60;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// The state of a tenant's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskPolicy {
    /// The rules that hold.
    pub rules: RiskRules,
}

/// A tenant's rules. Without any, every movement completes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskRules {
    /// The least that can be transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_transfer: Option<Quota>,
    /// The least that can be withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_withdrawal: Option<Quota>,
    /// The most that an agent can ask to be paid out within 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_withdrawn_per_day: Option<Quota>,
    /// What suspends a transfer.
    #[serde(default, skip_serializing_if = "MovementRules::are_none")]
    pub transfers: MovementRules,
    /// What suspends a withdrawal.
    #[serde(default, skip_serializing_if = "MovementRules::are_none")]
    pub withdrawals: MovementRules,
    /// When it is night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub night: Option<Night>,
    /// A top-up by the tenant itself, or a reversal, of more than this needs a second super admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_person_above: Option<Quota>,
    /// After how many minutes a suspended movement ends by itself; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_within_minutes: Option<u32>,
}

/// What suspends a movement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovementRules {
    /// More than this at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_above: Option<Quota>,
    /// Too much or too often within a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// More than this to a receiver who never got a transfer from the giver; not for withdrawals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_receiver_above: Option<Quota>,
    /// More than this at night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub night_above: Option<Quota>,
}

/// Too much or too often within a time, the new movement included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How long: from [`SLOT_MINUTES`] to [`MAX_WINDOW_MINUTES`].
    pub minutes: u32,
    /// More than this in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum_above: Option<Quota>,
    /// More movements than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_above: Option<u32>,
}

/// When it is night: from a minute of the day to another, over midnight if the first is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Night {
    /// Its first minute, counted from midnight.
    pub from_minute: u16,
    /// The minute after its last.
    pub to_minute: u16,
    /// The vendor's distance from UTC in minutes.
    pub utc_offset_minutes: i16,
}

/// Why a movement is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskReason {
    /// It is more than the limit.
    AmountAbove {
        /// The limit.
        limit: Quota,
    },
    /// With it, more than the limit moves within the window.
    SumAbove {
        /// The limit.
        limit: Quota,
        /// What moves, this one included.
        sum: Quota,
        /// The window.
        minutes: u32,
    },
    /// With it, there are more movements than the limit within the window.
    CountAbove {
        /// The limit.
        limit: u32,
        /// How many there are, this one included.
        count: u32,
        /// The window.
        minutes: u32,
    },
    /// It is more than the limit for a receiver who never got one.
    NewReceiver {
        /// The limit.
        limit: Quota,
    },
    /// It is more than the limit for the night.
    Night {
        /// The limit.
        limit: Quota,
    },
    /// It is more than one person may move alone.
    SecondPerson {
        /// The limit.
        limit: Quota,
    },
}

/// What can be asked of a policy.
#[derive(Clone, Debug)]
pub enum RiskPolicyCommand {
    /// Other rules hold from now on.
    Set {
        /// All of them.
        rules: RiskRules,
        /// Who says so.
        by: AccountId,
    },
}

/// What happened to a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RiskPolicyEvent {
    /// Other rules hold.
    RiskRulesSet {
        /// All of them.
        rules: RiskRules,
        /// Who said so.
        by: AccountId,
    },
}

event_names!(RiskPolicyEvent { RiskRulesSet });

/// Why a command on a policy, or a movement under it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RiskPolicyError {
    /// A rule makes no sense.
    #[error("{field}: {detail}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why.
        detail: &'static str,
    },
    /// Less than the tenant's minimum.
    #[error("the least is {minimum}")]
    BelowMinimum {
        /// The minimum.
        minimum: Quota,
    },
    /// More than the tenant's maximum of a day.
    #[error("at most {maximum} can be asked for within 24 hours, and {asked} were already")]
    AboveMaximum {
        /// The maximum.
        maximum: Quota,
        /// What was asked for before.
        asked: Quota,
    },
}

impl_aggregate!(RiskPolicy, "RiskPolicy", RiskPolicyCommand, RiskPolicyEvent, RiskPolicyError);

impl RiskPolicy {
    fn decisions(&self, command: RiskPolicyCommand) -> Result<Vec<RiskPolicyEvent>, RiskPolicyError> {
        let RiskPolicyCommand::Set { rules, by } = command;
        rules.check()?;
        if rules == self.rules {
            return Ok(vec![]);
        }
        Ok(vec![RiskPolicyEvent::RiskRulesSet { rules, by }])
    }

    fn evolve(&mut self, event: RiskPolicyEvent) {
        let RiskPolicyEvent::RiskRulesSet { rules, .. } = event;
        self.rules = rules;
    }
}

impl RiskRules {
    fn check(&self) -> Result<(), RiskPolicyError> {
        let invalid = |field, detail| Err(RiskPolicyError::Invalid { field, detail });
        for (field, rules) in [("transfers", &self.transfers), ("withdrawals", &self.withdrawals)] {
            if let Some(window) = rules.window {
                if !(SLOT_MINUTES..=MAX_WINDOW_MINUTES).contains(&window.minutes) {
                    return invalid(field, "a window has 5 to 1440 minutes");
                }
                if window.sum_above.is_none() && window.count_above.is_none() {
                    return invalid(field, "a window needs a limit of its sum or its count");
                }
            }
            if rules.night_above.is_some() && self.night.is_none() {
                return invalid(field, "a limit of the night needs to know when it is night");
            }
        }
        if self.withdrawals.new_receiver_above.is_some() {
            return invalid("withdrawals", "a withdrawal has no receiver");
        }
        if let Some(night) = self.night {
            let fits = night.from_minute < DAY && night.to_minute < DAY && night.from_minute != night.to_minute;
            if !fits || !(-14 * 60..=14 * 60).contains(&night.utc_offset_minutes) {
                return invalid("night", "minutes of the day are 0 to 1439, the distance from UTC is up to 840");
            }
        }
        match self.review_within_minutes {
            Some(minutes) if !(1..=MAX_REVIEW_MINUTES).contains(&minutes) => {
                invalid("review_within_minutes", "must be 1 to 129600")
            }
            _ => Ok(()),
        }
    }

    /// When a movement that is suspended `now` ends by itself.
    #[must_use]
    pub fn review_ends(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.review_within_minutes.map(|minutes| now + TimeDelta::minutes(i64::from(minutes)))
    }

    /// The reasons to suspend a transfer of `amount` to `to`; none if it may complete at once.
    ///
    /// # Errors
    /// [`RiskPolicyError::BelowMinimum`].
    pub fn assess_transfer(
        &self,
        giver: &Activity,
        to: AccountId,
        amount: Quota,
        now: DateTime<Utc>,
    ) -> Result<Vec<RiskReason>, RiskPolicyError> {
        at_least(self.min_transfer, amount)?;
        let mut reasons = self.assess(&self.transfers, &giver.transfers, amount, now);
        if let Some(limit) = self.transfers.new_receiver_above
            && amount > limit
            && !giver.receivers.contains(&to)
        {
            reasons.push(RiskReason::NewReceiver { limit });
        }
        Ok(reasons)
    }

    /// The reasons to suspend a withdrawal of `amount`; none if it may be decided on as usual.
    ///
    /// # Errors
    /// [`RiskPolicyError::BelowMinimum`] or [`RiskPolicyError::AboveMaximum`].
    pub fn assess_withdrawal(
        &self,
        asker: &Activity,
        amount: Quota,
        now: DateTime<Utc>,
    ) -> Result<Vec<RiskReason>, RiskPolicyError> {
        at_least(self.min_withdrawal, amount)?;
        if let Some(maximum) = self.max_withdrawn_per_day {
            let before = asker.withdrawals.within(MAX_WINDOW_MINUTES, now).sum;
            if before.plus(amount).is_ok_and(|sum| sum > maximum) {
                return Err(RiskPolicyError::AboveMaximum { maximum, asked: before });
            }
        }
        Ok(self.assess(&self.withdrawals, &asker.withdrawals, amount, now))
    }

    /// The reasons why one person alone may not move `amount`.
    #[must_use]
    pub fn assess_alone(&self, amount: Quota) -> Vec<RiskReason> {
        let limit = self.second_person_above.filter(|limit| amount > *limit);
        limit.map(|limit| RiskReason::SecondPerson { limit }).into_iter().collect()
    }

    fn assess(&self, rules: &MovementRules, recent: &Recent, amount: Quota, now: DateTime<Utc>) -> Vec<RiskReason> {
        let mut reasons = Vec::new();
        if let Some(limit) = rules.amount_above.filter(|limit| amount > *limit) {
            reasons.push(RiskReason::AmountAbove { limit });
        }
        if let Some(Window { minutes, sum_above, count_above }) = rules.window {
            let before = recent.within(minutes, now);
            let (sum, count) = (before.sum.saturating_plus(amount), before.count.saturating_add(1));
            if let Some(limit) = sum_above.filter(|limit| sum > *limit) {
                reasons.push(RiskReason::SumAbove { limit, sum, minutes });
            }
            if let Some(limit) = count_above.filter(|limit| count > *limit) {
                reasons.push(RiskReason::CountAbove { limit, count, minutes });
            }
        }
        if let (Some(limit), Some(night)) = (rules.night_above, self.night)
            && amount > limit
            && night.covers(now)
        {
            reasons.push(RiskReason::Night { limit });
        }
        reasons
    }
}

impl MovementRules {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Night {
    /// Whether it is night at that time.
    #[must_use]
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        let local = at + TimeDelta::minutes(i64::from(self.utc_offset_minutes));
        let minute = local.hour() * 60 + local.minute();
        let (from, to) = (u32::from(self.from_minute), u32::from(self.to_minute));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

fn at_least(minimum: Option<Quota>, amount: Quota) -> Result<(), RiskPolicyError> {
    match minimum {
        Some(minimum) if amount < minimum => Err(RiskPolicyError::BelowMinimum { minimum }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn q(amount: i64) -> Quota {
        Quota::new(amount).unwrap()
    }

    fn account(n: u128) -> AccountId {
        AccountId(Uuid::from_u128(n))
    }

    /// A Tuesday, 12:00 UTC, and minutes after.
    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_608_000 + minute * 60, 0).unwrap()
    }

    fn rules(transfers: MovementRules) -> RiskRules {
        RiskRules { transfers, ..RiskRules::default() }
    }

    fn assess(rules: &RiskRules, giver: &Activity, amount: i64, now: DateTime<Utc>) -> Vec<RiskReason> {
        rules.assess_transfer(giver, account(2), q(amount), now).unwrap()
    }

    #[test]
    fn without_rules_nothing_is_suspended() {
        assert_eq!(assess(&RiskRules::default(), &Activity::default(), 1_000_000, at(0)), []);
    }

    #[test]
    fn an_amount_at_the_limit_passes_and_one_above_does_not() {
        let rules = rules(MovementRules { amount_above: Some(q(100)), ..MovementRules::default() });
        assert_eq!(assess(&rules, &Activity::default(), 100, at(0)), []);
        assert_eq!(assess(&rules, &Activity::default(), 101, at(0)), [RiskReason::AmountAbove { limit: q(100) }]);
    }

    #[test]
    fn a_window_counts_what_went_before() {
        let window = Window { minutes: 60, sum_above: Some(q(100)), count_above: Some(2) };
        let rules = rules(MovementRules { window: Some(window), ..MovementRules::default() });
        let mut giver = Activity::default();
        giver.sent(account(2), q(60), Some(at(0)));
        assert_eq!(assess(&rules, &giver, 40, at(10)), []);
        assert_eq!(
            assess(&rules, &giver, 41, at(10)),
            [RiskReason::SumAbove { limit: q(100), sum: q(101), minutes: 60 }]
        );
        giver.sent(account(2), q(1), Some(at(11)));
        assert_eq!(assess(&rules, &giver, 1, at(12)), [RiskReason::CountAbove { limit: 2, count: 3, minutes: 60 }]);
        assert_eq!(assess(&rules, &giver, 41, at(80)), []);
    }

    #[test]
    fn a_receiver_is_new_once() {
        let rules = rules(MovementRules { new_receiver_above: Some(q(10)), ..MovementRules::default() });
        let mut giver = Activity::default();
        assert_eq!(assess(&rules, &giver, 11, at(0)), [RiskReason::NewReceiver { limit: q(10) }]);
        assert_eq!(assess(&rules, &giver, 10, at(0)), []);
        giver.sent(account(2), q(10), Some(at(0)));
        assert_eq!(assess(&rules, &giver, 11, at(1)), []);
    }

    #[test]
    fn a_night_goes_over_midnight_in_the_vendors_time() {
        let night = Night { from_minute: 23 * 60, to_minute: 6 * 60, utc_offset_minutes: 8 * 60 };
        // 12:00 UTC is 20:00 there.
        assert!(!night.covers(at(0)));
        assert!(night.covers(at(3 * 60)));
        assert!(night.covers(at(9 * 60)));
        assert!(!night.covers(at(10 * 60)));
    }

    #[test]
    fn a_days_maximum_is_of_what_was_asked_for() {
        let rules = RiskRules { max_withdrawn_per_day: Some(q(100)), ..RiskRules::default() };
        let mut asker = Activity::default();
        let purpose = crate::agent_quota::HoldPurpose::Withdrawal(crate::WithdrawalId(Uuid::from_u128(1)));
        asker.held(purpose, q(60), Some(at(0)));
        assert_eq!(rules.assess_withdrawal(&asker, q(40), at(1)), Ok(vec![]));
        assert_eq!(
            rules.assess_withdrawal(&asker, q(41), at(1)),
            Err(RiskPolicyError::AboveMaximum { maximum: q(100), asked: q(60) })
        );
        assert_eq!(rules.assess_withdrawal(&asker, q(100), at(25 * 60)), Ok(vec![]));
    }

    #[test]
    fn rules_without_meaning_are_refused() {
        let window = |minutes| Window { minutes, sum_above: Some(q(1)), count_above: None };
        let of = |window| rules(MovementRules { window: Some(window), ..MovementRules::default() });
        let bad = [
            of(window(4)),
            of(window(1_441)),
            of(Window { sum_above: None, ..window(10) }),
            rules(MovementRules { night_above: Some(q(1)), ..MovementRules::default() }),
            RiskRules {
                withdrawals: MovementRules { new_receiver_above: Some(q(1)), ..MovementRules::default() },
                ..RiskRules::default()
            },
            RiskRules { review_within_minutes: Some(0), ..RiskRules::default() },
        ];
        for rules in bad {
            assert!(matches!(rules.check(), Err(RiskPolicyError::Invalid { .. })), "{rules:?}");
        }
    }
}
