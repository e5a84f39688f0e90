//! Commissions: what the ancestors of a seller earn by a sale (row Q11).
//!
//! Pure arithmetic over the payments of one batch. An ancestor's rate is that of its distance from the seller; what it
//! earns by a payment is the difference of its part before and after, so the payments of a batch never earn more than the
//! rate of the whole, however they were cut. All together never earn more than the payment.

use crate::Quota;
use crate::account::Account;

/// What an ancestor earns by a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How far the seller is below: 1 for one's own agents.
    pub level: u8,
    /// More than zero.
    pub amount: Quota,
}

/// What the ancestors of a seller earn by a payment of `amount`, when `before` was paid for the same batch already.
///
/// `ancestors` go from the seller's parent up to the root; the nearest is served first. Disabled ones earn nothing.
pub fn parts<'a>(
    ancestors: impl IntoIterator<Item = &'a Account>,
    before: Quota,
    amount: Quota,
) -> impl Iterator<Item = Option<Part>> {
    let after = before.saturating_plus(amount);
    let mut left = amount;
    ancestors.into_iter().zip(1_u8..).map(move |(ancestor, level)| {
        let rate = ancestor.commission_rates.get(usize::from(level) - 1).filter(|_| !ancestor.disabled)?;
        let earned = rate.of(after).saturating_minus(rate.of(before)).min(left);
        left = left.saturating_minus(earned);
        (!earned.is_zero()).then_some(Part { level, amount: earned })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::BasisPoints;

    fn q(amount: i64) -> Quota {
        Quota::new(amount).unwrap()
    }

    fn account(rates: &[u16]) -> Account {
        Account { commission_rates: rates.iter().map(|rate| BasisPoints(*rate)).collect(), ..Account::default() }
    }

    fn amounts(line: &[Account], before: i64, amount: i64) -> Vec<i64> {
        let all = parts(line, q(before), q(amount));
        all.map(|part| part.map_or(0, |part| part.amount.minor_units())).collect()
    }

    #[test]
    fn each_ancestor_earns_the_rate_of_its_own_level() {
        let line = [account(&[1_000]), account(&[9_000, 500]), account(&[])];
        assert_eq!(amounts(&line, 0, 1_000), [100, 50, 0]);
    }

    #[test]
    fn a_disabled_ancestor_earns_nothing_and_gives_its_part_to_nobody() {
        let line = [Account { disabled: true, ..account(&[1_000]) }, account(&[0, 500])];
        assert_eq!(amounts(&line, 0, 1_000), [0, 50]);
    }

    #[test]
    fn the_nearest_comes_first_when_the_rates_are_more_than_the_price() {
        let line = [account(&[6_000]), account(&[0, 3_000]), account(&[0, 0, 9_000])];
        assert_eq!(amounts(&line, 0, 100), [60, 30, 10]);
    }

    #[test]
    fn the_payments_of_a_batch_earn_the_rate_of_the_whole_however_they_are_cut() {
        let line = [account(&[333])];
        for cut in [1, 2, 3, 7, 10, 999] {
            let (mut before, mut earned) = (0, 0);
            while before < 9_999 {
                let amount = cut.min(9_999 - before);
                earned += amounts(&line, before, amount)[0];
                before += amount;
            }
            assert_eq!(earned, 9_999 * 333 / 10_000, "cut by {cut}");
        }
    }
}
