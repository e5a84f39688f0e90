//! Times as a bill writes them, in the provider's zone.
//!
//! What must always hold: a time that does not exist in its zone is an error; one that exists twice, in the hour when the
//! clocks go back, is the earlier one.

use chrono::format::{Item as FormatItem, StrftimeItems};
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;

/// How times are written.
#[derive(Clone, Debug)]
pub(super) struct TimeFormat {
    format: String,
    zone: Tz,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Date,
    DateAndTime,
    WithOffset,
}

impl TimeFormat {
    /// Takes a format of `strftime`; nothing if it is none.
    pub fn new(format: &str, zone: Tz) -> Option<Self> {
        if StrftimeItems::new(format).any(|item| matches!(item, FormatItem::Error)) {
            return None;
        }
        let has = |marks: &[&str]| marks.iter().any(|mark| format.contains(mark));
        let shape = if has(&["%z", "%:z", "%+", "%#z"]) || format == "%s" {
            Shape::WithOffset
        } else if has(&["%H", "%I", "%T", "%R", "%X", "%c", "%r"]) {
            Shape::DateAndTime
        } else {
            Shape::Date
        };
        Some(Self { format: format.to_owned(), zone, shape })
    }

    /// Reads a time; nothing if the text is none.
    pub fn parse(&self, text: &str) -> Option<DateTime<Utc>> {
        let local = match self.shape {
            Shape::WithOffset => {
                return DateTime::parse_from_str(text, &self.format).ok().map(|time| time.with_timezone(&Utc)).or_else(
                    || {
                        let seconds = (self.format == "%s").then(|| text.parse().ok()).flatten()?;
                        DateTime::from_timestamp(seconds, 0)
                    },
                );
            }
            Shape::DateAndTime => NaiveDateTime::parse_from_str(text, &self.format).ok()?,
            Shape::Date => NaiveDate::parse_from_str(text, &self.format).ok()?.and_time(NaiveTime::MIN),
        };
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.with_timezone(&Utc)),
            LocalResult::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(format: &str, zone: Tz, text: &str) -> Option<String> {
        TimeFormat::new(format, zone).unwrap().parse(text).map(|time| time.to_rfc3339())
    }

    #[test]
    fn local_times_become_universal_time() {
        let minutes = "%Y-%m-%d %H:%M:%S";
        assert_eq!(parsed(minutes, Tz::Asia__Shanghai, "2026-07-01 07:59:59").unwrap(), "2026-06-30T23:59:59+00:00");
        assert_eq!(parsed("%d.%m.%Y", Tz::Europe__Berlin, "01.07.2026").unwrap(), "2026-06-30T22:00:00+00:00");
        assert_eq!(
            parsed("%Y-%m-%dT%H:%M:%S%:z", Tz::UTC, "2026-07-01T08:00:00+08:00").unwrap(),
            "2026-07-01T00:00:00+00:00"
        );
        assert_eq!(parsed("%s", Tz::UTC, "1782864000").unwrap(), "2026-07-01T00:00:00+00:00");
    }

    #[test]
    fn the_hours_when_clocks_change_are_not_guessed() {
        let minutes = "%Y-%m-%d %H:%M";
        assert_eq!(parsed(minutes, Tz::Europe__Berlin, "2026-03-29 02:30"), None);
        assert_eq!(parsed(minutes, Tz::Europe__Berlin, "2026-10-25 02:30").unwrap(), "2026-10-25T00:30:00+00:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(parsed("%Y-%m-%d", Tz::UTC, "2026-02-30"), None);
        assert_eq!(parsed("%Y-%m-%d", Tz::UTC, "2026-02-03 "), None);
        assert!(TimeFormat::new("%Y-%Q", Tz::UTC).is_none());
    }
}
