//! How many items and how much money each class has on each side.
//!
//! What must always hold: over all classes they are those of the input; a result for which they are not does not exist.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MatchingError;
use super::finding::{Class, Finding};
use crate::item::{Currency, Item, Kind};

/// One class's part of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassTotal {
    /// The class.
    pub class: Class,
    /// Of the items.
    pub kind: Kind,
    /// Of the amounts.
    pub currency: Currency,
    /// How many.
    pub count: u64,
    /// In minor units.
    pub amount: i128,
}

/// Both sides by class, kind and currency, and as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The bill's lines.
    pub lines: Vec<ClassTotal>,
    /// Our orders.
    pub orders: Vec<ClassTotal>,
    /// How many findings each class has.
    pub findings: BTreeMap<Class, u64>,
}

type Sums = BTreeMap<(Class, Kind, Currency), (u64, i128)>;

impl Totals {
    /// Adds up, and compares with the input.
    pub(super) fn of(lines: &[Item], orders: &[Item], findings: &[Finding]) -> Result<Self, MatchingError> {
        let (mut of_lines, mut of_orders, mut counts) = (Sums::new(), Sums::new(), BTreeMap::new());
        for finding in findings {
            *counts.entry(finding.class).or_insert(0) += 1;
            add(&mut of_lines, finding.class, finding.lines.iter().map(|place| &lines[*place]));
            add(&mut of_orders, finding.class, finding.orders.iter().map(|place| &orders[*place]));
        }
        if !adds_up(lines, findings.iter().flat_map(|finding| &finding.lines), &of_lines) {
            return Err(MatchingError::DoesNotAddUp { side: "lines" });
        }
        if !adds_up(orders, findings.iter().flat_map(|finding| &finding.orders), &of_orders) {
            return Err(MatchingError::DoesNotAddUp { side: "orders" });
        }
        Ok(Self { lines: listed(of_lines), orders: listed(of_orders), findings: counts })
    }

    /// How many items of both sides a class has.
    #[must_use]
    pub fn items_of(&self, class: Class) -> u64 {
        self.lines.iter().chain(&self.orders).filter(|total| total.class == class).map(|total| total.count).sum()
    }
}

fn add<'i>(sums: &mut Sums, class: Class, items: impl Iterator<Item = &'i Item>) {
    for item in items {
        let (count, amount) = sums.entry((class, item.kind, item.currency)).or_default();
        *count += 1;
        *amount += i128::from(item.amount);
    }
}

/// Whether each item is in one finding, and the classes' sums are those of the items.
fn adds_up<'f>(items: &[Item], places: impl Iterator<Item = &'f usize>, sums: &Sums) -> bool {
    let mut times = vec![0_u8; items.len()];
    places.for_each(|place| times[*place] = times[*place].saturating_add(1));
    let mut whole: BTreeMap<(Kind, Currency), (u64, i128)> = BTreeMap::new();
    for item in items {
        let (count, amount) = whole.entry((item.kind, item.currency)).or_default();
        *count += 1;
        *amount += i128::from(item.amount);
    }
    for ((_, kind, currency), (count, amount)) in sums {
        let Some(left) = whole.get_mut(&(*kind, *currency)) else { return false };
        let Some(rest) = left.0.checked_sub(*count) else { return false };
        *left = (rest, left.1 - amount);
    }
    times.iter().all(|times| *times == 1) && whole.values().all(|left| *left == (0, 0))
}

fn listed(sums: Sums) -> Vec<ClassTotal> {
    let one = |((class, kind, currency), (count, amount))| ClassTotal { class, kind, currency, count, amount };
    sums.into_iter().map(one).collect()
}
