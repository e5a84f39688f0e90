//! One row of a bill, by the first rule that fits it.
//!
//! What must always hold: a row that no rule fits, or that lacks what its rule needs, is an error.

use std::borrow::Cow;
use std::collections::HashMap;

use super::exact::{Exact, NumberFormat};
use super::mapping::{AmountRule, ItemRule, Makes, Mapping, Rule, Sign, Source, state};
use super::split::Row;
use super::template::folded;
use crate::item::{Currency, Item, State};

/// The longest number or reference of either side.
const LONGEST_ID: usize = 128;

/// Where the columns are.
#[derive(Debug)]
pub(super) struct Columns(HashMap<String, usize>, pub usize);

impl Columns {
    /// Takes the names as the file has them; an error is a name that is there twice.
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Result<Self, String> {
        let mut places = HashMap::new();
        let mut count = 0;
        for name in names {
            // Unnamed columns can't be asked for, so several do no harm.
            if !folded(name).is_empty() && places.insert(folded(name), count).is_some() {
                return Err(name.to_owned());
            }
            count += 1;
        }
        Ok(Self(places, count))
    }

    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.0.get(&folded(name)).copied()
    }
}

/// The rules of a mapping with columns looked up once.
pub(super) struct Reader<'m> {
    rules: Vec<(&'m Rule, Places)>,
    number: NumberFormat,
    columns: usize,
}

#[derive(Default)]
struct Places {
    when: Vec<usize>,
    id: Vec<usize>,
    other_id: Vec<usize>,
    payment: Option<usize>,
    group: Option<usize>,
    amount: Option<usize>,
    currency: Option<usize>,
    state: Option<usize>,
    time: Option<usize>,
    fee: Option<usize>,
}

/// What a row is.
#[derive(Debug)]
pub(super) enum Read {
    Item(Item),
    Aside { amount: i64, currency: Option<Currency> },
}

impl<'m> Reader<'m> {
    /// The caller has checked that every column that the mapping needs is there.
    pub fn new(mapping: &'m Mapping, columns: &Columns) -> Self {
        let rules = mapping.rules.iter().map(|rule| (rule, Places::new(rule, columns))).collect();
        Self { rules, number: mapping.number, columns: columns.1 }
    }

    /// Reads a row; with it comes the number of the rule that fits.
    pub fn read(&self, row: &Row<'_>) -> Result<(usize, Read), String> {
        if row.fields.len() != self.columns {
            return Err(format!("the row has {} fields, the columns are {}", row.fields.len(), self.columns));
        }
        let fits = |(rule, places): &&(&Rule, Places)| {
            rule.when.iter().zip(&places.when).all(|((_, values), place)| {
                let field = field(row, Some(*place));
                values.iter().any(|value| value == field)
            })
        };
        let found = self.rules.iter().position(|rule| fits(&rule));
        let number = found.ok_or("no rule of the mapping fits the row")?;
        let (rule, places) = &self.rules[number];
        let read = match &rule.makes {
            Makes::Item(item) => Read::Item(self.item(row, item, places)?),
            Makes::Aside { amount, currency } => {
                let currency = currency.as_ref().map(|currency| self::currency(row, currency, places)).transpose()?;
                let amount = match (amount, currency) {
                    (Some(rule), Some(currency)) => self.amount(row, rule, places, currency)?,
                    _ => 0,
                };
                Read::Aside { amount, currency }
            }
        };
        Ok((number, read))
    }

    fn item(&self, row: &Row<'_>, rule: &ItemRule, places: &Places) -> Result<Item, String> {
        let currency = currency(row, &rule.currency, places)?;
        let amount = self.amount(row, &rule.amount, places, currency)?;
        let text = field(row, places.time);
        let at = rule.time.parse(text);
        let fee = field(row, places.fee);
        let fee = if fee.is_empty() { None } else { Some(Exact::parse(fee, self.number).map_err(|e| e.to_string())?) };
        let other = rule.other_id.iter().zip(&places.other_id).map(|(_, place)| field(row, Some(*place)));
        Ok(Item {
            kind: rule.kind,
            id: id(row, &places.id)?,
            at: at.ok_or_else(|| format!("`{}` is no time of {}", shown(text), rule.time_column))?,
            place: row.number,
            other_id: short(other.into_iter().find(|text| !text.is_empty()).unwrap_or(""))?,
            payment: short(field(row, places.payment))?,
            group: short(field(row, places.group))?,
            amount,
            currency,
            state: self::state_of(row, &rule.state, places)?,
            fee,
        })
    }

