use std::fs;
use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::keys::{KeyList, KeyTerm};
use crate::note::{Algorithm, Checkpoint, Note, SignerKey};
use crate::tree::{Appender, Hash, TileId, leaf_hash};

const ORIGIN: &str = "ledger.example/prod";

fn key(seed: u8) -> SignerKey {
    SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[seed; 32]).unwrap()
}

fn options() -> Options {
    Options { pinned: vec![key(1).verifier()], held: vec![], witnesses: vec![], threads: 2 }
}

/// The payload at a position; one is too large for its entry.
fn payload(position: u64) -> String {
    if position == 300 { format!("{{\"big\":\"{}\"}}", "x".repeat(70_000)) } else { format!("{{\"n\":{position}}}") }
}

/// Writes a bundle of `size` events, the checkpoints at 1, 100, 256, 300 and the end.
fn write(folder: &Path, size: u64, change: impl Fn(u64, &mut Entry<'_>)) -> Checkpoint {
    let mut writer = Writer::create(folder, ORIGIN).unwrap();
    let term = KeyTerm { key: key(1).verifier(), from: 0, until: None };
    let keys = KeyList { origin: ORIGIN.to_owned(), serial: 1, terms: vec![term] };
    writer.keys(&[Note::sign(keys.to_string(), [&key(1)]).unwrap().to_string()]).unwrap();
    let (mut tree, mut last) = (Appender::default(), None);
    let mut leaves: Vec<Hash> = vec![];
    for position in 1..=size {
        let (payload, stream) = (payload(position), (position % 7).to_string());
        let mut entry = Entry {
            position,
            event_id: Uuid::from_u128(position.into()),
            tenant_id: Uuid::from_u128(1),
            aggregate_type: "Thing",
            aggregate_id: &stream,
            sequence: position.div_ceil(7),
            event_type: "Done",
            event_version: "1",
            recorded_at: i64::try_from(position).unwrap(),
            payload: &payload,
            metadata: "{}",
        };
        let mut bytes = vec![];
        crate::entry::encode(&entry, &mut bytes).unwrap();
        leaves.push(leaf_hash(&bytes));
        tree.extend([leaf_hash(&bytes)]);
        change(position, &mut entry);
        writer.entry(&entry).unwrap();
        if [1, 100, 256, 300, size].contains(&position) {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: position, root: tree.root() };
            let note = Note::sign(checkpoint.to_string(), [&key(1)]).unwrap();
            writer.checkpoint(position, &note.to_string()).unwrap();
            last = Some(checkpoint);
        }
    }
    for (index, tile) in (0..).zip(leaves.chunks(256)) {
        writer.hashes(TileId { level: 0, index }, tile).unwrap();
    }
    let full: Vec<Hash> = leaves.as_chunks::<256>().0.iter().map(|tile| crate::tree::root_of(tile)).collect();
    writer.hashes(TileId { level: 1, index: 0 }, &full).unwrap();
    writer.finish().unwrap();
    last.unwrap()
}

fn first(folder: &Path, options: &Options) -> Option<(u64, Kind)> {
    verify(folder, options, AnyEvents::default()).findings.first().map(|finding| (finding.position, finding.kind))
}

#[test]
fn a_sound_bundle_passes_with_the_root_of_its_last_checkpoint() {
    for size in [301, 512, 600] {
        let folder = tempfile::tempdir().unwrap();
        let last = write(folder.path(), size, |_, _| {});
        let report = verify(folder.path(), &options(), AnyEvents::default());
        assert_eq!(report.findings, []);
        assert_eq!((report.entries, report.summary), (size, Some(size)));
        assert_eq!(report.root, Some(crate::proof::text_of(&last.root)));
        assert!(report.checkpoints >= 5 && report.is_pinned);
    }
}

