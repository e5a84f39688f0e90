//! What a caller can choose about the embedded servers: where their data is and how they are sized.
//!
//! What always holds: no profile trades durability for speed. `fsync` and `synchronous_commit` stay on in all of them.

use std::path::PathBuf;
use std::time::Duration;

/// How the servers are sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// One developer's machine, data that is kept.
    Dev,
    /// Many short-lived clusters side by side: little memory, little disk.
    Test,
    /// As [`Profile::Dev`], with the log's files made beforehand, so that their creation is not measured.
    Bench,
}

impl Profile {
    /// PostgreSQL's settings that depend on the profile, as `name=value`.
    pub(super) fn postgres_settings(self) -> &'static [&'static str] {
        match self {
            Self::Dev => {
                &["shared_buffers=512MB", "effective_cache_size=4GB", "max_wal_size=4GB", "maintenance_work_mem=256MB"]
            }
            Self::Bench => &[
                "shared_buffers=512MB",
                "effective_cache_size=4GB",
                "max_wal_size=4GB",
                "min_wal_size=1GB",
                "maintenance_work_mem=256MB",
            ],
            Self::Test => &["shared_buffers=64MB", "max_wal_size=1GB"],
        }
    }
}

/// Where the servers keep their data and how large they may be.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The directory of both servers; made when missing. One process at a time may use it.
    pub data_dir: PathBuf,
    /// How the servers are sized.
    pub profile: Profile,
    /// PostgreSQL's limit on connections.
    pub max_connections: u16,
    /// How long a server may take until it answers. A cluster that was killed replays its log in this time.
    pub ready_within: Duration,
}

impl EmbeddedConfig {
    /// The usual limits for `profile`, with data in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, profile: Profile) -> Self {
        Self { data_dir: data_dir.into(), profile, max_connections: 200, ready_within: Duration::from_secs(120) }
    }
}
