//! Small files that must be whole or absent: secrets and the ready file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The content of a secret's file; made by `make` at the first time.
///
/// # Errors
/// If the file can't be read or written, or `make` fails.
pub fn load_or_make(
    file: &Path,
    make: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
) -> Result<Zeroizing<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Zeroizing::new(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make()?;
            write_secret(file, secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// If the folder or file can't be written.
pub fn write_secret(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let unfinished = file.with_extension("unfinished");
    remove_if_there(&unfinished)?;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&unfinished, file)
}

/// Removes a file that may be absent.
///
/// # Errors
/// If it is there and can't be removed.
pub fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
