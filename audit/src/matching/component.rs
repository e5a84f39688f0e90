//! Lines and orders that are known to belong together: do they agree?
//!
//! What must always hold: amounts are compared before states; several on both sides are never untangled by guessing.

use super::finding::{Basis, Class, Finding, Reason};
use super::sides::Sides;
use crate::item::Item;

/// Judges lines and orders of which at least one each is there.
pub(super) fn judge(sides: &Sides, basis: Basis, lines: &[usize], orders: &[usize], tolerance: i64) -> Vec<Finding> {
    match (lines, orders) {
        ([line], [order]) => vec![pair(sides, basis, *line, *order, tolerance)],
        (lines, [order]) => several_lines(sides, basis, lines, *order, tolerance),
        ([line], orders) => several_orders(sides, basis, *line, orders, tolerance),
        (lines, orders) => vec![tangled(basis, lines, orders)],
    }
}

/// One line and one order.
pub(super) fn pair(sides: &Sides, basis: Basis, line: usize, order: usize, tolerance: i64) -> Finding {
    let finding = |class| Finding::new(class, basis, vec![line], vec![order]);
    let (line, order) = (&sides.lines[line], &sides.orders[order]);
    if line.currency != order.currency {
        return finding(Class::DifferentAmount).because(Reason::Currency);
    }
    let apart = (i128::from(line.amount) - i128::from(order.amount)).abs();
    if apart > i128::from(tolerance) {
        return finding(Class::DifferentAmount);
    }
    let class = if line.state == order.state { Class::Matched } else { Class::DifferentState };
    if apart == 0 { finding(class) } else { finding(class).because(Reason::WithinTolerance) }
}

/// Whether the sums agree and all are in one currency; nothing if the currencies differ.
pub(super) fn sums_agree(sides: &Sides, lines: &[usize], orders: &[usize], tolerance: i64) -> Option<bool> {
    let lines: Vec<&Item> = lines.iter().map(|place| &sides.lines[*place]).collect();
    let orders: Vec<&Item> = orders.iter().map(|place| &sides.orders[*place]).collect();
    let first = lines.first().or(orders.first())?.currency;
    if lines.iter().chain(&orders).any(|item| item.currency != first) {
        return None;
    }
    let sum = |items: &[&Item]| items.iter().map(|item| i128::from(item.amount)).sum::<i128>();
    Some((sum(&lines) - sum(&orders)).abs() <= i128::from(tolerance))
}

/// A group whose sums agree.
pub(super) fn agreeing(sides: &Sides, basis: Basis, lines: &[usize], orders: &[usize]) -> Finding {
    let mut states = lines.iter().map(|place| sides.lines[*place].state);
    let first = states.next();
    let same = states.chain(orders.iter().map(|place| sides.orders[*place].state)).all(|state| Some(state) == first);
    let class = if same { Class::Matched } else { Class::DifferentState };
    Finding::new(class, basis, lines.to_vec(), orders.to_vec()).because(Reason::SumsAgree)
}

pub(super) fn tangled(basis: Basis, lines: &[usize], orders: &[usize]) -> Finding {
    Finding::new(Class::Ambiguous, basis, lines.to_vec(), orders.to_vec()).because(Reason::Tangled)
}

/// Several payments of one order: parts of it, or the whole more than once.
fn several_lines(sides: &Sides, basis: Basis, lines: &[usize], order: usize, tolerance: i64) -> Vec<Finding> {
    let wanted = &sides.orders[order];
    let whole = |place: &usize| same_money(&sides.lines[*place], wanted);
    match sums_agree(sides, lines, &[order], tolerance) {
        Some(true) => return vec![agreeing(sides, basis, lines, &[order])],
        Some(false) if lines.iter().all(whole) => {
            // The one that we recorded, else the first.
            let recorded = lines.iter().find(|place| wanted.other_id.as_deref() == Some(&*sides.lines[**place].id));
            let paid = recorded.or_else(|| lines.iter().min_by_key(|place| (sides.lines[**place].at, **place)));
            let again = |place: &usize| {
                Finding::new(Class::DuplicateThere, basis, vec![*place], vec![]).because(Reason::PaidTwice)
            };
            let mut findings: Vec<Finding> = lines.iter().filter(|place| Some(*place) != paid).map(again).collect();
            findings.extend(paid.map(|line| pair(sides, basis, *line, order, tolerance)));
            return findings;
        }
        Some(false) if !lines.iter().any(whole) => {}
        // One pays the whole and the rest is too much, or currencies are mixed.
        _ => return vec![tangled(basis, lines, &[order])],
    }
    vec![Finding::new(Class::DifferentAmount, basis, lines.to_vec(), vec![order]).because(Reason::SumsDiffer)]
}

/// One payment of several orders: all of them together, or one that was booked more than once.
fn several_orders(sides: &Sides, basis: Basis, line: usize, orders: &[usize], tolerance: i64) -> Vec<Finding> {
    let paid = &sides.lines[line];
    let whole = |place: &usize| same_money(&sides.orders[*place], paid);
    match sums_agree(sides, &[line], orders, tolerance) {
        Some(true) => return vec![agreeing(sides, basis, &[line], orders)],
        Some(false) if orders.iter().all(whole) => {
            let named = orders.iter().find(|place| paid.other_id.as_deref() == Some(&*sides.orders[**place].id));
            let booked = named.or_else(|| orders.iter().min_by_key(|place| (sides.orders[**place].at, **place)));
            let again = |place: &usize| {
                Finding::new(Class::DuplicateHere, basis, vec![], vec![*place]).because(Reason::BookedTwice)
            };
            let mut findings: Vec<Finding> = orders.iter().filter(|place| Some(*place) != booked).map(again).collect();
            findings.extend(booked.map(|order| pair(sides, basis, line, *order, tolerance)));
            return findings;
        }
        Some(false) if !orders.iter().any(whole) => {}
        _ => return vec![tangled(basis, &[line], orders)],
    }
    vec![Finding::new(Class::DifferentAmount, basis, vec![line], orders.to_vec()).because(Reason::SumsDiffer)]
}

fn same_money(left: &Item, right: &Item) -> bool {
    (left.amount, left.currency) == (right.amount, right.currency)
}
