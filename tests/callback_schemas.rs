//! Callbacks against their schemas and golden samples in `schema/callbacks/`.
//!
//! What always holds: every type has a schema and a sample, today's code makes the samples from the events that they tell of,
//! nothing lies in the folder that no code knows, and the documentation names every type.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use quotary_domain::callback::{CallbackBody, CallbackType, LicenseData, RefusalData, TestData};
use quotary_domain::license::{Issue, License, LicenseEvent, LicenseTerms, Machine};
use quotary_domain::{LicenseId, ProjectId, Sealed};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

fn read(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/callbacks").join(name);
    serde_json::from_str(&fs::read_to_string(&file).unwrap_or_else(|_| panic!("{name} is missing"))).unwrap()
}

fn sample(kind: CallbackType) -> Value {
    read(&format!("{}.sample.json", kind.as_str()))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn id(number: u8) -> Uuid {
    format!("0195b3c1-7a2e-7c4d-9e8f-2b1a3c4d5e{number:02x}").parse().unwrap()
}

fn body<D: Serialize>(kind: CallbackType, timestamp: DateTime<Utc>, data: D) -> Value {
    serde_json::to_value(CallbackBody { kind, timestamp, data }).unwrap()
}

#[test]
fn every_type_has_a_schema_and_a_sample_that_fits_it_and_no_file_is_without_a_type() {
    let mut known = BTreeSet::new();
    for kind in CallbackType::ALL {
        let name = kind.as_str();
        let schema = read(&format!("{name}.schema.json"));
        assert_eq!(schema["$id"], format!("https://quotary.com/schema/callbacks/{name}.schema.json"));
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let sample = sample(*kind);
        assert!(validator.is_valid(&sample), "{name}");
        for pointer in ["", "/data"] {
            let mut changed = sample.clone();
            changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("extra".into(), Value::Null);
            assert!(!validator.is_valid(&changed), "{name} takes an extra field at {pointer:?}");
        }
        known.extend([format!("{name}.schema.json"), format!("{name}.sample.json")]);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/callbacks");
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), known);
}

#[test]
fn todays_code_makes_the_samples_of_licences() {
    let machine = |name: &str| Machine::of(name);
    let end = at("2026-04-10T12:00:00Z");
    let history = [
        (
            "2026-02-28T12:00:00Z",
            LicenseEvent::LicenseIssued(Issue {
                plan_version: 1,
                expires_at: None,
                batch_id: id(3).into(),
                project_id: id(1).into(),
                plan_id: id(4).into(),
                agent_id: id(5).into(),
                terms: LicenseTerms::usual(Some(30), 2, vec!["layers".into()]),
                key_hash: "hash-of-key".into(),
                key: Sealed("v1.k.sealed-key".into()),
            }),
        ),
        (
            "2026-03-01T12:00:00Z",
            LicenseEvent::LicenseActivated {
                activated_at: at("2026-03-01T12:00:00Z"),
                expires_at: Some(at("2026-03-31T12:00:00Z")),
                machine: machine("q0Xo2m8bq3"),
            },
        ),
        ("2026-03-02T12:00:00Z", LicenseEvent::MachineBound { machine: machine("Zk1p7Xn0aB"), over_limit: false }),
        ("2026-03-03T12:00:00Z", LicenseEvent::MachineDeactivated { fingerprint_hash: "Zk1p7Xn0aB".into() }),
        ("2026-03-04T12:00:00Z", LicenseEvent::LicenseUnbound { unbound_at: None }),
        ("2026-03-05T12:00:00Z", LicenseEvent::LicenseDisabled {}),
        ("2026-03-06T12:00:00Z", LicenseEvent::LicenseEnabled {}),
        ("2026-03-07T12:00:00Z", LicenseEvent::LicenseRenewed { days: 10, expires_at: Some(end) }),
        ("2026-04-10T12:00:00Z", LicenseEvent::LicenseExpired { expires_at: end }),
        ("2026-04-11T12:00:00Z", LicenseEvent::LicenseRevoked { reason: Some("stolen by Eve".into()) }),
    ];
    let (mut license, mut told) = (License::default(), 0);
    for (sequence, (time, event)) in (1..).zip(history) {
        license.apply(event.clone());
        let Some(kind) = CallbackType::of_license(&event) else { continue };
        let data = LicenseData::of(LicenseId(id(2)), &license, &event, sequence, at(time)).unwrap();
        assert_eq!(body(kind, at(time), data), sample(kind), "{}", kind.as_str());
        assert!(!sample(kind).to_string().contains("key"), "{}", kind.as_str());
        told += 1;
    }
    assert_eq!(told, CallbackType::ALL.iter().filter(|kind| kind.as_str().starts_with("license.")).count() - 1);
}

#[test]
fn todays_code_makes_the_other_samples() {
    let (project_id, license_id, time) = (ProjectId(id(1)), LicenseId(id(2)), at("2026-04-11T12:00:00Z"));
    let refusal = RefusalData { project_id, license_id, code: "BANNED".to_owned() };
    let kind = CallbackType::VerificationRefused;
    assert_eq!(body(kind, time, refusal), sample(kind));
    assert_eq!(body(CallbackType::Test, time, TestData { project_id }), sample(CallbackType::Test));
}

#[test]
fn names_and_their_text_forms_are_one_to_one() {
    for kind in CallbackType::ALL {
        assert_eq!(CallbackType::parse(kind.as_str()), Some(*kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert_eq!(CallbackType::parse("license.sold"), None);
}

#[test]
fn the_documentation_names_every_type() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/callbacks.md");
    let text = fs::read_to_string(file).unwrap();
    for kind in CallbackType::ALL {
        assert!(text.contains(&format!("`{}`", kind.as_str())), "{}", kind.as_str());
    }
}
