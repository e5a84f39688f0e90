//! Checks a bundle: hashes, tiles, the chain of checkpoints, signatures, and every rule for every event.
//!
//! Threads read and hash tiles of entries; the one that called takes them in order, makes the tree anew and asks the rules. All findings are
//! gathered and the one with the smallest position is the first: an event that was altered makes everything behind it wrong.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use super::Rules;
use super::read::{EntryTile, compare, entry_tile, first_position, hash_tile, manifest, note_texts, notes};
use super::roots::Roots;
use super::write::text_path;
use crate::entry::{Beside, Entry, Leaf};
use crate::finding::{Finding, Kind};
use crate::keys::{self, KeyList};
use crate::note::{Note, VerifierKey};
use crate::proof::text_of;
use crate::tree::{Hash, TILE_WIDTH, TileId, root_of};

/// Tiles that a thread may be ahead.
const AHEAD: usize = 16;

/// What the one who checks knows by other means.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keys of the log that were handed over; without any, the bundle's own are taken.
    pub pinned: Vec<VerifierKey>,
    /// Checkpoints that were kept from earlier.
    pub held: Vec<Held>,
    /// Keys of witnesses.
    pub witnesses: Vec<VerifierKey>,
    /// Threads that hash.
    pub threads: usize,
}

/// A checkpoint that somebody kept.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it comes from, for the report.
    pub name: String,
    /// The signed note.
    pub note: Note,
}

/// What a bundle says, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Report<S> {
    /// The log's name.
    pub origin: String,
    /// Entries that were checked.
    pub entries: u64,
    /// The root over them, made anew.
    pub root: Option<String>,
    /// Checkpoints that were checked.
    pub checkpoints: u64,
    /// Events under the last checkpoint that a known witness has cosigned, and when it did, in seconds since 1970.
    pub witnessed: Option<(u64, u64)>,
    /// Whether a key that was handed over vouches for the log's keys.
    pub is_pinned: bool,
    /// What is wrong, the first position first. Empty if nothing is.
    pub findings: Vec<Finding>,
    /// What the rules say in the end, if nothing is wrong.
    pub summary: Option<S>,
}

/// Checks the bundle in `folder`.
pub fn verify<R: Rules>(folder: &Path, options: &Options, rules: R) -> Report<R::Summary> {
    let mut report = Report {
        origin: String::new(),
        entries: 0,
        root: None,
        checkpoints: 0,
        witnessed: None,
        is_pinned: !options.pinned.is_empty(),
        findings: vec![],
        summary: None,
    };
    match check(folder, options, rules, &mut report) {
        Ok(summary) => report.summary = summary,
        Err(finding) => report.findings.push(finding),
    }
    // Of several findings at one position the plainest one comes first.
    let rank = |kind: Kind| {
        const RANKS: [Kind; 6] =
            [Kind::Position, Kind::Incomplete, Kind::Altered, Kind::Unreadable, Kind::Tile, Kind::Checkpoint];
        RANKS.iter().position(|known| *known == kind).unwrap_or(RANKS.len())
    };
    report.findings.sort_by_key(|finding| (finding.position, rank(finding.kind)));
    if !report.findings.is_empty() {
        report.summary = None;
    }
    report
}

/// A root that the tree must have at a size.
struct Expected {
    size: u64,
    root: Hash,
    name: String,
}

fn check<R: Rules>(
    folder: &Path,
    options: &Options,
    rules: R,
    report: &mut Report<R::Summary>,
) -> Result<Option<R::Summary>, Finding> {
    let manifest = manifest(folder)?;
    let unsigned = |what: &dyn std::fmt::Display| Finding::new(0, Kind::Signature, what);
    let keys = keys::trusted(&notes(folder, "keys")?, &options.pinned).map_err(|error| unsigned(&error))?;
    let chain = note_texts(folder, "checkpoints")?;
    report.checkpoints = chain.len() as u64;
    // The keys say which log this is; a manifest is no evidence.
    report.origin.clone_from(&keys.origin);
    let mut expected = check_chain(&chain, &keys, options, report);
    let (size, sealed) = (manifest.size, expected.last().map_or(0, |last| last.size));
    if sealed == 0 {
        report.findings.push(Finding::new(0, Kind::Incomplete, "there is no checkpoint that counts"));
    } else if sealed != size && report.findings.is_empty() {
        report.findings.push(Finding::new(
            sealed + 1,
            Kind::Checkpoint,
            "no checkpoint covers the events from here on",
        ));
    }
    for held in &options.held {
        match keys.check(&held.note) {
            Ok(checkpoint) => expected.push(Expected {
                size: checkpoint.size,
                root: checkpoint.root,
                name: format!("the checkpoint in {}", held.name),
            }),
            Err(error) => report.findings.push(unsigned(&format!("{}: {error}", held.name))),
        }
    }
    expected.sort_by_key(|expected| expected.size);
    if manifest.entries < size {
        report.findings.push(Finding::new(
            manifest.entries + 1,
            Kind::Position,
            "the event is missing: the log ends here",
        ));
    } else if manifest.entries > size {
        report.findings.push(Finding::new(size + 1, Kind::Position, "there are more events than were sealed"));
    }
    let mut walk = Walk {
        folder,
        roots: Roots::default(),
        root: None,
        expected: expected.into(),
        right_until: 0,
        wrong_root: None,
        differs: None,
        rules: Some(rules),
        rule_finding: None,
    };
    let walked = walk_entries(folder, options.threads.max(1), manifest.entries, size, &mut walk, report);
    if let Err(unreadable) = walked {
        // What comes behind it is not known, and not wrong.
        walk.expected.clear();
        report.findings.push(unreadable);
    }
    walk.finish(size, report)
}

