//! What risk rules look at in an agent's quota (row Q4): how much was sent and asked for as money lately, and who got
//! quota from this agent before.
//!
//! Everything here follows from the events alone. Movements are counted in slots of [`SLOT_MINUTES`] minutes, so the
//! state stays small however busy an agent is; a window begins with the slot that its start lies in, so it may look at up
//! to [`SLOT_MINUTES`] minutes more than was asked for and never at less.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::agent_quota::{HoldPurpose, OpenHold};
use crate::{AccountId, Quota};

/// The length of a slot.
pub const SLOT_MINUTES: u32 = 5;
/// The longest window that can be asked about.
pub const MAX_WINDOW_MINUTES: u32 = 24 * 60;
/// How many receivers an agent's quota remembers. Beyond that, further ones stay new, which errs on the safe side.
pub const MAX_KNOWN_RECEIVERS: usize = 10_000;

const SLOT_SECONDS: i64 = SLOT_MINUTES as i64 * 60;
const SLOTS_KEPT: i64 = (MAX_WINDOW_MINUTES / SLOT_MINUTES) as i64;

/// What risk rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Transfers to other agents, those that wait for a review included.
    pub transfers: Recent,
    /// Withdrawals that were asked for and not refused, cancelled or expired.
    pub withdrawals: Recent,
    /// Who got a transfer from this agent before. Shared between states: it is copied only when someone new gets one.
    pub receivers: Arc<BTreeSet<AccountId>>,
}

/// Movements of the last [`MAX_WINDOW_MINUTES`] before the latest one, by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent(Vec<Slot>);

/// What moved within one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// Which one, counted from the Unix epoch.
    number: i64,
    sum: Quota,
    count: u32,
}

/// A sum over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How much.
    pub sum: Quota,
    /// In how many movements.
    pub count: u32,
}

fn slot_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(SLOT_SECONDS)
}

impl Recent {
    /// What moved within `minutes` before `now`, at most [`MAX_WINDOW_MINUTES`]; what a clock that jumped put into the
    /// future counts too.
    #[must_use]
    pub fn within(&self, minutes: u32, now: DateTime<Utc>) -> Moved {
        let first = (now.timestamp() - i64::from(minutes.min(MAX_WINDOW_MINUTES)) * 60).div_euclid(SLOT_SECONDS);
        let slots = self.0.iter().filter(|slot| slot.number >= first);
        slots.fold(Moved::default(), |moved, slot| Moved {
            sum: moved.sum.saturating_plus(slot.sum),
            count: moved.count.saturating_add(slot.count),
        })
    }

    /// Counts a movement. A time before the latest one counts as the latest: slots never go back.
    fn add(&mut self, amount: Quota, at: DateTime<Utc>) {
        let latest = self.0.last().map_or(i64::MIN, |slot| slot.number);
        let number = slot_of(at).max(latest);
        match self.0.last_mut() {
            Some(slot) if slot.number == number => {
                slot.sum = slot.sum.saturating_plus(amount);
                slot.count = slot.count.saturating_add(1);
            }
            _ => {
                self.0.retain(|slot| slot.number + SLOTS_KEPT >= number);
                self.0.push(Slot { number, sum: amount, count: 1 });
            }
        }
    }

    /// Counts `amount` no more, and its movement neither if nothing of it is left.
    fn take_off(&mut self, amount: Quota, at: DateTime<Utc>, whole: bool) {
        let number = slot_of(at);
        // A movement that was counted late stands in a later slot than its own.
        if let Some(slot) = self.0.iter_mut().find(|slot| slot.number >= number) {
            slot.sum = slot.sum.saturating_minus(amount);
            slot.count = slot.count.saturating_sub(u32::from(whole));
        }
    }
}

impl Activity {
    pub(crate) fn sent(&mut self, to: AccountId, amount: Quota, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.transfers.add(amount, at);
        }
        self.knows(to);
    }

    pub(crate) fn held(&mut self, purpose: HoldPurpose, amount: Quota, at: Option<DateTime<Utc>>) {
        if let (Some(recent), Some(at)) = (self.counter(purpose), at) {
            recent.add(amount, at);
        }
    }

    /// All or a part of a hold came back: it does not count as moved.
    pub(crate) fn returned(&mut self, hold: &OpenHold, amount: Quota) {
        if let (Some(recent), Some(at)) = (self.counter(hold.purpose), hold.at) {
            recent.take_off(amount, at, amount == hold.amount);
        }
    }

    pub(crate) fn knows(&mut self, receiver: AccountId) {
        if !self.receivers.contains(&receiver) && self.receivers.len() < MAX_KNOWN_RECEIVERS {
            Arc::make_mut(&mut self.receivers).insert(receiver);
        }
    }

    fn counter(&mut self, purpose: HoldPurpose) -> Option<&mut Recent> {
        match purpose {
            HoldPurpose::Batch(_) => None,
            HoldPurpose::Withdrawal(_) => Some(&mut self.withdrawals),
            HoldPurpose::Transfer(_) => Some(&mut self.transfers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(amount: i64) -> Quota {
        Quota::new(amount).unwrap()
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    #[test]
    fn a_window_looks_at_least_as_far_back_as_it_says() {
        let mut recent = Recent::default();
        for minute in [0, 7, 30, 59] {
            recent.add(q(10), at(minute));
        }
        assert_eq!(recent.within(30, at(60)), Moved { sum: q(20), count: 2 });
        assert_eq!(recent.within(60, at(60)), Moved { sum: q(40), count: 4 });
        assert_eq!(recent.within(5, at(90)), Moved::default());
    }

    #[test]
    fn a_clock_that_goes_back_hides_nothing() {
        let mut recent = Recent::default();
        recent.add(q(10), at(600));
        recent.add(q(5), at(0));
        assert_eq!(recent.within(10, at(600)), Moved { sum: q(15), count: 2 });
        assert_eq!(recent.within(10, at(0)), Moved { sum: q(15), count: 2 });
    }

    #[test]
    fn the_state_stays_small_however_long_it_goes_on() {
        let mut recent = Recent::default();
        for minute in 0..20_000 {
            recent.add(q(1), at(minute));
        }
        assert!(recent.0.len() <= usize::try_from(SLOTS_KEPT).unwrap() + 1, "{}", recent.0.len());
        assert!(recent.within(MAX_WINDOW_MINUTES, at(19_999)).count >= MAX_WINDOW_MINUTES);
    }

    #[test]
    fn what_comes_back_is_not_counted() {
        let mut recent = Recent::default();
        recent.add(q(10), at(0));
        recent.add(q(7), at(1));
        recent.take_off(q(7), at(1), true);
        assert_eq!(recent.within(60, at(2)), Moved { sum: q(10), count: 1 });
    }
}
