//! What follows from the log alone, as of a position: the replay's state, daily sums, and a digest over every event.
//!
//! What always holds: the read models have no part in it; the same events give the same proof.

use chrono::{DateTime, NaiveDate};
use hashbrown::HashMap;
use quotary_audit::entry::{self, Entry};
use quotary_audit::replay::{Posting, Replay, SavedError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What is kept beside the replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beside {
    /// SHA-256 over the digest before and an event's canonical bytes, event after event.
    pub digest: [u8; 32],
    pub daily: HashMap<DayKey, Day>,
    /// The rows of the last run, which all were as they should be: table, how many, and a sum over their digests.
    pub rows: Vec<RowsSeal>,
}

/// An agent's day and kind of movement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DayKey {
    pub agent: Uuid,
    /// Days since 1970.
    pub day: i32,
    pub kind: String,
}

/// The sums of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    pub tenant: Uuid,
    pub entries: i64,
    pub received: i64,
    pub given: i64,
    pub moved: i64,
    pub available: i64,
    pub held: i64,
    pub last_position: u64,
}

/// Rows of a table up to a position, as they were when each was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowsSeal {
    pub table: String,
    pub count: i64,
    pub sum: String,
}

/// What follows from the log.
#[derive(Clone, Debug)]
pub struct Proof {
    pub(super) replay: Replay,
    pub(super) beside: Beside,
    buffer: Vec<u8>,
}

impl Default for Proof {
    fn default() -> Self {
        Self { replay: Replay::collecting(), beside: Beside::default(), buffer: Vec::new() }
    }
}

#[derive(Deserialize)]
struct Occurred {
    occurred_at: Option<String>,
}

impl Proof {
    /// Goes on from saved bytes.
    ///
    /// # Errors
    /// [`SavedError`] if they are none.
    pub fn load(bytes: &[u8]) -> Result<Self, SavedError> {
        let (replay, beside) = Replay::load(bytes)?;
        Ok(Self { replay: replay.collect_all(), beside, buffer: Vec::new() })
    }

    /// The state as bytes.
    ///
    /// # Errors
    /// [`SavedError`] if it can't be written.
    pub fn save(&self) -> Result<Vec<u8>, SavedError> {
        self.replay.save(&self.beside)
    }

    /// The position up to which events were read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.replay.position()
    }

    /// The chained digest over all events, in hexadecimal.
    #[must_use]
    pub fn log_digest(&self) -> String {
        entry::hex(&self.beside.digest)
    }

    /// Takes the next event; what is wrong with it stands among the replay's findings.
    pub fn take(&mut self, event: &Entry<'_>) -> Option<(Posting, i64)> {
        self.buffer.clear();
        let mut digest = Sha256::new_with_prefix(self.beside.digest);
        match entry::encode(event, &mut self.buffer) {
            Ok(beside) => {
                digest.update(&self.buffer);
                for (text, beside) in [event.payload, event.metadata].into_iter().zip(beside) {
                    if beside.is_some() {
                        digest.update(text.as_bytes());
                    }
                }
            }
            // A name that has no canonical bytes is found by the replay as well; here it only has to count.
            Err(_) => digest.update(event.payload.as_bytes()),
        }
        self.beside.digest = digest.finalize().into();
        // It gathers what it finds, so there is no error here.
        self.replay.check(event).unwrap_or_default();
        let posting = self.replay.posting()?.clone();
        let occurred_at = occurred_at(event);
        self.add_to_day(&posting, occurred_at);
        Some((posting, occurred_at))
    }

    fn add_to_day(&mut self, posting: &Posting, occurred_at: i64) {
        let date = DateTime::from_timestamp_micros(occurred_at).unwrap_or_default().date_naive();
        let day = i32::try_from((date - NaiveDate::default()).num_days()).unwrap_or(i32::MAX);
        let key = DayKey { agent: posting.agent_id, day, kind: posting.kind.to_owned() };
        let sums = self.beside.daily.entry(key).or_default();
        let net = posting.available + posting.held;
        sums.tenant = posting.tenant_id;
        sums.entries += 1;
        sums.received += net.max(0);
        sums.given -= net.min(0);
        sums.moved += if posting.counter_account.is_none() { posting.held.abs() } else { 0 };
        sums.available += posting.available;
        sums.held += posting.held;
        sums.last_position = posting.position;
    }
}

/// When an event happened, in microseconds since 1970.
fn occurred_at(event: &Entry<'_>) -> i64 {
    if !event.metadata.contains("occurred_at") {
        return event.recorded_at;
    }
    let noted = serde_json::from_str::<Occurred>(event.metadata).ok().and_then(|occurred| occurred.occurred_at);
    let time = noted.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    time.map_or(event.recorded_at, |time| time.timestamp_micros())
}
