//! The folder list is the architecture: who may depend on whom, read from `cargo metadata`.
//!
//! What always holds: every crate of the workspace stands in the table below, and none has an arrow that the table does not
//! have. A new crate or arrow is a decision about the table first.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Each crate with those it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("quotary-audit", &[]),
    ("quotary-domain", &[]),
    ("quotary-commands", &["quotary-domain"]),
    ("quotary-projections", &["quotary-audit", "quotary-domain"]),
    ("quotary-workers", &["quotary-audit", "quotary-domain", "quotary-commands", "quotary-projections"]),
    ("quotary-api", &["quotary-audit", "quotary-domain", "quotary-commands", "quotary-projections"]),
    (
        "quotary",
        &[
            "quotary-audit",
            "quotary-domain",
            "quotary-commands",
            "quotary-projections",
            "quotary-workers",
            "quotary-api",
        ],
    ),
];

/// What the domain may use: nothing that reads, writes, waits, or draws a random number.
const DOMAIN_USES: &[&str] = &["serde", "serde_json", "uuid", "chrono", "thiserror", "cqrs-es"];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap()
}

/// What a crate itself depends on, its tests left aside: they may use more.
fn uses(package: &Package) -> BTreeSet<&str> {
    let own = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    own.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn every_crate_of_the_workspace_stands_in_the_table_and_no_other() {
    let metadata = metadata();
    let crates: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(crates, ARROWS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn no_crate_has_an_arrow_that_the_table_does_not_have() {
    let metadata = metadata();
    let table: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in &metadata.packages {
        let allowed = table[package.name.as_str()];
        for used in uses(package).into_iter().filter(|name| table.contains_key(name)) {
            assert!(allowed.contains(&used), "{} must not depend on {used}", package.name);
        }
    }
}

#[test]
fn not_even_the_tests_of_a_crate_turn_an_arrow_around() {
    let metadata = metadata();
    let place = |name: &str| ARROWS.iter().position(|(known, _)| *known == name);
    for package in &metadata.packages {
        let own = place(&package.name).unwrap();
        for used in package.dependencies.iter().filter_map(|dependency| place(&dependency.name)) {
            assert!(used < own, "{} must not depend on {}", package.name, ARROWS[used].0);
        }
    }
}

#[test]
fn the_domain_does_no_input_and_no_output() {
    let metadata = metadata();
    let domain = metadata.packages.iter().find(|package| package.name == "quotary-domain").unwrap();
    let used = uses(domain);
    for banned in ["sqlx", "axum", "tokio", "async-nats", "reqwest", "getrandom"] {
        assert!(!used.contains(banned), "the domain must not use {banned}");
    }
    let unknown: Vec<&&str> = used.iter().filter(|name| !DOMAIN_USES.contains(name)).collect();
    assert!(unknown.is_empty(), "the domain uses {unknown:?}");
}

#[test]
fn only_the_write_side_appends_to_the_log() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let writes = ["append_events(", "insert into events"];
    // Measurements fill databases of their own, which nobody else ever sees.
    let own = root.join("src/bench");
    let mut places = vec![];
    for (name, _) in ARROWS {
        let folder = root.join(name.strip_prefix("quotary-").unwrap_or("")).join("src");
        places.extend(sources(&folder).into_iter().filter(|file| !file.starts_with(&own)).filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            writes.iter().any(|write| text.contains(write))
        }));
    }
    assert_eq!(places, [root.join("commands/src/log/append.rs")]);
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
