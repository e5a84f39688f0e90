//! Small files of the embedded servers: directories, secrets, locks and logs.
//!
//! What always holds: a secret is readable by its owner only from the moment it exists, and is complete or absent.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// Only the owner may look inside.
pub(super) const PRIVATE: u32 = 0o700;
/// Others may pass through but not list: the way to a directory that belongs to another user.
pub(super) const PASSABLE: u32 = 0o711;

/// A log longer than this is set aside when its server starts.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// How much of a log an error message carries.
const LOG_TAIL_BYTES: u64 = 2_000;

/// Makes `path` and what leads to it, all with `mode`, and returns its absolute name.
pub(super) fn directory(path: &Path, mode: u32) -> Result<PathBuf, EmbeddedError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(EmbeddedError::file("make", path))?;
    path.canonicalize().map_err(EmbeddedError::file("resolve", path))
}

/// Gives `path` the mode `mode`.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(EmbeddedError::file("set the mode of", path))
}

/// The text of `path`, or `None` when there is no such file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, EmbeddedError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::file("read", path)(error)),
    }
}

/// Writes `text` to `path` with mode 0600 in one step: a reader, or a crash, finds all of it or nothing new.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let draft = beside(path, ".new");
    remove_if_there(&draft)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(EmbeddedError::file("write", &draft))?;
    fs::rename(&draft, path).map_err(EmbeddedError::file("write", path))
}

/// Removes `path` if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(EmbeddedError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The secret in `path`: 192 random bits in hexadecimal, made on first use.
pub(super) fn secret(path: &Path) -> Result<String, EmbeddedError> {
    if let Some(known) = read_if_there(path)? {
        let known = known.trim();
        if known.len() == 48 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(known.to_owned());
        }
        return Err(EmbeddedError::Damaged { path: path.to_owned(), expected: "a secret" });
    }
    let fresh = random_hex::<24>()?;
    write_private(path, &fresh)?;
    // What is made with this secret can't be opened without it, so its name must not be lost when the power is.
    path.parent().map_or(Ok(()), sync_directory)?;
    Ok(fresh)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), EmbeddedError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(EmbeddedError::file("sync", path))
}

/// `N` random bytes in hexadecimal.
pub(super) fn random_hex<const N: usize>() -> Result<String, EmbeddedError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(EmbeddedError::Random)?;
    Ok(bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect())
}

/// Takes the lock in `path`, which ends with this process however it ends.
pub(super) fn lock(path: &Path) -> Result<File, EmbeddedError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(EmbeddedError::file("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(EmbeddedError::file("lock", path)(error)),
    }
}

/// Opens a server's log for appending; an overlong one is kept as `<name>.old`.
pub(super) fn log(path: &Path) -> Result<File, EmbeddedError> {
    if fs::metadata(path).is_ok_and(|known| known.len() > LOG_LIMIT_BYTES) {
        fs::rename(path, beside(path, ".old")).map_err(EmbeddedError::file("set aside", path))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(EmbeddedError::file("open", path))
}

/// How long a log is now; nothing is as long as a log that is not there.
pub(super) fn log_length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |known| known.len())
}

/// The end of what a log got after `start`, on one line, for an error message. A log that can't be read must not hide
/// the error it explains.
pub(super) fn log_tail(path: &Path, start: u64) -> String {
    let mut tail = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES).max(start)))?;
        file.read_to_end(&mut tail)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&tail).trim().replace('\n', " | "),
        Err(error) => format!("its log {} can't be read: {error}", path.display()),
    }
}

/// Whether a log says one of these things after `start`. All of it is read: what the backends of a killed postmaster write
/// meanwhile can push anything out of its end.
pub(super) fn log_says(path: &Path, start: u64, what: &[&str]) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut text)
    });
    read.is_ok() && {
        let text = String::from_utf8_lossy(&text);
        what.iter().any(|words| text.contains(words))
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
