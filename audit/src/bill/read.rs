//! A whole bill: head, columns, rows, foot.
//!
//! What must always hold: the lines of head, columns, rows, set-aside rows, foot and blank lines add up to the lines of
//! the file; a bill with one wrong line is refused as a whole, and the first wrong lines are named.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::aside::Aside;
use super::decode::{BadLine, Encoding, decode};
use super::exact::Exact;
use super::mapping::{Mapping, Shape};
use super::row::{Columns, Read, Reader};
use super::split::{self, Line, Row};
use super::template::Stated;
use crate::item::{Currency, Item};

/// The most bytes of a bill.
const MOST_BYTES: usize = 256 * 1024 * 1024;
/// How many wrong lines are named.
const NAMED: usize = 20;

/// A bill that was read to its end.
#[derive(Clone, Debug)]
pub struct Bill {
    /// Its payments and refunds.
    pub items: Vec<Item>,
    /// Rows that are not about an order.
    pub aside: Vec<Aside>,
    /// Where every line went.
    pub accounting: Accounting,
    /// The totals that the bill states, each equal to what its rows add up to.
    pub stated: Vec<StatedTotal>,
    /// In which encoding it was.
    pub encoding: Encoding,
    /// Of its bytes.
    pub sha256: [u8; 32],
}

/// Where every line of a file went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounting {
    /// All lines.
    pub lines: u64,
    /// Above the columns.
    pub head: u64,
    /// With the names of the columns.
    pub columns: u64,
    /// Of rows that are payments and refunds; a row may span several.
    pub rows: u64,
    /// Of rows that were set aside.
    pub aside: u64,
    /// Below the rows.
    pub foot: u64,
    /// Without text.
    pub blank: u64,
}

/// A total that the bill states and that its rows agree with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatedTotal {
    /// The line in the file.
    pub line: u64,
    /// What is stated.
    pub what: String,
    /// The number.
    pub value: Exact,
}

/// A line of a bill that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// From 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Why a bill is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// It has more bytes than are read.
    #[error("a bill has at most {MOST_BYTES} bytes")]
    TooLong,
    /// It is no text in any of the mapping's encodings.
    #[error("line {line} is no text in {encoding:?}")]
    Encoding {
        /// The line that is none in the last encoding that was tried.
        line: u64,
        /// That encoding.
        encoding: Encoding,
    },
    /// It ends before head, columns and foot are through.
    #[error("the bill ends before `{0}`")]
    Ends(String),
    /// A line above or below the rows is not what the mapping says.
    #[error("line {line} is not `{expected}`")]
    Unexpected {
        /// From 1.
        line: u64,
        /// The template.
        expected: String,
    },
    /// A column is not there.
    #[error("line {line} has no column `{name}`")]
    NoColumn {
        /// Where the columns are.
        line: u64,
        /// The one that is not.
        name: String,
    },
    /// A column is there twice.
    #[error("line {line} has the column `{name}` twice")]
    ColumnTwice {
        /// Where the columns are.
        line: u64,
        /// The one that is there twice.
        name: String,
    },
    /// Rows can't be read.
    #[error("{total} lines can't be read, the first is line {}: {}", first[0].line, first[0].why)]
    Lines {
        /// The first of them.
        first: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// The bill states a total that its rows do not have.
    #[error("line {line} says that the {what} is {said}, the rows say {found}")]
    Total {
        /// From 1.
        line: u64,
        /// What is stated.
        what: String,
        /// By the bill.
        said: String,
        /// By its rows.
        found: Exact,
    },
    /// The lines do not add up, which would be a mistake in the reader.
    #[error("the lines of the bill do not add up: {0:?}")]
    Unaccounted(Accounting),
}

