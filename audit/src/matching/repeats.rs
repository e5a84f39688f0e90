//! One number several times on one side.
//!
//! What must always hold: of equal items one goes on and the others are duplicates; of unequal ones none is confirmed.

use super::finding::{Basis, Class, Finding, Reason};
use super::sides::{Side, Sides};
use crate::item::Item;

/// Sets the repeats apart.
pub(super) fn set_apart(sides: &mut Sides) {
    for (side, class) in [(Side::Lines, Class::DuplicateThere), (Side::Orders, Class::DuplicateHere)] {
        for run in runs(sides.items(side)) {
            let first = &sides.items(side)[run.start];
            let equal = sides.items(side)[run.clone()].iter().all(|item| same_content(first, item));
            for place in run.clone() {
                if !equal {
                    sides.mark_reused(side, place);
                } else if place > run.start {
                    let finding = match side {
                        Side::Lines => Finding::new(class, Basis::Number, vec![place], vec![]),
                        Side::Orders => Finding::new(class, Basis::Number, vec![], vec![place]),
                    };
                    sides.found(finding.because(Reason::SameNumber));
                }
            }
        }
    }
}

/// Where sorted items have the same kind and number, at least twice.
fn runs(items: &[Item]) -> Vec<std::ops::Range<usize>> {
    let (mut runs, mut start) = (vec![], 0);
    while start < items.len() {
        let same = |item: &&Item| (item.kind, &item.id) == (items[start].kind, &items[start].id);
        let end = start + items[start..].iter().take_while(same).count();
        if end - start > 1 {
            runs.push(start..end);
        }
        start = end;
    }
    runs
}

fn same_content(left: &Item, right: &Item) -> bool {
    let numbers = |item: &Item| (item.other_id.clone(), item.payment.clone(), item.group.clone());
    let content = |item: &Item| (item.amount, item.currency, item.state);
    numbers(left) == numbers(right) && content(left) == content(right)
}
