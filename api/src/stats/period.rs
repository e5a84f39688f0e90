//! Days in parameters: from 1970 to 9999, both ends included, the first not after the last.

use chrono::{Datelike as _, NaiveDate};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A list that has no pages.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rows<T> {
    /// All of them.
    pub items: Vec<T>,
}

/// Refuses days that make no period.
pub(super) fn check(from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<(), Problem> {
    for (name, day) in [("from", from), ("to", to)] {
        if day.is_some_and(|day| !(1970..=9999).contains(&day.year())) {
            return Err(Problem::parameter(name, "must be within the years 1970 to 9999"));
        }
    }
    match (from, to) {
        (Some(from), Some(to)) if from > to => Err(Problem::parameter("to", "must not be before from")),
        _ => Ok(()),
    }
}
