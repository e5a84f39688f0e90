//! Times in answers of the client calls: RFC 3339 in UTC with microseconds, written without allocating.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde::{Serialize, Serializer};

/// A time as it stands in an answer, e.g. `2026-03-01T12:00:00.000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    /// The 27 characters; a year beyond 9999 does not occur and would keep its last four digits.
    fn write(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let time = self.0;
        digits(&mut text[0..4], time.year().unsigned_abs());
        digits(&mut text[5..7], time.month());
        digits(&mut text[8..10], time.day());
        digits(&mut text[11..13], time.hour());
        digits(&mut text[14..16], time.minute());
        digits(&mut text[17..19], time.second());
        digits(&mut text[20..26], time.nanosecond() / 1_000 % 1_000_000);
        text
    }
}

fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.write();
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(micros in 0_i64..253_402_300_800_000_000) {
            let time = DateTime::from_timestamp_micros(micros).unwrap();
            let text = serde_json::to_string(&Timestamp(time)).unwrap();
            prop_assert_eq!(text, format!("{:?}", time.to_rfc3339_opts(SecondsFormat::Micros, true)));
        }
    }
}
