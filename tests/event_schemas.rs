//! Published events against their schemas and golden samples in `schema/events/`.
//!
//! What always holds: every event type has a schema and a sample, a sample that was ever committed is read by today's code
//! to the same JSON, and nothing lies in the folder that no code knows.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use quotary_domain::account::AccountEvent;
use quotary_domain::agent_quota::AgentQuotaEvent;
use quotary_domain::case::CaseEvent;
use quotary_domain::event::AGGREGATE_TYPES;
use quotary_domain::license::LicenseEvent;
use quotary_domain::license_batch::LicenseBatchEvent;
use quotary_domain::order::OrderEvent;
use quotary_domain::project::ProjectEvent;
use quotary_domain::proposal::ProposalEvent;
use quotary_domain::reconciliation::ReconciliationEvent;
use quotary_domain::reversal::ReversalEvent;
use quotary_domain::risk::RiskPolicyEvent;
use quotary_domain::tenant::TenantEvent;
use quotary_domain::transfer::TransferEvent;
use quotary_domain::withdrawal::WithdrawalEvent;
use quotary_domain::{Event, EventName, RecordedEvent, TenantId};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

/// The `$id` of every schema begins with it; `ce-dataschema` of a message has the same form.
const BASE: &str = "https://quotary.com/schema/events";

/// Every event type of the domain, with its aggregate's.
fn all_types() -> Vec<(&'static str, &'static str)> {
    let names = [
        ("Tenant", TenantEvent::NAMES),
        ("Account", AccountEvent::NAMES),
        ("Project", ProjectEvent::NAMES),
        ("AgentQuota", AgentQuotaEvent::NAMES),
        ("LicenseBatch", LicenseBatchEvent::NAMES),
        ("License", LicenseEvent::NAMES),
        ("Withdrawal", WithdrawalEvent::NAMES),
        ("Transfer", TransferEvent::NAMES),
        ("RiskPolicy", RiskPolicyEvent::NAMES),
        ("Reversal", ReversalEvent::NAMES),
        ("Order", OrderEvent::NAMES),
        ("Reconciliation", ReconciliationEvent::NAMES),
        ("Case", CaseEvent::NAMES),
        ("Proposal", ProposalEvent::NAMES),
    ];
    assert_eq!(names.map(|(aggregate, _)| aggregate).as_slice(), AGGREGATE_TYPES);
    names.iter().flat_map(|(aggregate, names)| names.iter().map(|name| (*aggregate, *name))).collect()
}

fn schema_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

/// All files under `schema/events`, as `<aggregate>/<file>` with their text.
fn all_files() -> BTreeMap<String, String> {
    let folder = schema_folder().join("events");
    let children =
        |folder: &Path| -> Vec<PathBuf> { fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect() };
    children(&folder)
        .iter()
        .flat_map(|aggregate| children(aggregate))
        .map(|file| {
            let name = file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file).unwrap())
        })
        .collect()
}

/// A schema with its samples.
struct Described {
    aggregate: String,
    event: String,
    version: String,
    schema: Value,
    validator: Validator,
    samples: Vec<(String, Value)>,
}

fn described() -> Vec<Described> {
    let files = all_files();
    let schemas = files.iter().filter_map(|(name, text)| Some((name.strip_suffix(".schema.json")?, text)));
    schemas
        .map(|(stem, text)| {
            let (aggregate, event) = stem.split_once('/').unwrap();
            let (event, version) = event.split_once(".v").unwrap();
            let schema: Value = serde_json::from_str(text).unwrap();
            let is_sample = |name: &str| name.starts_with(&format!("{stem}.")) && name.ends_with(".sample.json");
            let samples = files.iter().filter(|(name, _)| is_sample(name));
            Described {
                aggregate: aggregate.to_owned(),
                event: event.to_owned(),
                version: version.to_owned(),
                validator: jsonschema::options().should_validate_formats(true).build(&schema).unwrap(),
                samples: samples.map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap())).collect(),
                schema,
            }
        })
        .collect()
}

fn recorded(described: &Described, payload: &Value) -> RecordedEvent {
    RecordedEvent {
        position: 1,
        event_id: Uuid::nil(),
        tenant_id: TenantId::default(),
        aggregate_type: described.aggregate.clone(),
        aggregate_id: Uuid::nil(),
        sequence: 1,
        event_type: described.event.clone(),
        event_version: described.version.clone(),
        payload: RawValue::from_string(payload.to_string()).unwrap(),
        metadata: quotary_domain::Metadata::default(),
        recorded_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// What today's code writes for an event: its name, its version, its payload.
fn written(event: &Event) -> (&'static str, &'static str, Value) {
    fn of<E: EventName + serde::Serialize>(event: &E) -> (&'static str, &'static str, Value) {
        (event.name(), event.version(), serde_json::to_value(event).unwrap())
    }
    match event {
        Event::Tenant(event) => of(event),
        Event::Account(event) => of(event),
        Event::Project(event) => of(event),
        Event::AgentQuota(event) => of(event),
        Event::LicenseBatch(event) => of(event),
        Event::License(event) => of(event),
        Event::Withdrawal(event) => of(event),
        Event::Transfer(event) => of(event),
        Event::RiskPolicy(event) => of(event),
        Event::Reversal(event) => of(event),
        Event::Proposal(event) => of(event),
        Event::Order(event) => of(event),
        Event::Reconciliation(event) => of(event),
        Event::Case(event) => of(event),
    }
}

/// The JSON pointers of all objects in `value`.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            fields.iter().for_each(|(name, field)| objects(field, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| objects(item, &format!("{at}/{i}"), found));
        }
        _ => {}
    }
}

