//! One term of a sealer: from taking the lock to the first thing that goes wrong.
//!
//! What always holds: everything is read and written through the connection that holds the lock, so a sealer that lost its
//! lock has nothing left to seal. A term begins by comparing log, tiles, checkpoints and the heads outside; nothing is signed
//! before they agree.

use quotary_audit::entry;
use quotary_audit::finding::{Finding, Kind};
use quotary_audit::keys::{self, KeyList, KeyTerm, KeysError};
use quotary_audit::note::{Checkpoint, Note, SignerKey, VerifierKey};
use quotary_audit::tree::{
    Appender, Hash, Proof, TILE_WIDTH, TileSet, check_consistency, consistency_proof, empty_root, leaf_hash, root_proof,
};
use quotary_projections::raw_log;
use quotary_projections::seal;
use sqlx::{Executor as _, PgConnection};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::witness::{WitnessError, ask};
use super::{Refused, SealError, Sealer, store};
use crate::leader::Leader;

/// How long a witness that was silent is left alone.
const WITNESS_REST: Duration = Duration::from_secs(5);

/// How long one step may take.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// A sealer while it holds the lock.
pub(super) struct Term<'a> {
    sealer: &'a Sealer,
    leader: Leader,
    appender: Appender,
    /// The last signed head; of an empty log before the first.
    last: Checkpoint,
    sealed_at: Option<Instant>,
    witnessed: Option<u64>,
    witness_rests_until: Option<Instant>,
}

