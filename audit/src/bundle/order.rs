//! The order that every log has, whatever its events mean: positions, times, ids, and streams.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Rules;
use crate::entry::Entry;
use crate::finding::{Finding, Kind};

/// Checks the order of events.
#[derive(Debug, Default)]
pub struct Order {
    position: u64,
    recorded_at: Option<i64>,
    ids: HashSet<Uuid>,
    /// By type and id: the last sequence, and whose it is.
    streams: HashMap<String, HashMap<Box<str>, (u64, Uuid)>>,
}

impl Rules for Order {
    type Summary = u64;

    fn check(&mut self, entry: &Entry<'_>) -> Result<(), Finding> {
        let position = entry.position;
        let expected = self.position + 1;
        if position != expected {
            let what = if position > expected {
                format!("the event is missing, position {position} stands in its place")
            } else {
                format!("position {position} stands here again")
            };
            return Err(Finding::new(expected, Kind::Position, what));
        }
        self.position = position;
        if self.recorded_at.is_some_and(|before| entry.recorded_at <= before) {
            return Err(Finding::new(position, Kind::Time, "its time is not after that of the one before"));
        }
        self.recorded_at = Some(entry.recorded_at);
        if !self.ids.insert(entry.event_id) {
            return Err(Finding::new(position, Kind::Identity, format!("event {} stands twice", entry.event_id)));
        }
        if !self.streams.contains_key(entry.aggregate_type) {
            self.streams.insert(entry.aggregate_type.to_owned(), HashMap::new());
        }
        let Some(streams) = self.streams.get_mut(entry.aggregate_type) else { return Ok(()) };
        let (next, owner) = match streams.get_mut(entry.aggregate_id) {
            Some((last, owner)) => {
                let next = *last + 1;
                *last = entry.sequence;
                (next, *owner)
            }
            None => {
                streams.insert(entry.aggregate_id.into(), (entry.sequence, entry.tenant_id));
                (1, entry.tenant_id)
            }
        };
        if entry.sequence != next {
            let what = format!("its stream is at {next} and it says {}", entry.sequence);
            return Err(Finding::new(position, Kind::Stream, what));
        }
        if entry.tenant_id != owner {
            return Err(Finding::new(position, Kind::Stream, "its stream belongs to another tenant"));
        }
        Ok(())
    }

    fn finish(self) -> Result<u64, Finding> {
        Ok(self.position)
    }
}
