//! One external reconciliation from bytes to report.
//!
//! What must always hold: the result follows from mapping, bill, orders and options alone, and names all of them by digest.

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use crate::bill::{self, Bill, BillError, Mapping, MappingError};
use crate::item::Item;
use crate::matching::{self, Inputs, Matching, MatchingError, Options, Period, Report, Rule};

/// Why no comparison came about.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The mapping is none.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The bill can't be read.
    #[error("the bill can't be read: {0}")]
    Bill(#[from] BillError),
    /// Our side, which came from a file, can't be read.
    #[error("the orders can't be read: {0}")]
    Orders(#[source] BillError),
    /// The input is out of range.
    #[error(transparent)]
    Matching(#[from] MatchingError),
}

/// Our side.
#[derive(Clone, Debug)]
pub struct Orders {
    items: Vec<Item>,
    sha256: String,
}

impl Orders {
    /// From a file, read like a bill.
    ///
    /// # Errors
    /// [`ExternalError::Orders`] says which line is wrong.
    pub fn from_file(mapping: &Mapping, bytes: &[u8]) -> Result<Self, ExternalError> {
        let Bill { items, sha256, .. } = bill::read(mapping, bytes).map_err(ExternalError::Orders)?;
        Ok(Self { items, sha256: hex(&sha256) })
    }

    /// From elsewhere; the digest is over the sorted items, so that their order does not matter.
    #[must_use]
    pub fn from_items(mut items: Vec<Item>) -> Self {
        items.sort_unstable();
        let mut digest = Sha256::new();
        for item in &items {
            let Item { kind, id, at, place, other_id, payment, group, amount, currency, state, fee: _ } = item;
            let text = |text: &Option<String>| text.as_deref().map(|text| format!("{}:{text}", text.len()));
            let line = format!(
                "{place} {} {}:{id} {} {:?} {:?} {:?} {amount} {currency} {}\n",
                kind.as_str(),
                id.len(),
                at.timestamp_micros(),
                text(other_id),
                text(payment),
                text(group),
                state.as_str(),
            );
            digest.update(line);
        }
        Self { items, sha256: hex(&digest.finalize()) }
    }
}

/// What was compared and what came out.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was compared.
    pub inputs: Inputs,
    /// How.
    pub options: Options,
    /// What came out.
    pub matching: Matching,
}

impl Comparison {
    /// The report.
    #[must_use]
    pub const fn report(&self) -> Report<'_> {
        Report { inputs: &self.inputs, options: &self.options, matching: &self.matching }
    }
}

/// A bill that was read, and by what.
#[derive(Clone, Debug)]
pub struct ReadBill {
    bill: Bill,
    provider: String,
    zone: Tz,
    mapping_sha256: String,
}

impl ReadBill {
    /// Reads a bill by the text of a mapping.
    ///
    /// # Errors
    /// [`ExternalError`] says what is wrong with which of them.
    pub fn new(mapping: &str, bytes: &[u8]) -> Result<Self, ExternalError> {
        let parsed = Mapping::parse(mapping)?;
        let bill = bill::read(&parsed, bytes)?;
        let Mapping { provider, zone, .. } = parsed;
        Ok(Self { bill, provider, zone, mapping_sha256: hex(&Sha256::digest(mapping)) })
    }

    /// The provider, as the mapping names it.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The first and the last day of its rows, in the provider's zone; nothing if it has no rows.
    #[must_use]
    pub fn days(&self) -> Option<(NaiveDate, NaiveDate)> {
        let days = || self.bill.items.iter().map(|item| item.at.with_timezone(&self.zone).date_naive());
        days().min().zip(days().max())
    }

    /// From the beginning of one day to the end of another, in the provider's zone; nothing if there is no such time.
    #[must_use]
    pub fn period(&self, from: NaiveDate, to: NaiveDate) -> Option<Period> {
        let start = |day: NaiveDate| {
            let midnight = day.and_time(NaiveTime::MIN).and_local_timezone(self.zone).earliest();
            // Where clocks go forward at midnight, the day begins an hour later.
            let first = midnight.or_else(|| day.and_hms_opt(1, 0, 0)?.and_local_timezone(self.zone).earliest());
            first.map(|time| time.to_utc())
        };
        let (from, to) = (start(from)?, start(to.succ_opt()?)?);
        (from < to).then_some(Period { from, to })
    }