    /// The amount in minor units; for an item without its sign, which the rule has checked.
    fn amount(&self, row: &Row<'_>, rule: &AmountRule, places: &Places, currency: Currency) -> Result<i64, String> {
        let number = Exact::parse(field(row, places.amount), self.number).map_err(|error| error.to_string())?;
        let wrong_sign = match rule.sign {
            Sign::Positive => number.is_negative(),
            Sign::Negative => !number.is_negative() && !number.is_zero(),
            Sign::Any => false,
        };
        if wrong_sign {
            return Err(format!("{number} has the wrong sign for {}", rule.column));
        }
        let number = if rule.sign == Sign::Negative { number.magnitude() } else { number };
        number.minor_units(rule.decimals.unwrap_or_else(|| currency.decimals())).map_err(|error| error.to_string())
    }
}

impl Places {
    fn new(rule: &Rule, columns: &Columns) -> Self {
        let all = |names: &[String]| names.iter().filter_map(|name| columns.place(name)).collect();
        let one = |name: &Option<String>| name.as_ref().and_then(|name| columns.place(name));
        let when = rule.when.iter().filter_map(|(column, _)| columns.place(column)).collect();
        match &rule.makes {
            Makes::Item(item) => Self {
                when,
                id: all(&item.id),
                other_id: all(&item.other_id),
                payment: one(&item.payment),
                group: one(&item.group),
                amount: columns.place(&item.amount.column),
                currency: place_of(&item.currency, columns),
                state: place_of(&item.state, columns),
                time: columns.place(&item.time_column),
                fee: one(&item.fee),
            },
            Makes::Aside { amount, currency } => Self {
                when,
                amount: amount.as_ref().and_then(|amount| columns.place(&amount.column)),
                currency: currency.as_ref().and_then(|currency| place_of(currency, columns)),
                ..Self::default()
            },
        }
    }
}

fn place_of<T>(source: &Source<T>, columns: &Columns) -> Option<usize> {
    match source {
        Source::Always(_) => None,
        Source::Column { column, .. } => columns.place(column),
    }
}

fn field<'r>(row: &'r Row<'_>, place: Option<usize>) -> &'r str {
    place.and_then(|place| row.fields.get(place)).map_or("", |field: &Cow<'_, str>| field)
}

/// The columns of an id, joined by slashes.
fn id(row: &Row<'_>, places: &[usize]) -> Result<String, String> {
    let parts: Vec<&str> =
        places.iter().map(|place| field(row, Some(*place))).filter(|part| !part.is_empty()).collect();
    short(&parts.join("/"))?.ok_or_else(|| "the row has no number of its own".to_owned())
}

fn short(text: &str) -> Result<Option<String>, String> {
    match text.len() {
        0 => Ok(None),
        1..=LONGEST_ID => Ok(Some(text.to_owned())),
        _ => Err(format!("`{}` is longer than a number or reference may be", shown(text))),
    }
}

fn currency(row: &Row<'_>, source: &Source<Currency>, places: &Places) -> Result<Currency, String> {
    value(row, source, places.currency, Currency::parse, "currency")
}

fn state_of(row: &Row<'_>, source: &Source<State>, places: &Places) -> Result<State, String> {
    value(row, source, places.state, state, "state")
}

fn value<T: Copy>(
    row: &Row<'_>,
    source: &Source<T>,
    place: Option<usize>,
    read: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Result<T, String> {
    let (value, text) = match source {
        Source::Always(value) => return Ok(*value),
        Source::Column { values: Some(values), .. } => {
            let text = field(row, place);
            (values.get(text).copied(), text)
        }
        Source::Column { values: None, .. } => {
            let text = field(row, place);
            (read(text), text)
        }
    };
    value.ok_or_else(|| format!("`{}` is no {what} that the mapping knows", shown(text)))
}

/// The beginning of a text, for a message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
