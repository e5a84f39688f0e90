//! Two records of the same payments, compared: a provider's bill and our orders.
//!
//! What must always hold: every line and every order is in exactly one finding; the totals of the classes add up to both
//! sides, and a result that does not is never handed out; the result does not depend on the order of the input; what is
//! ambiguous is never confirmed.
//!
//! How it goes, each step with what the one before left over: one number several times on one side; groups by a shared
//! reference whose sums agree; pairs and groups by exact number; refunds of one payment; groups whose sums differ; pairs by amount and time, only
//! where there is exactly one possibility on both sides.

mod component;
mod finding;
mod groups;
mod kept;
mod keys;
mod near;
mod repeats;
mod report;
mod sides;
mod totals;

pub use finding::{Basis, Class, Finding, Reason};
pub use kept::{KeptHead, KeptInputs, rows_of};
pub use report::{COLUMNS, Inputs, JSON_END, Report};
pub use totals::{ClassTotal, Totals};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::item::Item;
use sides::Sides;

/// The most items of one side.
pub const MOST_ITEMS: usize = 5_000_000;
/// The largest tolerance of an amount, in minor units.
pub const MOST_TOLERANCE: i64 = 1_000;
/// The most rules.
pub const MOST_RULES: usize = 8;

/// How to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How far amounts of the same number may be apart, in minor units.
    pub tolerance: i64,
    /// For lines and orders that do not know each other's number, the strictest first; none matches nothing without a number.
    pub rules: Vec<Rule>,
    /// What is asked about; lines and orders outside are only partners of those inside.
    pub period: Option<Period>,
}

/// A pair is possible if both limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// In minor units.
    pub tolerance: i64,
    /// How far the times may be apart, in days.
    pub days: u32,
}

/// A period from its beginning up to, not with, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// With.
    pub from: DateTime<Utc>,
    /// Without.
    pub to: DateTime<Utc>,
}

/// Why nothing could be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchingError {
    /// More than can be compared.
    #[error("at most {MOST_ITEMS} lines and as many orders can be compared")]
    TooMany,
    /// A tolerance, a number of rules or a period that makes no sense.
    #[error("the options are out of range: {0}")]
    Options(&'static str),
    /// The classes do not add up to the input, which would be a mistake in the matching.
    #[error("the classes do not add up to the {side}")]
    DoesNotAddUp {
        /// Whose.
        side: &'static str,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// The lines of the bill, sorted; findings name them by their place in here.
    pub lines: Vec<Item>,
    /// Our orders, sorted; findings name them by their place in here.
    pub orders: Vec<Item>,
    /// Sorted by class and key.
    pub findings: Vec<Finding>,
    /// By class, for both sides.
    pub totals: Totals,
}

/// Compares a bill with orders.
///
/// # Errors
/// [`MatchingError`] if the input is out of range.
pub fn reconcile(lines: Vec<Item>, orders: Vec<Item>, options: &Options) -> Result<Matching, MatchingError> {
    if lines.len() > MOST_ITEMS || orders.len() > MOST_ITEMS {
        return Err(MatchingError::TooMany);
    }
    options.check()?;
    let mut sides = Sides::new(lines, orders);
    repeats::set_apart(&mut sides);
    groups::agreeing(&mut sides, options.tolerance);
    keys::pair(&mut sides, options.tolerance);
    groups::of_one_payment(&mut sides, options.tolerance);
    groups::differing(&mut sides, options.tolerance);
    for (number, rule) in (1..).zip(&options.rules) {
        near::pair(&mut sides, *rule, number);
    }
    sides.leave_over();
    let Sides { lines, orders, findings, .. } = sides;
    let findings = finding::finished(findings, &lines, &orders, options.period);
    let totals = Totals::of(&lines, &orders, &findings)?;
    Ok(Matching { lines, orders, findings, totals })
}

impl Rule {
    /// Reads `MINOR_UNITS:DAYS`, such as `0:1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tolerance, days) = text.split_once(':')?;
        Some(Self { tolerance: tolerance.parse().ok()?, days: days.parse().ok()? })
    }
}

impl Options {
    /// Whether they make sense.
    ///
    /// # Errors
    /// [`MatchingError::Options`] if they do not.
    pub fn check(&self) -> Result<(), MatchingError> {
        let tolerance = |tolerance: i64| (0..=MOST_TOLERANCE).contains(&tolerance);
        if !tolerance(self.tolerance) || !self.rules.iter().all(|rule| tolerance(rule.tolerance) && rule.days <= 366) {
            return Err(MatchingError::Options("a tolerance is from 0 to 1000 minor units and from 0 to 366 days"));
        }
        if self.rules.len() > MOST_RULES {
            return Err(MatchingError::Options("there are at most 8 rules"));
        }
        if self.period.is_some_and(|period| period.from >= period.to) {
            return Err(MatchingError::Options("the period ends before it begins"));
        }
        Ok(())
    }
}

impl Period {
    /// Whether a time is in it.
    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.to
    }
}
