//! Writes a bundle, with memory for one tile.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{FORMAT, Manifest};
use crate::entry::{self, Beside, Entry, hex};
use crate::tree::{Hash, TILE_WIDTH, TileId, entries_path};

/// Writes a bundle into an empty folder.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    manifest: Manifest,
    /// The entries of the unfinished tile.
    tile: Vec<u8>,
    bytes: Vec<u8>,
    checkpoints: BufWriter<File>,
}

impl Writer {
    /// Begins a bundle of the log `origin`.
    ///
    /// # Errors
    /// If the folder is not empty or can't be written.
    pub fn create(folder: &Path, origin: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
        }
        let manifest =
            Manifest { format: FORMAT.to_owned(), origin: origin.to_owned(), entries: 0, size: 0, checkpoints: 0 };
        let checkpoints = BufWriter::new(File::create(folder.join("checkpoints"))?);
        Ok(Self { folder: folder.to_owned(), manifest, tile: vec![], bytes: vec![], checkpoints })
    }

    /// Adds the next event. One that has no canonical bytes leaves an empty place, which no check will pass.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.bytes.clear();
        let beside = entry::encode(entry, &mut self.bytes).unwrap_or_default();
        for (text, beside) in [entry.payload, entry.metadata].into_iter().zip(beside) {
            if let Some(beside) = beside {
                self.write(&text_path(&beside), text.as_bytes())?;
            }
        }
        let length = u16::try_from(self.bytes.len()).map_err(io::Error::other)?;
        self.tile.extend_from_slice(&length.to_be_bytes());
        self.tile.extend_from_slice(&self.bytes);
        self.manifest.entries += 1;
        if self.manifest.entries.is_multiple_of(TILE_WIDTH as u64) { self.write_tile(TILE_WIDTH) } else { Ok(()) }
    }

    fn write_tile(&mut self, width: usize) -> io::Result<()> {
        let path = entries_path((self.manifest.entries - 1) / TILE_WIDTH as u64, width);
        let tile = std::mem::take(&mut self.tile);
        self.write(&path, &tile)?;
        self.tile = tile;
        self.tile.clear();
        Ok(())
    }

    /// Adds a tile of hashes as it is stored.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn hashes(&mut self, id: TileId, hashes: &[Hash]) -> io::Result<()> {
        if hashes.is_empty() { Ok(()) } else { self.write(&id.path(hashes.len()), hashes.as_flattened()) }
    }

    /// Adds a checkpoint's note, the smaller ones first.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn checkpoint(&mut self, size: u64, note: &str) -> io::Result<()> {
        if self.manifest.checkpoints > 0 {
            writeln!(self.checkpoints)?;
        }
        write!(self.checkpoints, "{note}")?;
        self.manifest.checkpoints += 1;
        self.manifest.size = size;
        self.write("checkpoint", note.as_bytes())
    }

    /// Adds all issues of the list of keys.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn keys(&mut self, issues: &[String]) -> io::Result<()> {
        self.write("keys", issues.join("\n").as_bytes())
    }

    /// Writes what is left, and the manifest.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn finish(mut self) -> io::Result<Manifest> {
        let width = usize::try_from(self.manifest.entries % TILE_WIDTH as u64).unwrap_or_default();
        if width > 0 {
            self.write_tile(width)?;
        }
        self.checkpoints.flush()?;
        self.write("manifest.json", &serde_json::to_vec_pretty(&self.manifest).map_err(io::Error::from)?)?;
        Ok(self.manifest)
    }

    fn write(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join(path);
        match fs::write(&path, content) {
            // A folder has a thousand files at most, so it is made once in a while.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
                fs::write(&path, content)
            }
            written => written,
        }
    }
}

pub(super) fn text_path(beside: &Beside) -> String {
    format!("texts/{}", hex(&beside.sha256))
}
