//! A moment of the past: a position of the log, or a time.

use chrono::{DateTime, Utc};

/// Up to where a question about the past looks, that place included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The log as it was when it ended at this position.
    Position(u64),
    /// Everything that happened (`occurred_at`) up to this time.
    Time(DateTime<Utc>),
}

/// A text that is neither a position nor a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is a position (a whole number) or an RFC 3339 time")]
pub struct InvalidMoment;

impl std::str::FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(position) = text.parse::<u64>() {
            return i64::try_from(position).map(|_| Self::Position(position)).map_err(|_| InvalidMoment);
        }
        DateTime::parse_from_rfc3339(text).map(|time| Self::Time(time.to_utc())).map_err(|_| InvalidMoment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_times_are_told_apart() {
        assert_eq!("17".parse(), Ok(Moment::Position(17)));
        assert!(matches!("2026-01-02T03:04:05Z".parse(), Ok(Moment::Time(_))));
        for bad in ["", "-1", "yesterday", "99999999999999999999"] {
            assert_eq!(bad.parse::<Moment>(), Err(InvalidMoment), "{bad}");
        }
    }
}