/// Reads a bill.
///
/// # Errors
/// [`BillError`] says which line is wrong; nothing of a bill that is refused is used.
pub fn read(mapping: &Mapping, bytes: &[u8]) -> Result<Bill, BillError> {
    if bytes.len() > MOST_BYTES {
        return Err(BillError::TooLong);
    }
    let (text, encoding) = decoded(mapping, bytes)?;
    let lines = split::lines(&text);
    let mut accounting = Accounting { lines: lines.len() as u64, ..Accounting::default() };
    let (head, rest) = head(mapping, &lines)?;
    accounting.head = head;
    let (columns, line_of_columns, rest) = columns(mapping, rest)?;
    accounting.columns = u64::from(mapping.columns.is_none());
    if let Some(name) = mapping.needed.iter().find(|name| columns.place(name).is_none()) {
        return Err(BillError::NoColumn { line: line_of_columns, name: name.clone() });
    }
    let (body, foot, blank_below) = foot(mapping, rest)?;
    accounting.foot = foot.len() as u64;
    let mut table = Table::new(mapping, &columns);
    let blank = split::rows(body, mapping.shape, |row| table.take(&row, &mut accounting));
    let blank = blank.map_err(|(line, why)| lines_error(vec![LineError { line, why: why.to_owned() }], 1))?;
    accounting.blank = blank + blank_below;
    if table.wrong > 0 {
        return Err(lines_error(table.first_wrong, table.wrong));
    }
    let stated = table.stated(mapping, foot)?;
    let Accounting { lines, head, columns, rows, aside, foot, blank } = accounting;
    if lines != head + columns + rows + aside + foot + blank {
        return Err(BillError::Unaccounted(accounting));
    }
    let sha256 = Sha256::digest(bytes).into();
    Ok(Bill { items: table.items, aside: table.aside.into_values().collect(), accounting, stated, encoding, sha256 })
}

const fn lines_error(first: Vec<LineError>, total: u64) -> BillError {
    BillError::Lines { first, total }
}

fn decoded<'b>(mapping: &Mapping, bytes: &'b [u8]) -> Result<(std::borrow::Cow<'b, str>, Encoding), BillError> {
    let mut failed = BillError::Ends("any text".into());
    for encoding in &mapping.encodings {
        match decode(bytes, *encoding) {
            Ok(text) => return Ok((text, *encoding)),
            Err(BadLine(line)) => failed = BillError::Encoding { line, encoding: *encoding },
        }
    }
    Err(failed)
}

/// The lines above the columns.
fn head<'l, 't>(mapping: &Mapping, lines: &'l [Line<'t>]) -> Result<(u64, &'l [Line<'t>]), BillError> {
    for (at, template) in mapping.head.iter().enumerate() {
        let line = lines.get(at).ok_or_else(|| BillError::Ends(template.written.clone()))?;
        if template.matches(line.text, mapping.number).is_none() {
            return Err(BillError::Unexpected { line: line.number, expected: template.written.clone() });
        }
    }
    let count = mapping.head.len();
    Ok((count as u64, &lines[count..]))
}

fn columns<'l, 't>(mapping: &Mapping, lines: &'l [Line<'t>]) -> Result<(Columns, u64, &'l [Line<'t>]), BillError> {
    let first = lines.first().map_or(0, |line| line.number);
    let twice = |name| BillError::ColumnTwice { line: first, name };
    if let Some(names) = &mapping.columns {
        let columns = Columns::new(names.iter().map(String::as_str)).map_err(twice)?;
        return Ok((columns, first, lines));
    }
    let Some((line, rest)) = lines.split_first() else { return Err(BillError::Ends("the columns".into())) };
    // The names of columns have no mark, whatever the values have.
    let shape = match mapping.shape {
        Shape::Marked(delimiter, _) => Shape::Plain(delimiter),
        other => other,
    };
    let mut names = vec![];
    let split = split::rows(std::slice::from_ref(line), shape, |row| names = row.fields);
    split.map_err(|(line, why)| lines_error(vec![LineError { line, why: why.to_owned() }], 1))?;
    let unmarked = names.iter().map(|name| match mapping.shape {
        Shape::Marked(_, mark) => name.trim_start_matches(mark),
        Shape::Quoted(_) | Shape::Plain(_) => name,
    });
    Ok((Columns::new(unmarked).map_err(twice)?, first, rest))
}

/// The lines below the rows, and how many blank ones are among and after them.
type Foot<'l, 't> = (&'l [Line<'t>], Vec<Line<'t>>, u64);