impl<'a> Term<'a> {
    /// Seals until `cancel`, or until something is wrong.
    pub(super) async fn serve(sealer: &'a Sealer, leader: Leader, cancel: &CancellationToken) -> Result<(), SealError> {
        let last = Checkpoint { origin: sealer.origin.clone(), size: 0, root: empty_root() };
        let appender = Appender::default();
        let mut term =
            Self { sealer, leader, appender, last, sealed_at: None, witnessed: None, witness_rests_until: None };
        let sealing = async {
            bounded(term.find_place()).await?;
            loop {
                let head = term.wait().await?;
                bounded(term.seal(head)).await?;
            }
        };
        // What is under way when the process stops is found again by the next term.
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            ended = sealing => ended,
        }
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.leader.connection()
    }

    /// Makes sure that log, tiles, checkpoints and heads agree, and goes on where they end.
    async fn find_place(&mut self) -> Result<(), SealError> {
        let prepared = self.connection().execute("set role quotary_service; set synchronous_commit = on").await;
        prepared.map_err(SealError::Connection)?;
        let published = store::last_checkpoint(self.connection()).await?;
        let keys = self.known_keys(published.is_some()).await?;
        let published = published.map(|note| signed(&keys, &note)).transpose()?;
        let outside = self.sealer.options.heads.newest().await?;
        let outside = match outside {
            Some((_, note)) => Some((signed(&keys, &note)?, note)),
            None => None,
        };
        let stored = seal::leaves(self.connection()).await.map_err(store::StoreError::from)?;
        if let (None, Some(published)) = (&outside, &published) {
            return Err(Refused::NoHead(published.size).into());
        }
        self.check_log_head(published.as_ref().map_or(0, |published| published.size)).await?;
        if let Some(published) = published {
            self.last = published;
            self.check_tiles(stored).await?;
        }
        if let Some((outside, note)) = outside {
            self.follow(outside, &note, stored).await?;
        }
        let (last, size) = (self.last.clone(), self.last.size);
        let tiles = store::tiles(self.connection(), &Appender::edge(size).into_iter().collect()).await?;
        self.appender = Appender::resume(size, &tiles).map_err(Refused::from)?;
        self.check_tail(size, stored).await?;
        self.check_witness(&last).await?;
        self.issue_keys(keys).await?;
        self.sealer.options.status.leads_from(size);
        tracing::info!(origin = self.sealer.origin, size, "the log is sealed from here on");
        Ok(())
    }

    /// The list of keys so far. It must lead to a key that we have: a list that somebody else made does not.
    async fn known_keys(&mut self, is_sealed: bool) -> Result<KeyList, SealError> {
        let issues = store::keys(self.connection()).await?;
        let own: Vec<VerifierKey> = self.sealer.options.keys.iter().map(SignerKey::verifier).collect();
        let origin = self.sealer.origin.clone();
        if issues.is_empty() {
            if is_sealed {
                return Err(Refused::KeyList(KeysError::Missing(1)).into());
            }
            let terms = own.into_iter().map(|key| KeyTerm { key, from: 0, until: None }).collect();
            return Ok(KeyList { origin, serial: 0, terms });
        }
        let list = keys::trusted(&issues, &own).map_err(Refused::KeyList)?;
        if list.origin == origin { Ok(list) } else { Err(Refused::OtherOrigin(list.origin).into()) }
    }

    /// Issues the list anew if the keys have changed.
    async fn issue_keys(&mut self, known: KeyList) -> Result<(), SealError> {
        let own: Vec<VerifierKey> = self.sealer.options.keys.iter().map(SignerKey::verifier).collect();
        let next = match known.serial {
            0 => Some(KeyList { serial: 1, ..known }),
            _ => known.rotated(&own, self.last.size),
        };
        let Some(next) = next else { return Ok(()) };
        let size = self.last.size;
        let note = Note::sign(next.to_string(), &self.sealer.options.keys);
        let note = note.map_err(|source| Refused::Signature { size, source })?;
        store::add_keys(self.connection(), next.serial, &note).await?;
        tracing::info!(origin = self.sealer.origin, serial = next.serial, size, "the list of keys has a new issue");
        Ok(())
    }

    /// Goes from the last published checkpoint to the head outside, if that is further: it was signed and kept, and the
    /// process ended before it was published. If it is not further, it must be a part of what was published.
    async fn follow(&mut self, outside: Checkpoint, note: &Note, stored: u64) -> Result<(), SealError> {
        let not_ours = || Refused::NotOurs { outside: outside.size };
        if outside.size > self.last.size {
            self.check_log_head(outside.size).await?;
            if stored < outside.size {
                return Err(not_ours().into());
            }
            self.prove(&self.last.clone(), &outside).await?.map_err(|_| not_ours())?;
            self.check_witness(&outside).await?;
            store::add_checkpoint(self.connection(), outside.size, note).await?;
            self.last = outside;
        } else {
            self.prove(&outside, &self.last.clone()).await?.map_err(|_| not_ours())?;
            if outside.size < self.last.size {
                let last = store::last_checkpoint(self.connection()).await?;
                if let Some(last) = last {
                    self.sealer.options.heads.swap(Some(&outside), &last).await?;
                }
            }
        }
        Ok(())
    }

    /// The log has what was sealed.
    async fn check_log_head(&mut self, sealed: u64) -> Result<u64, SealError> {
        let found: i64 = sqlx::query_scalar("select position from public.log_head")
            .fetch_one(self.connection())
            .await
            .map_err(SealError::Connection)?;
        let found = found.unsigned_abs();
        if found < sealed {
            return Err(Refused::Shortened { sealed, found }.into());
        }
        self.sealer.options.status.knows_head(found);
        Ok(found)
    }

    /// The tiles have the root of the last published checkpoint.
    async fn check_tiles(&mut self, stored: u64) -> Result<(), SealError> {
        if stored < self.last.size {
            return Err(Refused::Shortened { sealed: self.last.size, found: stored }.into());
        }
        let last = self.last.clone();
        let nothing = Checkpoint { size: 0, root: empty_root(), ..last.clone() };
        Ok(self.prove(&nothing, &last).await?.map_err(Refused::Tiles)?)
    }

    /// Proves from the tiles as they are stored that they have the root of `new`, and that `old` is a prefix of it.
    async fn prove(
        &mut self,
        old: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<Result<(), quotary_audit::tree::ProofError>, SealError> {
        let Some(consistency) = consistency_proof(old.size, new.size) else {
            return Ok(Err(quotary_audit::tree::ProofError::Outside));
        };
        let root = root_proof(new.size);
        let mut wanted = root.tiles();
        for (id, width) in consistency.tiles() {
            let known = wanted.entry(id).or_default();
            *known = width.max(*known);
        }
        let tiles = store::tiles(self.connection(), &wanted).await?;
        let hashes = |proof: &Proof, tiles: &TileSet| proof.hashes(tiles).map_err(Refused::from);
        if hashes(&root, &tiles)? != [new.root] {
            return Ok(Err(quotary_audit::tree::ProofError::Root));
        }
        let proof = hashes(&consistency, &tiles)?;
        Ok(check_consistency(old.size, &old.root, new.size, &new.root, &proof))
    }

    /// The last events that were sealed, and all that were hashed and not sealed any more, are still the same.
    async fn check_tail(&mut self, size: u64, stored: u64) -> Result<(), SealError> {
        let width = TILE_WIDTH as u64;
        let from = size.saturating_sub(1) / width * width;
        self.check_log_head(stored).await?;
        for start in (from..stored).step_by(TILE_WIDTH) {
            let end = stored.min(start + width);
            let hashes = self.hash(start, end).await?;
            let id = quotary_audit::tree::TileId { level: 0, index: start / width };
            let tiles = store::tiles(self.connection(), &[(id, id.width(stored))].into()).await?;
            let known = tiles.get(id).unwrap_or_default();
            for (position, (hash, known)) in (start + 1..).zip(hashes.iter().zip(known)) {
                if hash != known {
                    let what = "the event is not the one that was sealed";
                    return Err(Refused::Altered(Finding::new(position, Kind::Altered, what)).into());
                }
            }
            // What is behind the last head is in the tiles already; only the tree's edge in memory has to grow.
            let new = hashes.into_iter().zip(start..).filter(|(_, index)| *index >= size).map(|(hash, _)| hash);
            self.appender.extend(new);
        }
        Ok(())
    }

    /// The hashes of the events `after + 1 ..= until`.
    async fn hash(&mut self, after: u64, until: u64) -> Result<Vec<Hash>, SealError> {
        let mut hashes = Vec::with_capacity(usize::try_from(until - after).unwrap_or_default());
        let mut bytes = vec![];
        let mut wrong = None;
        let mut next = after;
        raw_log::read(self.connection(), after, until, |event| {
            next += 1;
            if event.position != next && wrong.is_none() {
                wrong = Some(Finding::new(next, Kind::Position, format!("position {} stands here", event.position)));
            }
            bytes.clear();
            match entry::encode(&event, &mut bytes) {
                Ok(_) => hashes.push(leaf_hash(&bytes)),
                Err(error) => wrong = wrong.take().or(Some(Finding::new(next, Kind::Unreadable, error))),
            }
        })
        .await?;
        if wrong.is_none() && next != until {
            wrong = Some(Finding::new(next + 1, Kind::Position, "the position is missing"));
        }
        wrong.map_or(Ok(hashes), |finding| Err(Refused::Altered(finding).into()))
    }

    /// Waits until there is more to seal and it is time to; answers the log's head.
    async fn wait(&mut self) -> Result<u64, SealError> {
        let options = &self.sealer.options;
        let (mut announced, mut committed) = (self.sealer.announced.clone(), self.sealer.committed.clone());
        let size = self.appender.size().min(self.last.size);
        loop {
            let head = self.check_log_head(self.last.size).await?;
            if head > size {
                // Later commits go under the same checkpoint, up to the interval since the last one.
                let due = self.sealed_at.map_or_else(Instant::now, |at| at + options.interval);
                if due <= Instant::now() {
                    return Ok(head);
                }
                tokio::time::sleep_until(due).await;
                continue;
            }
            let committed = async {
                match committed.as_mut() {
                    Some(committed) => committed.beyond(size).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = announced.beyond(size) => {}
                () = committed => {}
                () = tokio::time::sleep(options.poll) => {}
            }
        }
    }

    /// Hashes what is new, signs, keeps the head outside, and publishes.
    async fn seal(&mut self, head: u64) -> Result<(), SealError> {
        let after = self.appender.size();
        let until = head.min(after.saturating_add(self.sealer.options.batch.min(raw_log::MAX_SPAN))).max(after);
        if until > after {
            let hashes = self.hash(after, until).await?;
            let runs = self.appender.extend(hashes);
            store::add_hashes(self.connection(), &runs).await?;
        }
        let next = Checkpoint { origin: self.sealer.origin.clone(), size: until, root: self.appender.root() };
        self.prove(&self.last.clone(), &next).await?.map_err(Refused::Tiles)?;
        let signed = Note::sign(next.to_string(), &self.sealer.options.keys);
        let mut note = signed.map_err(|source| Refused::Signature { size: until, source })?;
        let last = (self.last.size > 0).then_some(&self.last);
        self.sealer.options.heads.swap(last, &note).await?;
        self.cosign(&next, &mut note).await?;
        store::add_checkpoint(self.connection(), until, &note).await?;
        self.last = next;
        self.sealed_at = Some(Instant::now());
        self.sealer.options.status.sealed(until);
        Ok(())
    }

    /// The witness has seen nothing that is not in the log up to `last`.
    async fn check_witness(&mut self, last: &Checkpoint) -> Result<(), SealError> {
        if self.sealer.options.witness.is_none() || last.size == 0 {
            return Ok(());
        }
        let signed = Note::sign(last.to_string(), &self.sealer.options.keys);
        let mut note = signed.map_err(|source| Refused::Signature { size: last.size, source })?;
        self.cosign(last, &mut note).await
    }

    /// Adds the witness's cosignature to `note` if it answers in time.
    async fn cosign(&mut self, checkpoint: &Checkpoint, note: &mut Note) -> Result<(), SealError> {
        let Some(witness) = &self.sealer.options.witness else { return Ok(()) };
        if self.witness_rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let until = Instant::now() + witness.within;
        // What it has seen is learned from its answer: once at the start, and when somebody has set it back.
        for _ in 0..2 {
            let old = self.witnessed.unwrap_or(checkpoint.size);
            let Some(proof) = consistency_proof(old, checkpoint.size) else {
                return Err(Refused::Witness { seen: old }.into());
            };
            let tiles = store::tiles(self.connection(), &proof.tiles()).await?;
            let hashes = proof.hashes(&tiles).map_err(Refused::from)?;
            let asking = ask(&self.sealer.http, witness, old, &hashes, note);
            let answered = tokio::time::timeout_at(until, asking).await.unwrap_or(Err(WitnessError::Silent(None)));
            match answered {
                Ok(signature) => {
                    note.add(signature);
                    self.witnessed = Some(checkpoint.size);
                    self.sealer.options.status.witnessed(checkpoint.size);
                    return Ok(());
                }
                Err(WitnessError::OtherSize(seen)) if seen <= checkpoint.size => self.witnessed = Some(seen),
                Err(WitnessError::OtherSize(seen)) => return Err(Refused::Witness { seen }.into()),
                Err(WitnessError::Forked(_)) => return Err(Refused::Witness { seen: old }.into()),
                Err(error) => {
                    tracing::warn!(url = witness.url, %error, "the witness has not signed");
                    break;
                }
            }
        }
        self.witness_rests_until = Some(Instant::now() + WITNESS_REST);
        Ok(())
    }
}

/// A step that hangs on a connection that is half open must not keep the lock for ever.
async fn bounded(step: impl Future<Output = Result<(), SealError>>) -> Result<(), SealError> {
    tokio::time::timeout(STEP_WITHIN, step).await.map_err(|_| SealError::TooSlow)?
}

fn signed(keys: &KeyList, note: &Note) -> Result<Checkpoint, SealError> {
    keys.check(note).map_err(|source| {
        let size = note.text().parse().map_or(0, |checkpoint: Checkpoint| checkpoint.size);
        Refused::Signature { size, source }.into()
    })
}