#[test]
fn an_altered_event_is_named_by_its_position() {
    type Change = fn(&mut Entry<'_>);
    let changes: [(Change, Kind); 5] = [
        (|entry| entry.payload = "{\"n\": 1}", Kind::Altered),
        (|entry| entry.recorded_at += 1, Kind::Altered),
        (|entry| entry.event_type = "Undone", Kind::Altered),
        (|entry| entry.position += 1, Kind::Position),
        (|entry| entry.sequence += 1, Kind::Altered),
    ];
    for (change, kind) in changes {
        for at in [1, 255, 256, 257, 599] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), 600, |position, entry| {
                if position == at {
                    change(entry);
                }
            });
            assert_eq!(first(folder.path(), &options()), Some((at, kind)), "{at}");
        }
    }
}

#[test]
fn what_is_missing_or_of_another_log_is_never_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 600, |_, _| {});
    let other = Options { pinned: vec![key(2).verifier()], ..options() };
    assert_eq!(first(folder.path(), &other), Some((0, Kind::Signature)));
    for (file, expected) in [
        ("manifest.json", (0, Kind::Incomplete)),
        ("keys", (0, Kind::Incomplete)),
        ("checkpoints", (0, Kind::Incomplete)),
        ("tile/entries/001", (257, Kind::Incomplete)),
        ("tile/0/001", (257, Kind::Incomplete)),
        ("tile/1/000.p/2", (1, Kind::Incomplete)),
    ] {
        let path = folder.path().join(file);
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(first(folder.path(), &options()), Some(expected), "{file}");
        fs::write(&path, content).unwrap();
    }
    let text = fs::read_dir(folder.path().join("texts")).unwrap().next().unwrap().unwrap().path();
    fs::write(&text, "something else").unwrap();
    assert_eq!(first(folder.path(), &options()), Some((300, Kind::Altered)));
    fs::remove_file(&text).unwrap();
    assert_eq!(first(folder.path(), &options()), Some((300, Kind::Incomplete)));
}

#[test]
fn an_altered_tile_or_checkpoint_is_told_from_an_altered_event() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 600, |_, _| {});
    let flip = |file: &str, at: usize| {
        let path = folder.path().join(file);
        let mut content = fs::read(&path).unwrap();
        content[at] ^= 1;
        fs::write(&path, content).unwrap();
    };
    for (file, at, expected) in [("tile/0/001", 32 * 9, (266, Kind::Tile)), ("tile/1/000.p/2", 40, (257, Kind::Tile))] {
        flip(file, at);
        assert_eq!(first(folder.path(), &options()), Some(expected), "{file}");
        flip(file, at);
    }
    let path = folder.path().join("checkpoints");
    let notes = fs::read_to_string(&path).unwrap();
    let forged = Checkpoint { origin: ORIGIN.to_owned(), size: 100, root: [7; 32] };
    let chain: Vec<String> = notes.split("\n\n").map(str::to_owned).collect();
    let mut altered = chain.clone();
    altered[2] = forged.to_string().trim_end().to_owned();
    fs::write(&path, altered.join("\n\n")).unwrap();
    assert_eq!(first(folder.path(), &options()), Some((100, Kind::Signature)));
    // Signed by the right key all the same: then the events up to it are not the ones.
    let note = Note::sign(forged.to_string(), [&key(1)]).unwrap().to_string();
    let (text, signature) = note.trim_end().split_once("\n\n").unwrap();
    (altered[2], altered[3]) = (text.to_owned(), signature.to_owned());
    fs::write(&path, altered.join("\n\n")).unwrap();
    assert_eq!(first(folder.path(), &options()), Some((2, Kind::Checkpoint)));
}

#[test]
fn a_shorter_log_is_found_by_a_checkpoint_that_was_kept() {
    let (longer, shorter) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(longer.path(), 600, |_, _| {});
    write(shorter.path(), 400, |_, _| {});
    let note = fs::read_to_string(longer.path().join("checkpoint")).unwrap().parse().unwrap();
    let held = Options { held: vec![Held { name: "kept".to_owned(), note }], ..options() };
    assert_eq!(first(longer.path(), &held), None);
    assert_eq!(first(shorter.path(), &held), Some((401, Kind::Checkpoint)));
    assert_eq!(first(shorter.path(), &options()), None);
}
