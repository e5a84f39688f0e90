//! What the matching says about lines and orders that belong together, or about one that stands alone.
//!
//! What must always hold: the key of a finding follows from the numbers of its items, so the same difference has the same
//! key in every run.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Period;
use crate::item::{Item, Kind, State};

/// Into which a line or an order falls: exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Both sides agree.
    Matched,
    /// The provider has it, we do not.
    MissingHere,
    /// We have it, the provider does not.
    MissingThere,
    /// Both have it with different amounts.
    DifferentAmount,
    /// Both have it with the same amount, in different states.
    DifferentState,
    /// We have it more often than the provider.
    DuplicateHere,
    /// The provider has it more often than we do.
    DuplicateThere,
    /// More than one explanation is possible; a person decides.
    Ambiguous,
    /// The other side need not have it: outside the period, or no money moved.
    NotDue,
}

impl Class {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::Matched,
        Self::MissingHere,
        Self::MissingThere,
        Self::DifferentAmount,
        Self::DifferentState,
        Self::DuplicateHere,
        Self::DuplicateThere,
        Self::Ambiguous,
        Self::NotDue,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::DifferentAmount => "different_amount",
            Self::DifferentState => "different_state",
            Self::DuplicateHere => "duplicate_here",
            Self::DuplicateThere => "duplicate_there",
            Self::Ambiguous => "ambiguous",
            Self::NotDue => "not_due",
        }
    }

    /// Whether somebody has to look at it.
    #[must_use]
    pub const fn is_difference(self) -> bool {
        !matches!(self, Self::Matched | Self::NotDue)
    }
}

/// What brought the items of a finding together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// One side has the other's number.
    Number,
    /// The payment that both are a refund of.
    Payment,
    /// A shared reference.
    Reference,
    /// Amount and time, by the rule of this number, from 1.
    Rule(u32),
    /// Nothing: it stands alone.
    Nothing,
}

/// Why it is in its class, where the class alone does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The amounts differ by no more than the tolerance.
    WithinTolerance,
    /// The sums of several agree.
    SumsAgree,
    /// The sums of several differ.
    SumsDiffer,
    /// The currencies differ.
    Currency,
    /// One number is there several times with the same content.
    SameNumber,
    /// One number is there several times with different content.
    NumberReused,
    /// Several payments of the whole amount of one order.
    PaidTwice,
    /// Several orders of the whole amount of one payment.
    BookedTwice,
    /// Several on both sides, or parts that do not fit.
    Tangled,
    /// More than one partner is possible by amount and time.
    SeveralPossible,
    /// Outside the period.
    OutsidePeriod,
    /// No money moved: it is pending or failed.
    NotCompleted,
}

/// Lines and orders that belong together, or one that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The class of everything in it.
    pub class: Class,
    /// Names it in every run.
    pub key: String,
    /// What brought it together.
    pub basis: Basis,
    /// Why, where the class does not say so.
    pub reason: Option<Reason>,
    /// Lines minus orders in minor units, if both are there in one currency.
    pub difference: Option<i128>,
    /// Places among the lines.
    pub lines: Vec<usize>,
    /// Places among the orders.
    pub orders: Vec<usize>,
    /// Possible partners on the other side, by number; at most a few.
    pub candidates: Vec<String>,
}

impl Finding {
    /// Without key, which comes when all findings are there, and without difference.
    pub(super) fn new(class: Class, basis: Basis, lines: Vec<usize>, orders: Vec<usize>) -> Self {
        Self { class, key: String::new(), basis, reason: None, difference: None, lines, orders, candidates: vec![] }
    }

    pub(super) fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// Findings with keys and differences, sorted.
pub(super) fn finished(
    mut findings: Vec<Finding>,
    lines: &[Item],
    orders: &[Item],
    period: Option<Period>,
) -> Vec<Finding> {
    for finding in &mut findings {
        finding.lines.sort_unstable();
        finding.orders.sort_unstable();
        finding.difference = difference(finding, lines, orders);
        not_due(finding, lines, orders, period);
    }
    // Items are sorted, so places are an order that does not depend on the input's.
    findings.sort_by(|left, right| (&left.orders, &left.lines).cmp(&(&right.orders, &right.lines)));
    let mut seen: HashMap<String, u32> = HashMap::new();
    for finding in &mut findings {
        let stem = stem(finding, lines, orders);
        let times = seen.entry(stem.clone()).or_insert(0);
        *times += 1;
        finding.key = if *times == 1 { stem } else { format!("{stem}#{times}") };
    }
    findings.sort_by(|left, right| (left.class, &left.key).cmp(&(right.class, &right.key)));
    findings
}

fn items<'i>(finding: &'i Finding, lines: &'i [Item], orders: &'i [Item]) -> impl Iterator<Item = &'i Item> {
    finding.lines.iter().map(|place| &lines[*place]).chain(finding.orders.iter().map(|place| &orders[*place]))
}

fn difference(finding: &Finding, lines: &[Item], orders: &[Item]) -> Option<i128> {
    if finding.lines.is_empty() || finding.orders.is_empty() {
        return None;
    }
    let first = items(finding, lines, orders).next()?.currency;
    if items(finding, lines, orders).any(|item| item.currency != first) {
        return None;
    }
    let sum =
        |places: &[usize], side: &[Item]| places.iter().map(|place| i128::from(side[*place].amount)).sum::<i128>();
    Some(sum(&finding.lines, lines) - sum(&finding.orders, orders))
}

/// What nobody asked about, or what moved no money and so has no other side.
fn not_due(finding: &mut Finding, lines: &[Item], orders: &[Item], period: Option<Period>) {
    let alone = matches!(finding.class, Class::MissingHere | Class::MissingThere);
    let outside = period.is_some_and(|period| items(finding, lines, orders).all(|item| !period.contains(item.at)));
    let unmoved = alone && items(finding, lines, orders).all(|item| item.state != State::Completed);
    if outside {
        (finding.class, finding.reason) = (Class::NotDue, Some(Reason::OutsidePeriod));
    } else if unmoved {
        (finding.class, finding.reason) = (Class::NotDue, Some(Reason::NotCompleted));
    }
}

fn stem(finding: &Finding, lines: &[Item], orders: &[Item]) -> String {
    let of = |kind: Kind, side: &str, id: &str| format!("{}/{side}/{id}", kind.as_str());
    match (finding.orders.first(), finding.lines.first()) {
        (Some(order), _) => of(orders[*order].kind, "order", &orders[*order].id),
        (None, Some(line)) => of(lines[*line].kind, "line", &lines[*line].id),
        (None, None) => String::new(),
    }
}