/// Checks signatures and sizes of all checkpoints; answers the roots that those promise which count.
fn check_chain<S>(chain: &[String], keys: &KeyList, options: &Options, report: &mut Report<S>) -> Vec<Expected> {
    let mut expected: Vec<Expected> = vec![];
    for (number, text) in (1..).zip(chain) {
        let stated = text.lines().nth(1).and_then(|size| size.parse().ok());
        let checked = text.parse::<Note>().and_then(|note| Ok((keys.check(&note)?, note)));
        let (checkpoint, note) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                let size = stated.unwrap_or_default();
                let what = format!("checkpoint {number} of {size} events: {error}");
                report.findings.push(Finding::new(size, Kind::Signature, what));
                continue;
            }
        };
        let size = checkpoint.size;
        if expected.last().is_some_and(|last| last.size >= size) {
            let what = format!("checkpoint {number} is not larger than the one before");
            report.findings.push(Finding::new(size, Kind::Checkpoint, what));
        }
        match note.signed_by(&options.witnesses) {
            Ok(signed) => report.witnessed = signed.iter().find_map(|signed| signed.time).map(|time| (size, time)),
            Err(crate::note::NoteError::Unsigned) => {}
            Err(error) => report.findings.push(Finding::new(size, Kind::Signature, error)),
        }
        let name = format!("the checkpoint of {size} events");
        expected.push(Expected { size, root: checkpoint.root, name });
    }
    expected
}

/// What is known while entries go by.
struct Walk<'a, R> {
    folder: &'a Path,
    roots: Roots,
    /// Over all entries so far.
    root: Option<Hash>,
    expected: std::collections::VecDeque<Expected>,
    /// The size of the last checkpoint whose root was right.
    right_until: u64,
    /// The first whose root was not.
    wrong_root: Option<Expected>,
    /// The first entry that is not the one in the stored tiles.
    differs: Option<Finding>,
    rules: Option<R>,
    rule_finding: Option<Finding>,
}

