//! Lines and orders of which one has the other's number.
//!
//! What must always hold: items that hang together by numbers are judged together, so none is paired behind another's back.

use std::collections::{BTreeMap, HashMap};

use super::component;
use super::finding::{Basis, Class, Finding, Reason};
use super::sides::{Side, Sides};
use crate::item::{Item, Kind};

/// Places of lines and of orders.
type Connected = (Vec<usize>, Vec<usize>);

/// Judges everything that hangs together by numbers.
pub(super) fn pair(sides: &mut Sides, tolerance: i64) {
    for (lines, orders) in connected(sides) {
        let reused = lines.iter().any(|place| sides.is_reused(Side::Lines, *place))
            || orders.iter().any(|place| sides.is_reused(Side::Orders, *place));
        if reused {
            let finding = Finding::new(Class::Ambiguous, Basis::Number, lines, orders).because(Reason::NumberReused);
            sides.found(finding);
            continue;
        }
        for finding in component::judge(sides, Basis::Number, &lines, &orders, tolerance) {
            sides.found(finding);
        }
    }
}

/// The open items that hang together, only where both sides are there.
fn connected(sides: &Sides) -> Vec<Connected> {
    let mut forest = Forest::new(sides.lines.len() + sides.orders.len());
    let first_order = sides.lines.len();
    let (lines, orders) = (by_number(sides, Side::Lines), by_number(sides, Side::Orders));
    for (line, item) in sides.open(Side::Lines) {
        for order in partners(item, &orders) {
            forest.join(line, first_order + order);
        }
    }
    for (order, item) in sides.open(Side::Orders) {
        for line in partners(item, &lines) {
            forest.join(*line, first_order + order);
        }
    }
    let mut trees: BTreeMap<usize, Connected> = BTreeMap::new();
    for (line, _) in sides.open(Side::Lines) {
        trees.entry(forest.root(line)).or_default().0.push(line);
    }
    for (order, _) in sides.open(Side::Orders) {
        trees.entry(forest.root(first_order + order)).or_default().1.push(order);
    }
    trees.into_values().filter(|(lines, orders)| !lines.is_empty() && !orders.is_empty()).collect()
}

type Numbers<'s> = HashMap<(Kind, &'s str), Vec<usize>>;

fn by_number(sides: &Sides, side: Side) -> Numbers<'_> {
    let mut numbers = Numbers::new();
    for (place, item) in sides.open(side) {
        numbers.entry((item.kind, &item.id)).or_default().push(place);
    }
    numbers
}

fn partners<'n>(item: &'n Item, numbers: &'n Numbers<'n>) -> &'n [usize] {
    item.other_id.as_ref().and_then(|other| numbers.get(&(item.kind, other.as_str()))).map_or(&[], Vec::as_slice)
}

/// Disjoint sets; the root of a set is its smallest member.
struct Forest(Vec<usize>);

impl Forest {
    fn new(size: usize) -> Self {
        Self((0..size).collect())
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    fn join(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.0[left.max(right)] = left.min(right);
    }
}
