//! The log against what the clients were told.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::command::{Fate, Intent, Record};
use super::load::{Activation, Done};

/// An event as the checks need it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Logged {
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub event_id: Uuid,
    /// Its aggregate.
    pub aggregate_id: String,
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub payload: sqlx::types::Json<Value>,
    /// Its circumstances.
    pub metadata: sqlx::types::Json<HashMap<String, String>>,
}

/// The whole log.
pub async fn read(pool: &PgPool) -> Vec<Logged> {
    sqlx::query_as(
        "select position, event_id, aggregate_id, event_type, payload, metadata from events order by position",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What the comparison counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Commands that were acknowledged, each found once.
    pub acknowledged: usize,
    /// Commands that were refused, none found.
    pub refused: usize,
    /// By code.
    pub refusals: BTreeMap<String, usize>,
    /// Commands of which an answer was lost.
    pub ambiguous: usize,
    /// Of those, how many had been done already: their answer was the stored one.
    pub stored: usize,
    /// Activations, each found once.
    pub activations: usize,
}

/// Compares, and fails at the first difference.
pub fn compare(log: &[Logged], done: &Done) -> Tally {
    let mut tally = Tally::default();
    let mut by_command: HashMap<(String, String), Vec<&Logged>> = HashMap::new();
    let mut by_stream: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in log {
        by_stream.entry(&event.aggregate_id).or_default().push(&event.event_type);
        if let (Some(correlation), Some(command)) =
            (event.metadata.get("correlation_id"), event.metadata.get("command"))
        {
            by_command.entry((command.clone(), correlation.clone())).or_default().push(event);
        }
    }
    for record in &done.records {
        let name = (record.intent.command().to_owned(), record.correlation.to_string());
        let found = by_command.remove(&name).unwrap_or_default();
        tally.ambiguous += usize::from(record.lost_answers > 0);
        match &record.fate {
            Fate::Acknowledged { position, id, replayed } => {
                check_once(record, &found, *position, id);
                tally.acknowledged += 1;
                tally.stored += usize::from(*replayed && record.lost_answers > 0);
            }
            Fate::Refused(code) => {
                assert!(found.is_empty(), "refused as {code} and yet in the log: {record:?}: {found:?}");
                tally.refused += 1;
                *tally.refusals.entry(code.clone()).or_default() += 1;
            }
        }
    }
    check_unknown(&by_command, done);
    for activation in &done.activations {
        check_activation(activation, &by_stream);
        tally.activations += 1;
        tally.ambiguous += usize::from(activation.lost_answers > 0);
    }
    tally
}

/// All events of an acknowledged command stand in the log, once, up to the position that was told.
fn check_once(record: &Record, found: &[&Logged], position: i64, id: &str) {
    let types: Vec<&str> = found.iter().map(|event| event.event_type.as_str()).collect();
    let mut expected = record.intent.events().to_vec();
    let mut sorted = types.clone();
    expected.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "acknowledged at {position}: {record:?}");
    let places: Vec<i64> = found.iter().map(|event| event.position).collect();
    let first = position - i64::try_from(places.len()).unwrap() + 1;
    assert_eq!(places, (first..=position).collect::<Vec<_>>(), "not one atomic step: {record:?}");
    for event in found {
        let body = &event.payload[&event.event_type];
        let names_id = match record.intent {
            Intent::Transfer { .. } | Intent::PaidTopUp { .. } | Intent::TopUp { .. } => body["journal_id"] == id,
            Intent::Batch { .. } | Intent::Withdrawal { .. } | Intent::Decision { .. } => {
                event.aggregate_id == id || body["hold_id"] == id
            }
        };
        assert!(names_id, "{id} is not what stands at {}: {:?}", event.position, event.payload);
        if let Some(amount) = body["amount"].as_i64() {
            assert_eq!(amount, amount_of(record.intent), "{record:?}");
        }
    }
}

fn amount_of(intent: Intent) -> i64 {
    match intent {
        Intent::Transfer { amount, .. }
        | Intent::PaidTopUp { amount, .. }
        | Intent::TopUp { amount, .. }
        | Intent::Withdrawal { amount, .. }
        | Intent::Decision { amount, .. } => amount,
        Intent::Batch { count, .. } => count * super::world::PRICE,
    }
}

/// Nothing of the load's commands is in the log that no client sent.
fn check_unknown(rest: &HashMap<(String, String), Vec<&Logged>>, done: &Done) {
    let commands: Vec<&str> = done.records.iter().map(|record| record.intent.command()).collect();
    let began = done.records.iter().filter_map(|record| match record.fate {
        Fate::Acknowledged { position, .. } => Some(position),
        Fate::Refused(_) => None,
    });
    let began = began.min().unwrap_or_default();
    for ((command, _), events) in rest {
        let unasked = commands.contains(&command.as_str()) && events.iter().any(|event| event.position >= began);
        assert!(!unasked, "in the log, and of nobody: {events:?}");
    }
}

fn check_activation(activation: &Activation, by_stream: &HashMap<&str, Vec<&str>>) {
    let mut expected = vec!["LicenseIssued", "LicenseActivated"];
    expected.extend(std::iter::repeat_n("MachineBound", activation.machines - 1));
    let found = by_stream.get(activation.license_id.as_str()).cloned().unwrap_or_default();
    assert_eq!(found, expected, "{activation:?}");
}

/// What every agent must have, from what the clients were told and nothing else: available and held.
pub fn balances(agents: usize, opening: i64, records: &[Record]) -> Vec<(i64, i64)> {
    let mut balances = vec![(opening, 0); agents];
    for record in records.iter().filter(|record| matches!(record.fate, Fate::Acknowledged { .. })) {
        match record.intent {
            Intent::Transfer { from, to, amount } | Intent::PaidTopUp { from, to, amount } => {
                balances[from].0 -= amount;
                balances[to].0 += amount;
            }
            Intent::TopUp { to, amount } => balances[to].0 += amount,
            // All batches are issued when this is compared, so nothing of their price is held.
            Intent::Batch { agent, .. } => balances[agent].0 -= amount_of(record.intent),
            Intent::Withdrawal { agent, amount } => {
                balances[agent].0 -= amount;
                balances[agent].1 += amount;
            }
            Intent::Decision { agent, amount, approved } => {
                balances[agent].1 -= amount;
                balances[agent].0 += if approved { 0 } else { amount };
            }
        }
    }
    balances
}