fn foot<'l, 't>(mapping: &Mapping, lines: &'l [Line<'t>]) -> Result<Foot<'l, 't>, BillError> {
    let mut start = lines.len();
    let mut found = vec![];
    while found.len() < mapping.foot.len() {
        let template = &mapping.foot[mapping.foot.len() - 1 - found.len()];
        start = start.checked_sub(1).ok_or_else(|| BillError::Ends(template.written.clone()))?;
        let line = lines[start];
        if line.is_blank() {
            continue;
        }
        if template.matches(line.text, mapping.number).is_none() {
            return Err(BillError::Unexpected { line: line.number, expected: template.written.clone() });
        }
        found.push(line);
    }
    found.reverse();
    let blank = lines[start..].iter().filter(|line| line.is_blank()).count();
    Ok((&lines[..start], found, blank as u64))
}

/// The rows as they come.
struct Table<'m> {
    reader: Reader<'m>,
    mapping: &'m Mapping,
    items: Vec<Item>,
    aside: BTreeMap<(String, Option<Currency>), Aside>,
    /// By total that the foot states.
    totals: HashMap<(Option<String>, Option<String>), Option<Exact>>,
    /// Columns of those totals.
    places: HashMap<String, usize>,
    first_wrong: Vec<LineError>,
    wrong: u64,
}

impl<'m> Table<'m> {
    fn new(mapping: &'m Mapping, columns: &Columns) -> Self {
        let asked = mapping.foot.iter().flat_map(super::template::Template::stated);
        let totals: HashMap<_, _> =
            asked.map(|Stated { column, rule }| ((column.clone(), rule.clone()), Some(Exact::ZERO))).collect();
        let names = totals.keys().filter_map(|(column, _)| column.clone());
        let places = names.filter_map(|name| columns.place(&name).map(|place| (name, place))).collect();
        Self {
            reader: Reader::new(mapping, columns),
            mapping,
            items: vec![],
            aside: BTreeMap::new(),
            totals,
            places,
            first_wrong: vec![],
            wrong: 0,
        }
    }

    fn take(&mut self, row: &Row<'_>, accounting: &mut Accounting) {
        let read = self.reader.read(row).and_then(|(rule, read)| {
            self.add_up(row, &self.mapping.rules[rule].name)?;
            Ok((rule, read))
        });
        match read {
            Ok((_, Read::Item(item))) => {
                accounting.rows += row.spans;
                self.items.push(item);
            }
            Ok((rule, Read::Aside { amount, currency })) => {
                accounting.aside += row.spans;
                let name = self.mapping.rules[rule].name.clone();
                let new = Aside { name: name.clone(), currency, rows: 0, amount: 0 };
                let aside = self.aside.entry((name, currency)).or_insert(new);
                aside.rows += 1;
                aside.amount += i128::from(amount);
            }
            Err(why) => {
                self.wrong += 1;
                if self.first_wrong.len() < NAMED {
                    self.first_wrong.push(LineError { line: row.number, why });
                }
            }
        }
    }

    /// Adds a row to the totals that the foot will state.
    fn add_up(&mut self, row: &Row<'_>, rule: &str) -> Result<(), String> {
        for ((column, of), total) in &mut self.totals {
            if of.as_ref().is_some_and(|of| of != rule) {
                continue;
            }
            let number = match column {
                None => Exact::whole(1),
                Some(name) => {
                    let field = self.places.get(name).and_then(|place| row.fields.get(*place));
                    let text = field.map_or("", |field| field);
                    Exact::parse(text, self.mapping.number).map_err(|error| format!("{name}: {error}"))?
                }
            };
            *total = total.and_then(|total| total.plus(number));
        }
        Ok(())
    }

    /// Compares the totals that the foot states with those of the rows.
    fn stated(&self, mapping: &Mapping, foot: Vec<Line<'_>>) -> Result<Vec<StatedTotal>, BillError> {
        let mut agreed = vec![];
        for (template, Line { number: line, text }) in mapping.foot.iter().zip(foot) {
            for (stated, said) in template.matches(text, mapping.number).unwrap_or_default() {
                let what = stated.name();
                let found = self.totals.get(&(stated.column.clone(), stated.rule.clone())).copied().flatten();
                let found = found.unwrap_or(Exact::ZERO);
                match said {
                    Ok(value) if value.equals(found) => agreed.push(StatedTotal { line, what, value }),
                    Ok(value) => return Err(BillError::Total { line, what, said: value.to_string(), found }),
                    Err(error) => return Err(BillError::Total { line, what, said: error.to_string(), found }),
                }
            }
        }
        Ok(agreed)
    }
}
