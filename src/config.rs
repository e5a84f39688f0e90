//! Configuration by file, environment and flags, the later ones winning. Every secret can come from a file of its own.
//!
//! | key | environment | meaning |
//! |---|---|---|
//! | `database_url` | `DATABASE_URL` | PostgreSQL, as the owner of the database |
//! | `nats_url` | `NATS_URL` | NATS with `JetStream`; without it workers read the log itself |
//! | `listen` | `QUOTARY_LISTEN` | address of the API, `127.0.0.1:8080` by default |
//! | `master_key`, `master_key_file` | `QUOTARY_MASTER_KEY`, `…_FILE` | 32 bytes in base64 that seal what is secret |
//! | `token_keys`, `token_keys_file` | `QUOTARY_JWT_KEYS`, `…_FILE` | the JSON key set that signs access tokens |
//! | `seal_key`, `seal_key_file` | `QUOTARY_SEAL_KEY`, `…_FILE` | the keys that seal the log, one a line; without one it is not sealed |
//! | `seal_dir` | `QUOTARY_SEAL_DIR` | a folder that keeps the last sealed head outside of PostgreSQL |
//! | `seal_bucket` | `QUOTARY_SEAL_BUCKET` | a bucket of NATS that keeps it too, for workers on several hosts |
//! | `witness_url`, `witness_key` | `QUOTARY_WITNESS_URL`, `…_KEY` | a second signer and its verifier key |
//! | `stream_prefix` | `QUOTARY_STREAM_PREFIX` | prefix of NATS names, for several installations on one server |
//! | `connections` | `QUOTARY_CONNECTIONS` | connections to PostgreSQL of one process, 24 by default |
//! | `cached_aggregates` | `QUOTARY_CACHED_AGGREGATES` | aggregates of a type kept in memory, 200,000 by default |
//! | `append_within_ms` | `QUOTARY_APPEND_WITHIN_MS` | how long an append is tried before it is answered with 503, 15,000 by default |
//! | `request_within_ms` | `QUOTARY_REQUEST_WITHIN_MS` | how long a request may take, 30,000 by default |
//! | `connection_within_ms` | `QUOTARY_CONNECTION_WITHIN_MS` | how long a connection of the pool is waited for, 10,000 by default |
//! | `read_within_ms` | `QUOTARY_READ_WITHIN_MS` | how long the log may take to give a run of events, 30,000 by default |
//! | `publish_within_ms` | `QUOTARY_PUBLISH_WITHIN_MS` | how long JetStream may take to confirm, 5,000 by default |
//! | `reconcile_minutes` | `QUOTARY_RECONCILE_MINUTES` | how often read models are compared with the log from the last proved position, 15 by default; 0 for never |
//! | `reconcile_full_hours` | `QUOTARY_RECONCILE_FULL_HOURS` | how often in full, 24 by default; 0 for never |
//! | `callbacks_to_private` | `QUOTARY_CALLBACKS_TO_PRIVATE` | whether callbacks may go to private addresses and in clear text, `false` by default |
//! | `silent_at_most_ms` | `QUOTARY_SILENT_AT_MOST_MS` | how long a frozen process keeps a job or a transaction, 15,000 by default |

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use quotary_audit::note::{KeyError, SignerKey, VerifierKey};
use quotary_commands::callback::target::Reach;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What a process is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// PostgreSQL.
    #[serde(default)]
    pub database_url: Option<Secret>,
    /// The database's URL in a file.
    #[serde(default)]
    pub database_url_file: Option<PathBuf>,
    /// NATS.
    #[serde(default)]
    pub nats_url: Option<Secret>,
    /// NATS' URL in a file.
    #[serde(default)]
    pub nats_url_file: Option<PathBuf>,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The master key in base64.
    #[serde(default)]
    pub master_key: Option<Secret>,
    /// The master key in a file.
    #[serde(default)]
    pub master_key_file: Option<PathBuf>,
    /// The key set of access tokens.
    #[serde(default)]
    pub token_keys: Option<Secret>,
    /// The key set of access tokens in a file.
    #[serde(default)]
    pub token_keys_file: Option<PathBuf>,
    /// The keys that seal the log.
    #[serde(default)]
    pub seal_key: Option<Secret>,
    /// The keys that seal the log in a file.
    #[serde(default)]
    pub seal_key_file: Option<PathBuf>,
    /// The folder of the last sealed head.
    #[serde(default)]
    pub seal_dir: Option<PathBuf>,
    /// The bucket of the last sealed head.
    #[serde(default)]
    pub seal_bucket: Option<String>,
    /// The second signer.
    #[serde(default)]
    pub witness_url: Option<String>,
    /// The second signer's verifier key.
    #[serde(default)]
    pub witness_key: Option<String>,
    /// Prefix of NATS names.
    #[serde(default)]
    pub stream_prefix: Option<String>,
    /// Connections to PostgreSQL.
    pub connections: u32,
    /// Aggregates of a type kept in memory.
    pub cached_aggregates: u64,
    /// How long an append is tried when the database can't be reached.
    pub append_within_ms: Milliseconds,
    /// How long a request may take.
    pub request_within_ms: Milliseconds,
    /// How long a connection of the pool is waited for.
    pub connection_within_ms: Milliseconds,
    /// How long the log may take to give a run of events.
    pub read_within_ms: Milliseconds,
    /// How long `JetStream` may take to confirm a message.
    pub publish_within_ms: Milliseconds,
    /// How long a process that is frozen or cut off keeps a job of one process at a time, or a transaction of a read model.
    pub silent_at_most_ms: Milliseconds,
    /// How often read models are compared with the log from the last proved position, in minutes; 0 for never.
    pub reconcile_minutes: u32,
    /// How often they are compared in full, in hours; 0 for never.
    pub reconcile_full_hours: u32,
    /// Whether callbacks may go to private addresses and in clear text.
    pub callbacks_to_private: bool,
}

