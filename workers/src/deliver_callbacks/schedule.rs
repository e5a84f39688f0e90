//! When a callback is tried again: exponentially later, at last when its life ends.
//!
//! What always holds: a callback is tried at least once, however late its turn comes; a try at the end of its life or after it
//! is the last. The spread of a pause follows from the delivery and the number of the try, so a restart changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use quotary_domain::DeliveryId;
use uuid::Uuid;

/// The pauses after the first, second, … failed try; the last one repeats.
const PAUSES: &[TimeDelta] = &[
    TimeDelta::seconds(10),
    TimeDelta::seconds(30),
    TimeDelta::seconds(90),
    TimeDelta::minutes(5),
    TimeDelta::minutes(15),
    TimeDelta::minutes(45),
    TimeDelta::hours(2),
    TimeDelta::hours(6),
    TimeDelta::hours(12),
];

/// How long a callback is tried.
const LIFE: TimeDelta = TimeDelta::days(3);

/// Pauses and life.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The pauses after the first, second, … failed try; the last one repeats.
    pub pauses: &'static [TimeDelta],
    /// From its writing down, or its replay, to its last try.
    pub life: TimeDelta,
    /// The longest pause that an address can ask for.
    pub longest_wish: TimeDelta,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { pauses: PAUSES, life: LIFE, longest_wish: TimeDelta::hours(1) }
    }
}

impl Schedule {
    /// When to try again after try number `tries` failed at `at`; `None` if that was the last.
    #[must_use]
    pub fn next(
        &self,
        delivery: DeliveryId,
        tries: u32,
        at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if at >= expires_at {
            return None;
        }
        let index = (tries.max(1) as usize - 1).min(self.pauses.len().saturating_sub(1));
        let pause = self.pauses.get(index).copied().unwrap_or_default();
        Some((at + spread(pause, delivery, tries)).min(expires_at))
    }

    /// A pause that an address asked for, within bounds.
    #[must_use]
    pub fn wished(&self, seconds: u64) -> TimeDelta {
        let wish = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX);
        wish.min(self.longest_wish)
    }
}

/// The pause give or take a tenth, so that what failed together is not tried together.
fn spread(pause: TimeDelta, delivery: DeliveryId, tries: u32) -> TimeDelta {
    let drawn = Uuid::new_v5(&delivery.0, &tries.to_be_bytes()).into_bytes();
    let drawn = i64::from(u16::from_be_bytes([drawn[0], drawn[1]]));
    let milliseconds = pause.num_milliseconds();
    TimeDelta::milliseconds(milliseconds * 9 / 10 + milliseconds / 5 * drawn / 65_536)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(number: u128) -> Vec<TimeDelta> {
        let (schedule, start) = (Schedule::default(), DateTime::UNIX_EPOCH);
        let delivery = DeliveryId(Uuid::from_u128(number));
        let mut times = vec![TimeDelta::zero()];
        let mut at = start;
        for tries in 1.. {
            let Some(next) = schedule.next(delivery, tries, at, start + schedule.life) else { break };
            at = next;
            times.push(at - start);
        }
        times
    }

    #[test]
    fn pauses_grow_and_the_last_try_is_at_the_end_of_three_days() {
        for number in 0..200 {
            let times = times(number);
            assert_eq!(times.last(), Some(&TimeDelta::days(3)), "{number}");
            assert!((13..=16).contains(&times.len()), "{} tries", times.len());
            assert!(times[1] >= TimeDelta::seconds(9) && times[1] <= TimeDelta::seconds(11));
            let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses[..9].is_sorted(), "{pauses:?}");
        }
    }

    #[test]
    fn what_failed_together_is_not_tried_together() {
        let mut first: Vec<_> = (0..100).map(|number| times(number)[1]).collect();
        first.sort();
        first.dedup();
        assert!(first.len() > 80, "{} different pauses", first.len());
    }

    #[test]
    fn a_callback_whose_turn_comes_after_its_life_is_tried_once() {
        let schedule = Schedule::default();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(9);
        assert_eq!(schedule.next(DeliveryId::default(), 1, now, now - TimeDelta::days(1)), None);
        assert_eq!(schedule.next(DeliveryId::default(), 1, now, now), None);
    }

    #[test]
    fn a_wished_pause_is_bounded() {
        let schedule = Schedule::default();
        assert_eq!(schedule.wished(30), TimeDelta::seconds(30));
        assert_eq!(schedule.wished(u64::MAX), TimeDelta::hours(1));
    }
}
