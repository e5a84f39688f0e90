//! Lines and orders that know no number of each other, by amount and time.
//!
//! What must always hold: a pair is confirmed only if each has the other as its only possibility; everything else with a
//! possibility is ambiguous and stays so, whatever looser rules would say.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::Rule;
use super::component;
use super::finding::{Basis, Class, Finding, Reason};
use super::sides::{Side, Sides};
use crate::item::{Currency, Item, Kind};

/// How many possible partners a finding names.
const NAMED: usize = 5;

/// Items of a kind and currency by amount, each amount's by time.
type Index = HashMap<(Kind, Currency), BTreeMap<i64, Vec<(DateTime<Utc>, usize)>>>;

/// Pairs what one rule allows.
pub(super) fn pair(sides: &mut Sides, rule: Rule, number: u32) {
    let (lines, orders) = (index(sides, Side::Lines), index(sides, Side::Orders));
    let of_lines: BTreeMap<usize, Vec<usize>> = possibilities(sides, Side::Lines, &orders, rule);
    let of_orders: BTreeMap<usize, Vec<usize>> = possibilities(sides, Side::Orders, &lines, rule);
    let basis = Basis::Rule(number);
    let only = |found: &BTreeMap<usize, Vec<usize>>, place: usize| match found.get(&place).map(Vec::as_slice) {
        Some([only]) => Some(*only),
        _ => None,
    };
    for (line, possible) in &of_lines {
        let finding = match only(&of_lines, *line).filter(|order| only(&of_orders, *order) == Some(*line)) {
            Some(order) => component::pair(sides, basis, *line, order, rule.tolerance),
            None => ambiguous(Finding::new(Class::Ambiguous, basis, vec![*line], vec![]), possible, &sides.orders),
        };
        sides.found(finding);
    }
    for (order, possible) in &of_orders {
        if only(&of_orders, *order).is_none_or(|line| only(&of_lines, line) != Some(*order)) {
            let finding = Finding::new(Class::Ambiguous, basis, vec![], vec![*order]);
            let finding = ambiguous(finding, possible, &sides.lines);
            sides.found(finding);
        }
    }
}

fn ambiguous(mut finding: Finding, possible: &[usize], others: &[Item]) -> Finding {
    finding.candidates = possible.iter().map(|place| others[*place].id.clone()).collect();
    finding.because(Reason::SeveralPossible)
}

/// The open items that may go by amount and time: without the other side's number, and with one of their own that is not
/// in doubt.
fn eligible(sides: &Sides, side: Side) -> impl Iterator<Item = (usize, &Item)> {
    sides.open(side).filter(move |(place, item)| item.other_id.is_none() && !sides.is_reused(side, *place))
}

fn index(sides: &Sides, side: Side) -> Index {
    let mut index = Index::new();
    for (place, item) in eligible(sides, side) {
        index.entry((item.kind, item.currency)).or_default().entry(item.amount).or_default().push((item.at, place));
    }
    index.values_mut().flat_map(BTreeMap::values_mut).for_each(|times| times.sort_unstable());
    index
}

/// The possible partners of each open item that has any; at most a few, which is enough to know whether it is one.
fn possibilities(sides: &Sides, side: Side, others: &Index, rule: Rule) -> BTreeMap<usize, Vec<usize>> {
    let reach = TimeDelta::days(rule.days.into());
    let mut found = BTreeMap::new();
    for (place, item) in eligible(sides, side) {
        let Some(amounts) = others.get(&(item.kind, item.currency)) else { continue };
        let mut possible = vec![];
        let (low, high) = (item.amount.saturating_sub(rule.tolerance), item.amount.saturating_add(rule.tolerance));
        for times in amounts.range(low..=high).map(|(_, times)| times) {
            let start = times.partition_point(|(at, _)| *at + reach < item.at);
            let near = times[start..].iter().take_while(|(at, _)| *at <= item.at + reach);
            possible.extend(near.take(NAMED - possible.len()).map(|(_, place)| *place));
            if possible.len() == NAMED {
                break;
            }
        }
        if !possible.is_empty() {
            found.insert(place, possible);
        }
    }
    found
}
