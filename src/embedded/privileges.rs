//! Who runs PostgreSQL when we are root.
//!
//! What always holds: PostgreSQL and initdb never run as root, and files are given to their user before they start.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::error::EmbeddedError;
use super::locate;

/// An unprivileged user by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunAs {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl RunAs {
    /// The user for a cluster: `None` when we are not root and simply run it ourselves.
    ///
    /// An existing cluster stays with its owner, whatever users have come since.
    pub(super) fn for_cluster(data: &Path) -> Result<Option<Self>, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(known) = fs::metadata(data)
            && known.uid() != 0
        {
            return Ok(Some(Self { uid: known.uid(), gid: known.gid() }));
        }
        for name in ["postgres", "nobody"] {
            if let Ok(Some(user)) = User::from_name(name) {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        Err(EmbeddedError::NoUnprivilegedUser)
    }

    /// Gives `path` to this user.
    pub(super) fn own(self, path: &Path) -> Result<(), EmbeddedError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(EmbeddedError::file("give away", path))
    }

    /// Whether this user can enter `directory`, asked by trying, because modes are not the whole truth about access.
    pub(super) fn can_enter(self, directory: &Path) -> Result<bool, EmbeddedError> {
        let test = locate::on_path("test").unwrap_or_else(|| PathBuf::from("/usr/bin/test"));
        let status = Command::new(&test)
            .arg("-x")
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::null())
            .uid(self.uid)
            .gid(self.gid)
            .status()
            .map_err(|source| EmbeddedError::Spawn { program: test, source })?;
        Ok(status.success())
    }
}
