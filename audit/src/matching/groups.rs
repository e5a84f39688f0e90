//! Lines and orders with the same reference: a payout of several orders, an order paid in parts.
//!
//! What must always hold: a group whose sums agree goes before single numbers, one whose sums differ after them.

use std::collections::BTreeMap;

use super::component;
use super::finding::Basis;
use super::sides::{Side, Sides};
use crate::item::{Item, Kind};

/// Places of lines and of orders.
type Group = (Vec<usize>, Vec<usize>);

/// Groups of one against several whose sums agree.
pub(super) fn agreeing(sides: &mut Sides, tolerance: i64) {
    for (lines, orders) in open_groups(sides, |item| item.group.as_deref()) {
        let several = lines.len() + orders.len() > 2 && (lines.len() == 1 || orders.len() == 1);
        if several && component::sums_agree(sides, &lines, &orders, tolerance) == Some(true) {
            let finding = component::agreeing(sides, Basis::Reference, &lines, &orders);
            sides.found(finding);
        }
    }
}

/// All other groups with something on both sides, after single numbers have taken theirs.
pub(super) fn differing(sides: &mut Sides, tolerance: i64) {
    judge(sides, Basis::Reference, |item| item.group.as_deref(), tolerance);
}

/// Refunds of one payment, where neither side has the other's number of the refund.
pub(super) fn of_one_payment(sides: &mut Sides, tolerance: i64) {
    judge(sides, Basis::Payment, |item| item.payment.as_deref(), tolerance);
}

fn judge(sides: &mut Sides, basis: Basis, of: impl Fn(&Item) -> Option<&str>, tolerance: i64) {
    for (lines, orders) in open_groups(sides, of) {
        for finding in component::judge(sides, basis, &lines, &orders, tolerance) {
            sides.found(finding);
        }
    }
}

/// By kind and what `of` says, the open items whose number is not in doubt; only those with both sides.
fn open_groups(sides: &Sides, of: impl Fn(&Item) -> Option<&str>) -> Vec<Group> {
    let mut groups: BTreeMap<(Kind, &str), Group> = BTreeMap::new();
    for side in [Side::Lines, Side::Orders] {
        for (place, item) in sides.open(side).filter(|(place, _)| !sides.is_reused(side, *place)) {
            let Some(group) = of(item) else { continue };
            let (lines, orders) = groups.entry((item.kind, group)).or_default();
            match side {
                Side::Lines => lines.push(place),
                Side::Orders => orders.push(place),
            }
        }
    }
    groups.into_values().filter(|(lines, orders)| !lines.is_empty() && !orders.is_empty()).collect()
}
