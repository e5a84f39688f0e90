//! The last signed head, kept outside of PostgreSQL: what a restored backup or a rewritten log can't bring with it.
//!
//! What always holds: a head is swapped against the one it continues, never written blindly, and is durable before the swap
//! returns. With several places the newest head counts, and all places must take the next one before it is published.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_nats::jetstream::kv;
use quotary_audit::note::{Checkpoint, Note};

/// The key in a bucket, and the name of the file.
const NAME: &str = "head";

/// Why the head can't be read or swapped.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The folder can't be used.
    #[error("{path} can't be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bucket can't be read.
    #[error("the bucket of heads can't be read")]
    Read(#[source] kv::EntryError),
    /// The bucket refused the first head.
    #[error("the bucket of heads refused the first head")]
    Create(#[source] kv::CreateError),
    /// The bucket refused the next head.
    #[error("the bucket of heads refused the next head")]
    Update(#[source] kv::UpdateError),
    /// What is kept is no checkpoint.
    #[error("what is kept as the head is no checkpoint")]
    Unreadable,
    /// Another head is kept than the one to continue.
    #[error("another head is kept than the one to continue")]
    Moved,
    /// There is no checkpoint to keep.
    #[error("there is no checkpoint to keep")]
    Nothing,
    /// A task ended before its time.
    #[error("the head was not written")]
    Cancelled,
}

/// A place for heads.
#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    Bucket(Box<kv::Store>),
}

/// All places where the last head is kept.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    places: Vec<Place>,
}

impl Heads {
    /// No place yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also in a folder of this host, which is not on the disk of the database if that can be had.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.places.push(Place::Folder(folder.into()));
        self
    }

    /// Also in a bucket of NATS, which all hosts share.
    #[must_use]
    pub fn in_bucket(mut self, bucket: kv::Store) -> Self {
        self.places.push(Place::Bucket(Box::new(bucket)));
        self
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The newest head that is kept anywhere.
    ///
    /// # Errors
    /// [`HeadError`] if one place can't be read: its head might be the newest.
    pub async fn newest(&self) -> Result<Option<(Checkpoint, Note)>, HeadError> {
        let mut newest: Option<(Checkpoint, Note)> = None;
        for place in &self.places {
            let Some(note) = place.read().await? else { continue };
            let checkpoint: Checkpoint = note.text().parse().map_err(|_| HeadError::Unreadable)?;
            if newest.as_ref().is_none_or(|(known, _)| known.size < checkpoint.size) {
                newest = Some((checkpoint, note));
            }
        }
        Ok(newest)
    }

    /// Puts `next` in place of `last` everywhere. A place that is behind, or has none, is brought up: `last` was found to
    /// be the newest, and everything older to be a part of it.
    ///
    /// # Errors
    /// [`HeadError::Moved`] if a place has a head that is not older than `last` and not `last` itself.
    pub async fn swap(&self, last: Option<&Checkpoint>, next: &Note) -> Result<(), HeadError> {
        for place in &self.places {
            place.swap(last, next).await?;
        }
        Ok(())
    }
}

/// Whether a place that keeps `found` may take what follows `last`.
fn may_follow(found: Option<&Note>, last: Option<&Checkpoint>) -> Result<(), HeadError> {
    let Some(found) = found else { return Ok(()) };
    let found: Checkpoint = found.text().parse().map_err(|_| HeadError::Unreadable)?;
    match last {
        Some(last) if found == *last || found.size < last.size => Ok(()),
        _ => Err(HeadError::Moved),
    }
}

