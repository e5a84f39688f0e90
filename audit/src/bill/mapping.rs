//! The file that says how to read one provider's bill.
//!
//! What must always hold: a mapping with an unknown key, an unknown currency, state or zone, or a template that does not
//! hold together is refused before any bill is read.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde::Deserialize;

use super::decode::Encoding;
use super::exact::NumberFormat;
use super::template::{Template, folded};
use super::time::TimeFormat;
use crate::item::{Currency, Kind, State};

/// The most bytes of a mapping file.
const MOST_BYTES: usize = 64 * 1024;
/// The most rules and lines of each sort in one.
const MOST_RULES: usize = 64;

/// Why a mapping file is refused.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It is too long to be one.
    #[error("a mapping file has at most {MOST_BYTES} bytes")]
    TooLong,
    /// It is no TOML, or has a key or value that mappings do not have.
    #[error("the mapping file can't be read: {0}")]
    Toml(String),
    /// It can be read, but does not hold together.
    #[error("the mapping file is wrong at `{at}`: {why}")]
    Wrong {
        /// The key.
        at: String,
        /// What is wrong.
        why: String,
    },
}

/// How to read one provider's bill.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The provider's name.
    pub provider: String,
    /// In which the bill's local times are.
    pub zone: Tz,
    pub(super) encodings: Vec<Encoding>,
    pub(super) shape: Shape,
    pub(super) number: NumberFormat,
    pub(super) head: Vec<Template>,
    pub(super) foot: Vec<Template>,
    /// Column names, if the file has none.
    pub(super) columns: Option<Vec<String>>,
    pub(super) rules: Vec<Rule>,
    /// Columns that must be there.
    pub(super) needed: BTreeSet<String>,
}

/// How fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As RFC 4180 says, with quotes.
    Quoted(u8),
    /// A delimiter and nothing else.
    Plain(char),
    /// Each value of a row begins with a mark, so that a delimiter inside a value is none.
    Marked(char, char),
}

/// What a row is, the first rule that fits.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub name: String,
    pub when: Vec<(String, Vec<String>)>,
    pub makes: Makes,
}