/// A bound in whole milliseconds, more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milliseconds(NonZeroU32);

impl Milliseconds {
    /// So many seconds.
    const fn of_seconds(seconds: u32) -> Self {
        match NonZeroU32::new(seconds * 1_000) {
            Some(milliseconds) => Self(milliseconds),
            None => Self(NonZeroU32::MIN),
        }
    }
}

impl From<Milliseconds> for Duration {
    fn from(bound: Milliseconds) -> Self {
        Self::from_millis(bound.0.get().into())
    }
}

/// A text that is never shown and wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database_url: None,
            database_url_file: None,
            nats_url: None,
            nats_url_file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            master_key: None,
            master_key_file: None,
            token_keys: None,
            token_keys_file: None,
            seal_key: None,
            seal_key_file: None,
            seal_dir: None,
            seal_bucket: None,
            witness_url: None,
            witness_key: None,
            stream_prefix: None,
            connections: 24,
            cached_aggregates: 200_000,
            append_within_ms: Milliseconds::of_seconds(15),
            request_within_ms: Milliseconds::of_seconds(30),
            connection_within_ms: Milliseconds::of_seconds(10),
            read_within_ms: Milliseconds::of_seconds(30),
            publish_within_ms: Milliseconds::of_seconds(5),
            silent_at_most_ms: Milliseconds::of_seconds(15),
            reconcile_minutes: 15,
            reconcile_full_hours: 24,
            callbacks_to_private: false,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing, unknown or of the wrong kind.
    #[error("the configuration can't be read: {0}")]
    Value(#[from] Box<figment::Error>),
    /// A needed value is nowhere.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A value is no key.
    #[error("{0} has no key of a signed note")]
    Key(&'static str, #[source] KeyError),
    /// A secret's file can't be read.
    #[error("{file} can't be read")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The settings that variables with our prefix give; other such variables belong to single commands or to tests.
const OWN: [&str; 23] = [
    "listen",
    "master_key",
    "master_key_file",
    "jwt_keys",
    "jwt_keys_file",
    "seal_key",
    "seal_key_file",
    "seal_dir",
    "seal_bucket",
    "witness_url",
    "witness_key",
    "stream_prefix",
    "connections",
    "cached_aggregates",
    "append_within_ms",
    "request_within_ms",
    "connection_within_ms",
    "read_within_ms",
    "publish_within_ms",
    "silent_at_most_ms",
    "reconcile_minutes",
    "reconcile_full_hours",
    "callbacks_to_private",
];

impl Config {
    /// What callbacks may reach.
    #[must_use]
    pub fn callbacks(&self) -> Reach {
        if self.callbacks_to_private { Reach::Anything } else { Reach::Public }
    }

    /// The configuration of `file` (if any), the environment, and `flags`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] if a value is unknown or of the wrong kind.
    pub fn load(file: Option<&Path>, flags: &impl Serialize) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::raw().only(&["DATABASE_URL", "DATABASE_URL_FILE", "NATS_URL", "NATS_URL_FILE"]);
        let own = Env::prefixed("QUOTARY_").only(&OWN).map(|key| match key.as_str() {
            "jwt_keys" | "JWT_KEYS" => "token_keys".into(),
            "jwt_keys_file" | "JWT_KEYS_FILE" => "token_keys_file".into(),
            other => other.to_ascii_lowercase().into(),
        });
        let figment = figment.merge(environment).merge(own).merge(Serialized::defaults(flags));
        Ok(figment.extract().map_err(Box::new)?)
    }

    /// PostgreSQL's URL.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not set or its file can't be read.
    pub fn database_url(&self) -> Result<Zeroizing<String>, ConfigError> {
        secret(self.database_url.as_ref(), self.database_url_file.as_deref())?
            .ok_or(ConfigError::Missing("DATABASE_URL"))
    }

    /// NATS' URL, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] if its file can't be read.
    pub fn nats_url(&self) -> Result<Option<Zeroizing<String>>, ConfigError> {
        secret(self.nats_url.as_ref(), self.nats_url_file.as_deref())
    }

    /// The master key in base64.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not set or its file can't be read.
    pub fn master_key(&self) -> Result<Zeroizing<String>, ConfigError> {
        secret(self.master_key.as_ref(), self.master_key_file.as_deref())?
            .ok_or(ConfigError::Missing("QUOTARY_MASTER_KEY_FILE"))
    }

    /// The keys that seal the log; empty if it is not sealed.
    ///
    /// # Errors
    /// [`ConfigError`] if their file can't be read or a line is no key.
    pub fn seal_keys(&self) -> Result<Vec<SignerKey>, ConfigError> {
        let Some(text) = secret(self.seal_key.as_ref(), self.seal_key_file.as_deref())? else { return Ok(vec![]) };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.parse().map_err(|source| ConfigError::Key("QUOTARY_SEAL_KEY", source))).collect()
    }

    /// The second signer's address and key, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] if only one of both is set or the key is none.
    pub fn witness(&self) -> Result<Option<(String, VerifierKey)>, ConfigError> {
        match (&self.witness_url, &self.witness_key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConfigError::Missing("QUOTARY_WITNESS_KEY")),
            (None, Some(_)) => Err(ConfigError::Missing("QUOTARY_WITNESS_URL")),
            (Some(url), Some(key)) => {
                let key = key.parse().map_err(|source| ConfigError::Key("QUOTARY_WITNESS_KEY", source))?;
                Ok(Some((url.clone(), key)))
            }
        }
    }

    /// The key set of access tokens.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not set or its file can't be read.
    pub fn token_keys(&self) -> Result<Zeroizing<String>, ConfigError> {
        secret(self.token_keys.as_ref(), self.token_keys_file.as_deref())?
            .ok_or(ConfigError::Missing("QUOTARY_JWT_KEYS_FILE"))
    }
}