impl Place {
    async fn read(&self) -> Result<Option<Note>, HeadError> {
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                tokio::task::spawn_blocking(move || read_file(&folder)).await.map_err(|_| HeadError::Cancelled)?
            }
            Self::Bucket(bucket) => Ok(read_bucket(bucket).await?.map(|(_, note)| note)),
        }
    }

    async fn swap(&self, last: Option<&Checkpoint>, next: &Note) -> Result<(), HeadError> {
        match self {
            Self::Folder(folder) => {
                let (folder, last, next) = (folder.clone(), last.cloned(), next.to_string());
                let written = tokio::task::spawn_blocking(move || swap_file(&folder, last.as_ref(), &next));
                written.await.map_err(|_| HeadError::Cancelled)?
            }
            Self::Bucket(bucket) => {
                let found = read_bucket(bucket).await?;
                may_follow(found.as_ref().map(|(_, note)| note), last)?;
                let value = next.to_string().into();
                match found {
                    // The revision makes this a swap: whoever comes between makes it fail.
                    Some((revision, _)) => {
                        bucket.update(NAME, value, revision).await.map_err(HeadError::Update)?;
                    }
                    None => {
                        bucket.create(NAME, value).await.map_err(HeadError::Create)?;
                    }
                }
                Ok(())
            }
        }
    }
}

async fn read_bucket(bucket: &kv::Store) -> Result<Option<(u64, Note)>, HeadError> {
    let Some(entry) = bucket.entry(NAME).await.map_err(HeadError::Read)? else { return Ok(None) };
    if entry.operation != kv::Operation::Put {
        return Ok(None);
    }
    let text = std::str::from_utf8(&entry.value).map_err(|_| HeadError::Unreadable)?;
    Ok(Some((entry.revision, text.parse().map_err(|_| HeadError::Unreadable)?)))
}

fn read_file(folder: &Path) -> Result<Option<Note>, HeadError> {
    let path = folder.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.parse().map_err(|_| HeadError::Unreadable)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HeadError::File { path, source }),
    }
}

fn swap_file(folder: &Path, last: Option<&Checkpoint>, next: &str) -> Result<(), HeadError> {
    let failed = |source| HeadError::File { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    // Two processes of one host take turns; the lock ends with the file's handle.
    let turn = File::options().write(true).create(true).truncate(false).open(folder.join("lock")).map_err(failed)?;
    turn.lock().map_err(failed)?;
    may_follow(read_file(folder)?.as_ref(), last)?;
    let unfinished = folder.join("head.unfinished");
    let written = (|| {
        let mut file = File::create(&unfinished)?;
        file.write_all(next.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, folder.join(NAME))?;
        // The new name is durable only with the folder.
        File::open(folder)?.sync_all()
    })();
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use quotary_audit::note::{Algorithm, SignerKey};

    use super::*;

    fn head(size: u64, root: u8) -> (Checkpoint, Note) {
        let key = SignerKey::from_seed("log.example/q", Algorithm::Ed25519, &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: "log.example/q".to_owned(), size, root: [root; 32] };
        let note = Note::sign(checkpoint.to_string(), [&key]).unwrap();
        (checkpoint, note)
    }

    #[tokio::test]
    async fn a_head_is_swapped_only_against_the_one_it_continues() {
        let folder = tempfile::tempdir().unwrap();
        let heads = Heads::new().in_folder(folder.path().join("deep/down"));
        assert!(heads.newest().await.unwrap().is_none());
        let (one, two, other) = (head(1, 1), head(2, 2), head(2, 3));
        heads.swap(None, &one.1).await.unwrap();
        assert!(matches!(heads.swap(None, &two.1).await, Err(HeadError::Moved)));
        heads.swap(Some(&one.0), &two.1).await.unwrap();
        assert!(matches!(heads.swap(Some(&one.0), &other.1).await, Err(HeadError::Moved)));
        assert!(matches!(heads.swap(Some(&other.0), &head(3, 3).1).await, Err(HeadError::Moved)));
        assert_eq!(heads.newest().await.unwrap().unwrap(), two);
    }

    #[tokio::test]
    async fn the_newest_head_counts_and_a_place_that_is_behind_is_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let (one, two) = (head(1, 1), head(2, 2));
        Heads::new().in_folder(&first).swap(None, &one.1).await.unwrap();
        let both = Heads::new().in_folder(&first).in_folder(&second);
        assert_eq!(both.newest().await.unwrap().unwrap(), one);
        both.swap(Some(&one.0), &two.1).await.unwrap();
        assert_eq!(Heads::new().in_folder(&second).newest().await.unwrap().unwrap(), two);
    }
}
