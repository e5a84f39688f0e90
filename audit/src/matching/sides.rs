//! Both sides while they are compared: what is still open, and what was found.
//!
//! What must always hold: an item leaves the open ones when it goes into a finding, and only then.

use super::finding::{Basis, Class, Finding};
use crate::item::Item;

/// Which side an item is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Lines,
    Orders,
}

/// Both sides.
#[derive(Debug)]
pub(super) struct Sides {
    pub lines: Vec<Item>,
    pub orders: Vec<Item>,
    pub findings: Vec<Finding>,
    /// Whether an item is in no finding yet.
    open_lines: Vec<bool>,
    open_orders: Vec<bool>,
    /// Items whose number another item has with other content.
    reused_lines: Vec<bool>,
    reused_orders: Vec<bool>,
}

impl Sides {
    /// Sorts both sides, so that their order says nothing.
    pub fn new(mut lines: Vec<Item>, mut orders: Vec<Item>) -> Self {
        lines.sort_unstable();
        orders.sort_unstable();
        let (open_lines, open_orders) = (vec![true; lines.len()], vec![true; orders.len()]);
        let (reused_lines, reused_orders) = (vec![false; lines.len()], vec![false; orders.len()]);
        Self { lines, orders, findings: vec![], open_lines, open_orders, reused_lines, reused_orders }
    }

    pub fn items(&self, side: Side) -> &[Item] {
        match side {
            Side::Lines => &self.lines,
            Side::Orders => &self.orders,
        }
    }

    /// The open items of a side, in their order.
    pub fn open(&self, side: Side) -> impl Iterator<Item = (usize, &Item)> {
        let flags = match side {
            Side::Lines => &self.open_lines,
            Side::Orders => &self.open_orders,
        };
        self.items(side).iter().enumerate().filter(|(place, _)| flags[*place])
    }

    pub fn is_reused(&self, side: Side, place: usize) -> bool {
        match side {
            Side::Lines => self.reused_lines[place],
            Side::Orders => self.reused_orders[place],
        }
    }

    pub fn mark_reused(&mut self, side: Side, place: usize) {
        match side {
            Side::Lines => self.reused_lines[place] = true,
            Side::Orders => self.reused_orders[place] = true,
        }
    }

    /// Takes a finding and closes its items.
    pub fn found(&mut self, finding: Finding) {
        for place in &finding.lines {
            debug_assert!(self.open_lines[*place], "a line goes into one finding");
            self.open_lines[*place] = false;
        }
        for place in &finding.orders {
            debug_assert!(self.open_orders[*place], "an order goes into one finding");
            self.open_orders[*place] = false;
        }
        self.findings.push(finding);
    }

    /// What is still open has no other side. One number with several contents is ambiguous even then.
    pub fn leave_over(&mut self) {
        for (side, class) in [(Side::Lines, Class::MissingHere), (Side::Orders, Class::MissingThere)] {
            let open: Vec<usize> = self.open(side).map(|(place, _)| place).collect();
            for place in open {
                let alone = |class| match side {
                    Side::Lines => Finding::new(class, Basis::Nothing, vec![place], vec![]),
                    Side::Orders => Finding::new(class, Basis::Nothing, vec![], vec![place]),
                };
                let finding = if self.is_reused(side, place) {
                    alone(Class::Ambiguous).because(super::Reason::NumberReused)
                } else {
                    alone(class)
                };
                self.found(finding);
            }
        }
    }
}