fn secret(value: Option<&Secret>, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, ConfigError> {
    match (value, file) {
        (Some(value), _) => Ok(Some(Zeroizing::new(value.0.clone()))),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map(|text| Some(Zeroizing::new(text.trim().to_owned())))
            .map_err(|source| ConfigError::File { file: file.to_owned(), source }),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_unknown_keys_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\nconnections = 3\n").unwrap();
        let config = Config::load(Some(file.path()), &serde_json::json!({"listen": "127.0.0.1:2"})).unwrap();
        assert_eq!((config.listen.port(), config.connections), (2, 3));
        for wrong in ["lisen = \"127.0.0.1:1\"\n", "append_within_ms = 0\n"] {
            std::fs::write(file.path(), wrong).unwrap();
            assert!(Config::load(Some(file.path()), &serde_json::json!({})).is_err(), "{wrong}");
        }
    }

    /// What the environment has of no setting is ignored, so a wrong name in a file to deploy would be noticed by nobody.
    #[test]
    fn the_files_to_deploy_name_settings_that_there_are_and_seal_the_log() {
        let compose = include_str!("../deploy/compose.yaml");
        let worker = include_str!("../deploy/kubernetes/worker.yaml");
        let unit = include_str!("../deploy/systemd/quotary-worker.service");
        let others = [
            include_str!("../deploy/kubernetes/api.yaml"),
            include_str!("../deploy/kubernetes/config.yaml"),
            include_str!("../deploy/kubernetes/secret.sample.yaml"),
            include_str!("../deploy/systemd/quotary-api.service"),
        ];
        let is_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        for text in [compose, worker, unit].into_iter().chain(others) {
            for rest in text.split("QUOTARY_").skip(1) {
                let name = rest.split(|letter| !is_name(letter)).next().unwrap().to_ascii_lowercase();
                assert!(OWN.contains(&name.as_str()), "QUOTARY_{} is no setting", name.to_ascii_uppercase());
            }
        }
        for text in [compose, worker, unit] {
            assert!(text.contains("QUOTARY_SEAL_KEY_FILE") && text.contains("QUOTARY_SEAL_DIR"), "{text}");
        }
    }
}