fn fields<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap()
}

#[test]
fn every_event_type_has_a_schema_and_a_sample() {
    let described = described();
    for (aggregate, event) in all_types() {
        let found = described.iter().find(|it| it.aggregate == aggregate && it.event == event);
        let found = found.unwrap_or_else(|| panic!("{aggregate}/{event} has no schema"));
        assert!(!found.samples.is_empty(), "{aggregate}/{event} has no sample");
    }
}

#[test]
fn no_file_is_without_an_event_type() {
    let known: BTreeSet<_> = all_types().into_iter().collect();
    for name in all_files().into_keys() {
        let (aggregate, file) = name.split_once('/').unwrap();
        let event = file.split_once(".v").map_or("", |(event, _)| event);
        assert!(known.contains(&(aggregate, event)), "{name} belongs to no event");
        assert!(file.ends_with(".schema.json") || file.ends_with(".sample.json"), "{name} is of no known kind");
    }
    let samples: usize = described().iter().map(|it| it.samples.len()).sum();
    assert_eq!(samples, all_files().keys().filter(|name| name.ends_with(".sample.json")).count());
}

#[test]
fn every_schema_is_one_and_says_what_it_describes() {
    for it in described() {
        jsonschema::meta::validate(&it.schema).unwrap();
        let id = format!("{BASE}/{}/{}.v{}.schema.json", it.aggregate, it.event, it.version);
        assert_eq!(it.schema["$id"], id);
        assert_eq!(it.schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{id}");
        assert!(it.schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
    }
}

#[test]
fn todays_code_reads_every_sample_and_writes_it_again() {
    for it in described() {
        for (name, sample) in &it.samples {
            let problems: Vec<_> = it.validator.iter_errors(sample).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{name}: {problems:?}");
            let event = recorded(&it, sample).decode().unwrap_or_else(|error| panic!("{name}: {error:?}"));
            let (event, version, payload) = written(&event);
            assert_eq!((event, &payload), (it.event.as_str(), sample), "{name}");
            // A newer shape keeps its old samples readable, and has samples of its own.
            assert!(version >= it.version.as_str(), "{name} is newer than the code");
        }
    }
}

#[test]
fn a_field_too_many_is_refused_anywhere() {
    for it in described() {
        for (name, sample) in &it.samples {
            let mut found = Vec::new();
            objects(sample, "", &mut found);
            for pointer in found {
                let mut changed = sample.clone();
                fields(&mut changed, &pointer).insert("extra".into(), serde_json::json!({"deep": true}));
                assert!(!it.validator.is_valid(&changed), "{name} takes an extra field at {pointer:?}");
            }
        }
    }
}

#[test]
fn a_field_too_few_is_refused_unless_it_is_optional() {
    for it in described() {
        let smallest = it.samples.iter().min_by_key(|(_, sample)| sample.to_string().len()).unwrap();
        let (name, sample) = smallest;
        let content = sample[&it.event].as_object().unwrap();
        let required = it.schema["properties"][&it.event]["required"].as_array().unwrap();
        assert!(!it.validator.is_valid(&Value::Object(Map::new())), "{name}: the event's name may be missing");
        for field in required {
            let mut fewer = content.clone();
            fewer.remove(field.as_str().unwrap()).unwrap_or_else(|| panic!("{name} lacks {field}"));
            let mut changed = sample.clone();
            changed[&it.event] = Value::Object(fewer);
            assert!(!it.validator.is_valid(&changed), "{name} does without {field}");
        }
    }
}

#[test]
fn optional_fields_are_those_that_the_code_may_leave_out() {
    for it in described() {
        let content = &it.schema["properties"][&it.event];
        let required: BTreeSet<_> =
            content["required"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
        for field in
            content["properties"].as_object().unwrap().keys().filter(|field| !required.contains(field.as_str()))
        {
            let has = |sample: &Value| sample[&it.event].get(field).is_some();
            let (with, without): (Vec<_>, Vec<_>) = it.samples.iter().partition(|(_, sample)| has(sample));
            assert!(
                !with.is_empty() && !without.is_empty(),
                "{} needs a sample with and one without {field}",
                it.event
            );
        }
    }
}

#[test]
fn the_asyncapi_document_names_every_event_type() {
    let document = fs::read_to_string(schema_folder().join("asyncapi.yaml")).unwrap();
    assert!(document.contains("\nasyncapi: 3.0.0\n"));
    for it in described() {
        let Described { aggregate, event, version, .. } = &it;
        let message = format!("{aggregate}.{event}.v{version}");
        let lines = [
            format!("      {message}:\n        $ref: '#/components/messages/{message}'\n"),
            format!("    {message}:\n      name: com.quotary.{message}\n"),
            format!("          $ref: ./events/{aggregate}/{event}.v{version}.schema.json\n"),
        ];
        for line in lines {
            assert_eq!(document.matches(&line).count(), 1, "asyncapi.yaml should have once: {line}");
        }
    }
    let messages = document.matches("      name: com.quotary.").count();
    assert_eq!(messages, described().len(), "asyncapi.yaml names events that do not exist");
}
