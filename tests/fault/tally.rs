//! How many faults of each kind there were, and what each of them hit.
//!
//! What always holds: a fault counts only if a write was in flight when it came; one that hit nothing is counted as not run,
//! and another takes its place.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::kind::Kind;
use crate::support::dice::Dice;

/// The faults of a kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hits {
    /// How many hit something.
    pub count: u64,
    /// How many did not, and do not count.
    pub not_run: u64,
    /// Writes in flight at all of them together.
    pub total: u64,
    /// At the one that hit the fewest.
    pub min: u64,
    /// At the one that hit the most.
    pub max: u64,
}

/// The faults of all kinds.
#[derive(Debug, Default)]
pub struct Tally(Mutex<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    hits: BTreeMap<Kind, Hits>,
    /// How many of each kind there shall be by the end of this installation.
    goals: BTreeMap<Kind, u64>,
    /// Faults on their way.
    begun: BTreeMap<Kind, u64>,
}

impl Default for State {
    fn default() -> Self {
        Self { start: Instant::now(), hits: BTreeMap::new(), goals: BTreeMap::new(), begun: BTreeMap::new() }
    }
}

impl State {
    fn lacks(&self, kind: Kind) -> u64 {
        let done = self.hits.get(&kind).map_or(0, |hits| hits.count);
        self.goals.get(&kind).copied().unwrap_or_default().saturating_sub(done)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.lacks(kind) > self.begun.get(&kind).copied().unwrap_or_default()
    }
}

impl Tally {
    /// From now on there shall be so many of each of these kinds.
    pub fn aim_at(&self, goal: u64, kinds: &[Kind]) {
        let mut state = self.0.lock();
        state.goals = kinds.iter().map(|&kind| (kind, goal)).collect();
    }

    /// One of `among` of which there are not enough yet, which the caller now brings about: [`Tally::hit`] or
    /// [`Tally::missed`] says what became of it. `None` when there are enough of all.
    pub fn begin(&self, among: &[Kind], dice: &mut Dice) -> Option<Kind> {
        let mut state = self.0.lock();
        let wanted: Vec<Kind> = among.iter().copied().filter(|&kind| state.wants(kind)).collect();
        if wanted.is_empty() {
            return None;
        }
        let kind = *dice.pick(&wanted);
        *state.begun.entry(kind).or_default() += 1;
        Some(kind)
    }

    /// A fault came while so many writes were in flight.
    pub fn hit(&self, kind: Kind, in_flight: u64) {
        if in_flight == 0 {
            return self.missed(kind);
        }
        let mut state = self.0.lock();
        *state.begun.entry(kind).or_default() -= 1;
        let hits = state.hits.entry(kind).or_default();
        hits.min = if hits.count == 0 { in_flight } else { hits.min.min(in_flight) };
        hits.max = hits.max.max(in_flight);
        hits.total += in_flight;
        hits.count += 1;
        let seconds = state.start.elapsed().as_secs_f64();
        println!("{seconds:>8.2} s  {:<28} {in_flight:>3} writes in flight", kind.name());
    }

    /// A fault found nothing to hit.
    pub fn missed(&self, kind: Kind) {
        let mut state = self.0.lock();
        *state.begun.entry(kind).or_default() -= 1;
        state.hits.entry(kind).or_default().not_run += 1;
    }

    /// A fault could not be brought about here; somebody else may.
    pub fn put_back(&self, kind: Kind) {
        *self.0.lock().begun.entry(kind).or_default() -= 1;
    }

    /// Those of `among` of which there are not enough yet, the ones on their way left aside.
    pub fn missing(&self, among: &[Kind]) -> Vec<Kind> {
        let state = self.0.lock();
        among.iter().copied().filter(|&kind| state.lacks(kind) > 0).collect()
    }

    /// What became of each kind.
    pub fn hits(&self) -> Vec<(Kind, Hits)> {
        let state = self.0.lock();
        Kind::ALL.into_iter().map(|kind| (kind, state.hits.get(&kind).copied().unwrap_or_default())).collect()
    }

    /// The same for `target/fault.json`.
    pub fn report(&self) -> Value {
        let kinds = self.hits().into_iter().map(|(kind, hits)| {
            let Hits { count, not_run, total, min, max } = hits;
            let line = json!({ "count": count, "writes_in_flight": total, "min": min, "max": max, "not_run": not_run });
            (kind.name().to_owned(), line)
        });
        Value::Object(kinds.collect())
    }
}