#[derive(Clone, Debug)]
pub(super) enum Makes {
    Item(Box<ItemRule>),
    /// Not about an order: counted and added up, not matched.
    Aside {
        amount: Option<AmountRule>,
        currency: Option<Source<Currency>>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct ItemRule {
    pub kind: Kind,
    pub id: Vec<String>,
    pub other_id: Vec<String>,
    pub payment: Option<String>,
    pub group: Option<String>,
    pub amount: AmountRule,
    pub currency: Source<Currency>,
    pub state: Source<State>,
    pub time_column: String,
    pub time: TimeFormat,
    pub fee: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmountRule {
    pub column: String,
    #[serde(default)]
    pub sign: Sign,
    /// Decimals of the number, if they are not those of the currency: 0 for minor units.
    pub decimals: Option<u32>,
}

/// Which sign the numbers of a column have; the item's amount has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sign {
    /// Never below zero.
    #[default]
    Positive,
    /// Never above zero.
    Negative,
    /// Either; for rows that are set aside.
    Any,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source<T> {
    Always(T),
    Column { column: String, values: Option<BTreeMap<String, T>> },
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`MappingError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        if text.len() > MOST_BYTES {
            return Err(MappingError::TooLong);
        }
        let file: File = toml::from_str(text).map_err(|error| MappingError::Toml(error.to_string()))?;
        file.checked()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: String,
    #[expect(dead_code, reason = "for people who read the file")]
    about: Option<String>,
    encodings: Vec<Encoding>,
    #[serde(default = "comma")]
    delimiter: char,
    #[serde(default)]
    quotes: Option<bool>,
    value_prefix: Option<char>,
    #[serde(default)]
    numbers: NumberFormat,
    #[serde(default)]
    head: Vec<String>,
    #[serde(default)]
    foot: Vec<String>,
    columns: Option<Vec<String>>,
    time_zone: Tz,
    time_format: Option<String>,
    #[serde(default)]
    row: Vec<RowOfFile>,
    #[serde(default)]
    aside: Vec<AsideOfFile>,
}

const fn comma() -> char {
    ','
}

type When = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowOfFile {
    kind: Kind,
    #[serde(default)]
    when: When,
    id: Vec<String>,
    #[serde(default)]
    other_id: Vec<String>,
    payment: Option<String>,
    group: Option<String>,
    amount: AmountRule,
    currency: ValueOfFile,
    state: ValueOfFile,
    time: TimeOfFile,
    fee: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsideOfFile {
    name: String,
    #[serde(default)]
    when: When,
    amount: Option<AmountRule>,
    currency: Option<ValueOfFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueOfFile {
    always: Option<String>,
    column: Option<String>,
    values: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeOfFile {
    column: String,
    format: Option<String>,
}

fn wrong(at: impl Into<String>, why: impl Into<String>) -> MappingError {
    MappingError::Wrong { at: at.into(), why: why.into() }
}

impl File {
    fn checked(self) -> Result<Mapping, MappingError> {
        if self.provider.is_empty() || self.provider.len() > 40 {
            return Err(wrong("provider", "a name of 1 to 40 bytes is needed"));
        }
        if self.encodings.is_empty() {
            return Err(wrong("encodings", "at least one is needed"));
        }
        for (at, count) in [("head", self.head.len()), ("foot", self.foot.len()), ("row", self.row.len())] {
            if count > MOST_RULES {
                return Err(wrong(at, format!("at most {MOST_RULES} are read")));
            }
        }
        if self.row.is_empty() {
            return Err(wrong("row", "at least one rule is needed"));
        }
        let shape = self.shape()?;
        let (head, foot) = (templates("head", &self.head)?, templates("foot", &self.foot)?);
        let mut rules = vec![];
        for row in self.row {
            rules.push(row.rule(self.time_zone, self.time_format.as_deref())?);
        }
        for aside in self.aside {
            rules.push(aside.rule()?);
        }
        let mut needed = BTreeSet::new();
        for rule in &rules {
            rule.needs(&mut needed);
        }
        for stated in foot.iter().flat_map(Template::stated) {
            needed.extend(stated.column.clone());
            if let Some(name) = stated.rule.as_ref().filter(|name| rules.iter().all(|rule| rule.name != **name)) {
                return Err(wrong("foot", format!("there is no rule `{name}`")));
            }
        }
        if let Some(stated) = head.iter().flat_map(Template::stated).next() {
            return Err(wrong("head", format!("a {} can only stand in the foot", stated.name())));
        }
        if let Some(columns) = &self.columns {
            let known: BTreeSet<String> = columns.iter().map(|name| folded(name)).collect();
            if let Some(name) = needed.iter().find(|name| !known.contains(&folded(name))) {
                return Err(wrong("columns", format!("`{name}` is used and not among them")));
            }
        }
        let Self { provider, encodings, numbers: number, columns, time_zone: zone, .. } = self;
        Ok(Mapping { provider, zone, encodings, shape, number, head, foot, columns, rules, needed })
    }

    fn shape(&self) -> Result<Shape, MappingError> {
        match (self.value_prefix, self.quotes) {
            (Some(_), Some(true)) => Err(wrong("value_prefix", "values with a prefix have no quotes")),
            (Some(prefix), _) => Ok(Shape::Marked(self.delimiter, prefix)),
            (None, Some(false)) => Ok(Shape::Plain(self.delimiter)),
            (None, _) => u8::try_from(self.delimiter)
                .ok()
                .filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r'))
                .map(Shape::Quoted)
                .ok_or_else(|| wrong("delimiter", "a delimiter beside quotes is one ASCII character")),
        }
    }
}

fn templates(at: &str, lines: &[String]) -> Result<Vec<Template>, MappingError> {
    let one = |line: &String| Template::parse(line).map_err(|error| wrong(at, format!("`{line}`: {error}")));
    lines.iter().map(one).collect()
}

impl RowOfFile {
    fn rule(self, zone: Tz, default_format: Option<&str>) -> Result<Rule, MappingError> {
        let name = self.kind.as_str().to_owned();
        let at = |key: &str| format!("row.{}.{key}", self.kind.as_str());
        if self.id.is_empty() {
            return Err(wrong(at("id"), "at least one column is needed"));
        }
        if self.amount.sign == Sign::Any {
            return Err(wrong(at("amount.sign"), "`any` is for rows that are set aside"));
        }
        let format = self.time.format.as_deref().or(default_format);
        let format = format.ok_or_else(|| wrong(at("time.format"), "there is neither this nor `time_format`"))?;
        let time = TimeFormat::new(format, zone)
            .ok_or_else(|| wrong(at("time.format"), format!("`{format}` is no format of a time")))?;
        let item = ItemRule {
            kind: self.kind,
            currency: self.currency.source(&at("currency"), Currency::parse)?,
            state: self.state.source(&at("state"), state)?,
            id: self.id,
            other_id: self.other_id,
            payment: self.payment,
            group: self.group,
            amount: self.amount,
            time_column: self.time.column,
            time,
            fee: self.fee,
        };
        Ok(Rule { name, when: self.when.into_iter().collect(), makes: Makes::Item(Box::new(item)) })
    }
}

impl AsideOfFile {
    fn rule(self) -> Result<Rule, MappingError> {
        if self.name.is_empty() || [Kind::Sale, Kind::Refund].iter().any(|kind| kind.as_str() == self.name) {
            return Err(wrong("aside.name", "a name is needed that is no kind of row"));
        }
        let at = format!("aside.{}.currency", self.name);
        if self.amount.is_some() && self.currency.is_none() {
            return Err(wrong(at, "an amount needs a currency"));
        }
        let currency = self.currency.map(|currency| currency.source(&at, Currency::parse)).transpose()?;
        let makes = Makes::Aside { amount: self.amount, currency };
        Ok(Rule { name: self.name, when: self.when.into_iter().collect(), makes })
    }
}

impl ValueOfFile {
    fn source<T>(self, at: &str, read: impl Fn(&str) -> Option<T>) -> Result<Source<T>, MappingError> {
        let value = |text: &str| read(text).ok_or_else(|| wrong(at, format!("`{text}` is not known")));
        match self {
            Self { always: Some(text), column: None, values: None } => Ok(Source::Always(value(&text)?)),
            Self { always: None, column: Some(column), values } => {
                let values = values.map(|values| {
                    values.into_iter().map(|(text, meaning)| Ok((text, value(&meaning)?))).collect::<Result<_, _>>()
                });
                Ok(Source::Column { column, values: values.transpose()? })
            }
            _ => Err(wrong(at, "either `always`, or `column` with or without `values`, is needed")),
        }
    }
}

/// A state by its name.
pub(super) fn state(name: &str) -> Option<State> {
    [State::Completed, State::Pending, State::Failed].into_iter().find(|state| state.as_str() == name)
}

impl Rule {
    fn needs(&self, needed: &mut BTreeSet<String>) {
        needed.extend(self.when.iter().map(|(column, _)| column.clone()));
        match &self.makes {
            Makes::Item(item) => {
                needed.extend(item.id.iter().chain(&item.other_id).chain(&item.payment).cloned());
                needed.extend(item.group.iter().chain(&item.fee).cloned());
                needed.extend([item.amount.column.clone(), item.time_column.clone()]);
                needed.extend(item.currency.column().chain(item.state.column()));
            }
            Makes::Aside { amount, currency } => {
                needed.extend(amount.iter().map(|amount| amount.column.clone()));
                needed.extend(currency.iter().flat_map(Source::column));
            }
        }
    }
}

impl<T> Source<T> {
    fn column(&self) -> impl Iterator<Item = String> + use<T> {
        match self {
            Self::Always(_) => None,
            Self::Column { column, .. } => Some(column.clone()),
        }
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        provider = "till"
        encodings = ["utf-8"]
        time_zone = "Europe/Berlin"
        time_format = "%Y-%m-%d"
        foot = ["total {count}, {sum:amount:sale}"]
        [[row]]
        kind = "sale"
        id = ["number"]
        other_id = ["order"]
        amount = { column = "amount" }
        currency = { always = "EUR" }
        state = { column = "state", values = { ok = "completed" } }
        time = { column = "day" }
    "#;

    #[test]
    fn a_mapping_knows_the_columns_that_it_needs() {
        let mapping = Mapping::parse(GOOD).unwrap();
        assert_eq!(mapping.needed.iter().collect::<Vec<_>>(), ["amount", "day", "number", "order", "state"]);
    }

    #[test]
    fn a_mapping_that_does_not_hold_together_is_refused() {
        for (from, to, at) in [
            ("provider = \"till\"", "provider = \"\"", "provider"),
            ("[\"utf-8\"]", "[]", "encodings"),
            ("{sum:amount:sale}", "{sum:amount:refund}", "foot"),
            ("total {count}", "total {many}", "foot"),
            ("\"EUR\"", "\"EURO\"", "row.sale.currency"),
            ("\"completed\"", "\"done\"", "row.sale.state"),
            ("[\"number\"]", "[]", "row.sale.id"),
            ("%Y-%m-%d", "%Y-%Q", "row.sale.time.format"),
            ("time_format = \"%Y-%m-%d\"", "", "row.sale.time.format"),
            ("{ column = \"amount\" }", "{ column = \"amount\", sign = \"any\" }", "row.sale.amount.sign"),
            ("provider", "value_prefix = \"`\"\nquotes = true\nprovider", "value_prefix"),
            ("provider", "delimiter = \"，\"\nprovider", "delimiter"),
            ("provider", "columns = [\"number\"]\nprovider", "columns"),
            ("provider", "head = [\"{count}\"]\nprovider", "head"),
        ] {
            let error = Mapping::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(matches!(&error, MappingError::Wrong { at: found, .. } if found == at), "{from} → {to}: {error}");
        }
        for (from, to) in
            [("provider", "povider"), ("Europe/Berlin", "Europe/Atlantis"), ("kind = \"sale\"", "kind = \"gift\"")]
        {
            let error = Mapping::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(matches!(error, MappingError::Toml(_)), "{from} → {to}: {error}");
        }
        assert!(matches!(Mapping::parse(&" ".repeat(MOST_BYTES + 1)), Err(MappingError::TooLong)));
    }
}