fn walk_entries<R: Rules>(
    folder: &Path,
    threads: usize,
    entries: u64,
    size: u64,
    walk: &mut Walk<'_, R>,
    report: &mut Report<R::Summary>,
) -> Result<(), Finding> {
    let tiles = entries.div_ceil(TILE_WIDTH as u64);
    std::thread::scope(|scope| {
        // Thread k reads tiles k, k + n, k + 2n …, so that taking them in turn gives them in order.
        let lanes: Vec<Receiver<Result<EntryTile, Finding>>> = (0..threads as u64)
            .map(|lane| {
                let (sender, receiver) = sync_channel(AHEAD);
                scope.spawn(move || {
                    for index in (lane..tiles).step_by(threads) {
                        let tile = entry_tile(folder, index, entries).map(|mut tile| {
                            compare(folder, &mut tile, size);
                            tile
                        });
                        let is_last = tile.is_err();
                        // Nobody listens any more if the walk has ended by an unreadable tile.
                        if sender.send(tile).is_err() || is_last {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for lane in lanes.iter().cycle().take(usize::try_from(tiles).unwrap_or(usize::MAX)) {
            let tile =
                lane.recv().map_err(|_| Finding::new(report.entries + 1, Kind::Incomplete, "a thread ended"))??;
            report.entries += tile.hashes.len() as u64;
            walk.take(&tile);
        }
        report.root = walk.root.as_ref().map(text_of);
        Ok(())
    })
}

impl<R: Rules> Walk<'_, R> {
    fn take(&mut self, tile: &EntryTile) {
        let first = tile.index * TILE_WIDTH as u64;
        let end = first + tile.hashes.len() as u64;
        while self.expected.front().is_some_and(|expected| expected.size <= end) {
            let Some(expected) = self.expected.pop_front() else { break };
            let width = usize::try_from(expected.size - first).unwrap_or(TILE_WIDTH);
            if self.wrong_root.is_some() {
                continue;
            }
            if self.roots.root_at(&tile.hashes, width) == expected.root {
                self.right_until = expected.size;
            } else {
                self.wrong_root = Some(expected);
            }
        }
        self.differs = self.differs.take().or_else(|| tile.differs.clone());
        self.check_rules(tile, first);
        self.root = Some(self.roots.root_over(tile.root.unwrap_or_else(|| root_of(&tile.hashes))));
        if let Some(root) = tile.root {
            self.roots.push(root);
        }
    }

    fn check_rules(&mut self, tile: &EntryTile, first: u64) {
        // An event that is not the one that was sealed makes nonsense of what stands before it too, as of the other half of
        // its movement. It is the first thing that is wrong.
        let until = self.differs.as_ref().map_or(u64::MAX, |differs| differs.position);
        let Some(rules) = &mut self.rules else { return };
        for (position, bytes) in (first + 1..).zip(tile.entries()) {
            let is_sealed = position < until;
            let checked =
                with_entry(self.folder, position, bytes, |entry| if is_sealed { rules.check(entry) } else { Ok(()) });
            if let Err(finding) = checked {
                self.rule_finding = Some(finding);
                self.rules = None;
                return;
            }
            if !is_sealed {
                self.rules = None;
                return;
            }
        }
    }

    /// Puts together what was found on the way.
    fn finish(mut self, size: u64, report: &mut Report<R::Summary>) -> Result<Option<R::Summary>, Finding> {
        // A checkpoint beyond the end, as one that an auditor has kept of a log that was cut.
        if let Some(beyond) = self.expected.pop_front().filter(|beyond| beyond.size > report.entries) {
            let what = format!("the log ends before {} of {} events", beyond.name, beyond.size);
            report.findings.push(Finding::new(report.entries + 1, Kind::Checkpoint, what));
        }
        match (self.differs.take(), self.wrong_root.take()) {
            // The stored tiles say which event it is.
            (Some(differs), Some(wrong)) if differs.position <= wrong.size => report.findings.push(differs),
            // The events are those under the checkpoints, so it is the tile.
            (Some(differs), None) if differs.kind == Kind::Altered && differs.position <= self.right_until => {
                let what = "the stored tile has not the hash of this event, which is the one that was sealed";
                report.findings.push(Finding::new(differs.position, Kind::Tile, what));
            }
            (differs, wrong) => {
                report.findings.extend(differs);
                if let Some(wrong) = wrong {
                    let first = self.right_until + 1;
                    let what = format!("the events from here to {} are not those under {}", wrong.size, wrong.name);
                    report.findings.push(Finding::new(first, Kind::Checkpoint, what));
                }
            }
        }
        report.findings.extend(self.rule_finding.take());
        if report.findings.is_empty() {
            check_upper_tiles(self.folder, &self.roots.tiles, size)?;
        }
        match self.rules.take() {
            Some(rules) if report.findings.is_empty() => rules.finish().map(Some),
            _ => Ok(None),
        }
    }
}

/// Gives the entry in `bytes`, with texts that stand beside it.
fn with_entry(
    folder: &Path,
    position: u64,
    bytes: &[u8],
    each: impl FnOnce(&Entry<'_>) -> Result<(), Finding>,
) -> Result<(), Finding> {
    let unreadable = |what: &dyn std::fmt::Display| Finding::new(position, Kind::Unreadable, what);
    let leaf = Leaf::decode(bytes).map_err(|error| unreadable(&error))?;
    if leaf.position() != position {
        // The place in the bundle counts, which is the place in the tree.
        let what = format!("the event is not here; position {} stands in its place", leaf.position());
        return Err(Finding::new(position, Kind::Position, what));
    }
    if let Some(entry) = leaf.entry() {
        return each(&entry);
    }
    let mut texts: Vec<(Beside, String)> = vec![];
    for beside in leaf.beside() {
        let path = text_path(&beside);
        let text = std::fs::read_to_string(folder.join(&path))
            .map_err(|error| Finding::new(position, Kind::Incomplete, format!("{path} can't be read: {error}")))?;
        texts.push((beside, text));
    }
    let find = |beside: &Beside| texts.iter().find(|(known, _)| known == beside).map(|(_, text)| text.as_str());
    match leaf.entry_with(find) {
        Some(entry) => each(&entry),
        None => Err(Finding::new(position, Kind::Altered, "the text beside the event is not the one that was sealed")),
    }
}

/// The stored tiles above the lowest are made of the roots of those below.
fn check_upper_tiles(folder: &Path, roots: &[Hash], size: u64) -> Result<(), Finding> {
    let mut below = roots.to_vec();
    for level in 1.. {
        if below.is_empty() {
            break;
        }
        for (index, hashes) in (0..).zip(below.chunks(TILE_WIDTH)) {
            let id = TileId { level, index };
            let stored = hash_tile(folder, id, size)?;
            if let Some(place) = hashes.iter().zip(&stored).position(|(hash, stored)| hash != stored) {
                let what = format!("tile {level}/{index} is not made of the tiles below it");
                return Err(Finding::new(first_position(id, place), Kind::Tile, what));
            }
        }
        below = below.as_chunks::<TILE_WIDTH>().0.iter().map(|tile| root_of(tile)).collect();
    }
    Ok(())
}