    /// How to match, as a request says it: days as `2026-07-22`, rules as `MINOR_UNITS:DAYS`. Days that are not said are
    /// those of the bill.
    ///
    /// # Errors
    /// Which field is wrong, and why.
    pub fn options(
        &self,
        (from, to): (Option<&str>, Option<&str>),
        tolerance: u64,
        rules: &[String],
    ) -> Result<Options, (&'static str, String)> {
        let day = |field, text: Option<&str>| {
            let read = |text: &str| text.parse::<NaiveDate>().map_err(|_| (field, format!("`{text}` is no day")));
            text.map(read).transpose()
        };
        let (from, to) = (day("from", from)?, day("to", to)?);
        let period = match (from.or(self.days().map(|days| days.0)), to.or(self.days().map(|days| days.1))) {
            (Some(from), Some(to)) => {
                Some(self.period(from, to).ok_or_else(|| ("to", "the period ends before it begins".to_owned()))?)
            }
            _ => None,
        };
        let rules = rules.iter().map(|rule| Rule::parse(rule)).collect::<Option<Vec<Rule>>>();
        let rules = rules.ok_or_else(|| ("rules", "a rule is minor units and days, such as 0:1".to_owned()))?;
        let options = Options { tolerance: i64::try_from(tolerance).unwrap_or(i64::MAX), rules, period };
        options.check().map_err(|error| ("rules", error.to_string()))?;
        Ok(options)
    }

    /// Compares it with our orders.
    ///
    /// # Errors
    /// [`ExternalError::Matching`] if the input is out of range.
    pub fn compare(self, orders: Orders, options: Options) -> Result<Comparison, ExternalError> {
        let Self { bill, provider, mapping_sha256, .. } = self;
        let Bill { items, aside, accounting, stated, encoding, sha256 } = bill;
        let inputs = Inputs {
            provider,
            bill_sha256: hex(&sha256),
            mapping_sha256,
            orders_sha256: orders.sha256,
            encoding,
            accounting,
            stated,
            aside,
        };
        let matching = matching::reconcile(items, orders.items, &options)?;
        Ok(Comparison { inputs, options, matching })
    }
}

/// Reads a bill by the text of a mapping and compares it with our orders.
///
/// # Errors
/// [`ExternalError`] says what is wrong with which of them.
pub fn compare(mapping: &str, bytes: &[u8], orders: Orders, options: Options) -> Result<Comparison, ExternalError> {
    ReadBill::new(mapping, bytes)?.compare(orders, options)
}

/// The SHA-256 that stands in hexadecimal; nothing if the text is none.
#[must_use]
pub fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string can't fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BILL: &[u8] = b"id,payment_id,order_id,reference,kind,amount,currency,state,time\n\
        P1,,A1,,sale,10.00,EUR,completed,2026-07-01T23:30:00+00:00\n\
        P2,,A2,,sale,20.00,EUR,completed,2026-07-03T00:30:00+00:00\n";

    fn read(zone: &str) -> ReadBill {
        let mapping = bill::PROVIDED[3].1.replace("\"UTC\"", &format!("\"{zone}\""));
        ReadBill::new(&mapping, BILL).unwrap()
    }

    #[test]
    fn the_days_of_a_bill_are_those_of_the_providers_zone() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 7, day).unwrap();
        assert_eq!(read("UTC").days(), Some((day(1), day(3))));
        assert_eq!(read("Asia/Shanghai").days(), Some((day(2), day(3))));
        assert_eq!(read("America/New_York").days(), Some((day(1), day(2))));
        let period = read("Asia/Shanghai").period(day(2), day(3)).unwrap();
        assert_eq!(period.from.to_rfc3339(), "2026-07-01T16:00:00+00:00");
        assert_eq!(period.to.to_rfc3339(), "2026-07-03T16:00:00+00:00");
        assert_eq!(read("UTC").period(day(3), day(1)), None);
    }

    #[test]
    fn a_day_whose_midnight_does_not_exist_begins_an_hour_later() {
        let day = NaiveDate::from_ymd_opt(2018, 11, 4).unwrap();
        let period = read("America/Sao_Paulo").period(day, day).unwrap();
        assert_eq!(period.from.to_rfc3339(), "2018-11-04T03:00:00+00:00");
    }

    #[test]
    fn the_digest_of_orders_does_not_depend_on_their_order_and_tells_every_field() {
        let items = read("UTC").bill.items;
        let digest = |items: Vec<Item>| Orders::from_items(items).sha256;
        let first = digest(items.clone());
        assert_eq!(digest(items.iter().rev().cloned().collect()), first);
        let mut other = items;
        other[0].payment = Some("x".into());
        assert_ne!(digest(other), first);
    }
}
