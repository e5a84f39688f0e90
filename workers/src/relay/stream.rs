//! The stream as the relay makes it.
//!
//! What always holds: messages are kept in files, can't be deleted or purged one by one, and a stream of the same name
//! that somebody made otherwise is refused and not bent.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use quotary_projections::bus::agreement;

use super::{Relay, RelayError};

impl Relay {
    /// Makes the stream if it is not there, and brings its limits up to date if it is.
    pub(super) async fn ensure_stream(&self) -> Result<(), RelayError> {
        let wanted = self.stream_config();
        let Some(stream) = agreement::find(&self.nats, &self.names).await? else {
            tracing::info!(stream = wanted.name, first = self.options.first_sequence, "makes the stream of events");
            self.nats.create_stream(wanted).await.map_err(RelayError::Create)?;
            return Ok(());
        };
        let found = &stream.cached_info().config;
        check_ours(found, &wanted)?;
        let limits = |config: &Config| (config.max_bytes, config.max_age, config.num_replicas);
        if limits(found) != limits(&wanted) {
            let changed = Config {
                max_bytes: wanted.max_bytes,
                max_age: wanted.max_age,
                num_replicas: wanted.num_replicas,
                ..found.clone()
            };
            self.nats.update_stream(changed).await.map_err(RelayError::Update)?;
        }
        Ok(())
    }

    fn stream_config(&self) -> Config {
        let options = &self.options;
        Config {
            name: self.names.stream().to_owned(),
            description: Some("The event log of Quotary as CloudEvents; sequence = position".to_owned()),
            subjects: vec![self.names.all_events()],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: options.replicas,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_bytes: options.max_bytes.unwrap_or(-1),
            max_age: options.max_age,
            // The expected sequence already keeps doubles out; the window only costs memory.
            duplicate_window: Duration::from_secs(1).min(nonzero(options.max_age)),
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            first_sequence: (options.first_sequence > 1).then_some(options.first_sequence),
            ..Config::default()
        }
    }
}

/// The server refuses a window that is longer than the messages' age.
fn nonzero(max_age: Duration) -> Duration {
    if max_age.is_zero() { Duration::MAX } else { max_age }
}

fn check_ours(found: &Config, wanted: &Config) -> Result<(), RelayError> {
    let facts = [
        ("set of subjects", found.subjects == wanted.subjects),
        ("retention", found.retention == wanted.retention),
        ("discard policy", found.discard == wanted.discard),
        ("storage", found.storage == wanted.storage),
        ("rule on purges", found.deny_purge && found.deny_delete),
        ("source", found.mirror.is_none() && found.sources.as_ref().is_none_or(Vec::is_empty)),
    ];
    match facts.into_iter().find(|(_, is_so)| !is_so) {
        Some((fact, _)) => Err(RelayError::ForeignStream(fact)),
        None => Ok(()),
    }
}
