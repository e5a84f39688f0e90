//! Every NATS name of Quotary: the stream, its subjects, its consumers.
//!
//! What always holds: two installations (or two tests) with different prefixes share no name, and no id of an aggregate
//! stands in a subject, because each distinct subject costs the server memory.

use quotary_domain::TenantId;
use uuid::Uuid;

/// How many partitions the subjects of one event type have; a consumer may take a share of them.
pub const PARTITIONS: u8 = 64;
/// The channel on which `append_events` announces the log's new head.
pub const LOG_CHANNEL: &str = "quotary_log";

/// The names of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    stream: String,
    root: String,
}

/// Why a text can't be part of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} can't be part of a subject: 1 to 64 of A-Z a-z 0-9 _ - are allowed")]
pub struct InvalidToken(pub String);

impl Default for Names {
    fn default() -> Self {
        Self { stream: "QUOTARY_EVENTS".to_owned(), root: "evt".to_owned() }
    }
}

impl Names {
    /// The names under a prefix of their own, for several installations on one NATS and for tests.
    ///
    /// # Errors
    /// [`InvalidToken`] if the prefix can't be part of a subject.
    pub fn with_prefix(prefix: &str) -> Result<Self, InvalidToken> {
        let prefix = token(prefix)?;
        Ok(Self { stream: format!("{prefix}_EVENTS"), root: format!("{prefix}.evt") })
    }

    /// The stream of events.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// What the stream listens to.
    #[must_use]
    pub fn all_events(&self) -> String {
        format!("{}.>", self.root)
    }

    /// The events of one tenant.
    #[must_use]
    pub fn events_of_tenant(&self, tenant: TenantId) -> String {
        format!("{}.{tenant}.>", self.root)
    }

    /// The events of one aggregate type of all tenants.
    ///
    /// # Errors
    /// [`InvalidToken`] if the type can't be part of a subject.
    pub fn events_of_type(&self, aggregate_type: &str) -> Result<String, InvalidToken> {
        Ok(format!("{}.*.{}.>", self.root, token(aggregate_type)?))
    }

    /// The events of one partition, all orders within an aggregate kept.
    #[must_use]
    pub fn events_of_partition(&self, partition: u8) -> String {
        format!("{}.*.*.*.{partition}", self.root)
    }

    /// Where one event goes: `evt.<tenant>.<aggregate type>.<event type>.<partition>`.
    ///
    /// # Errors
    /// [`InvalidToken`] if a type can't be part of a subject.
    pub fn event(
        &self,
        tenant: TenantId,
        aggregate_type: &str,
        event_type: &str,
        aggregate_id: Uuid,
    ) -> Result<String, InvalidToken> {
        let (aggregate_type, event_type) = (token(aggregate_type)?, token(event_type)?);
        Ok(format!("{}.{tenant}.{aggregate_type}.{event_type}.{}", self.root, partition(aggregate_id)))
    }

    /// The lock in PostgreSQL that makes one relay the publisher of this stream.
    #[must_use]
    pub fn relay_lock(&self) -> String {
        format!("quotary relay of {}", self.stream)
    }
}

/// The partition of an aggregate. Ids end in random bits (UUID versions 5 and 7), so their last byte spreads evenly.
#[must_use]
pub fn partition(aggregate_id: Uuid) -> u8 {
    aggregate_id.as_bytes()[15] % PARTITIONS
}

fn token(text: &str) -> Result<&str, InvalidToken> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits { Ok(text) } else { Err(InvalidToken(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_the_tenant_the_types_and_a_partition() {
        let tenant = TenantId(Uuid::from_u128(7));
        let subject = Names::default().event(tenant, "License", "LicenseIssued", Uuid::from_u128(0x41)).unwrap();
        assert_eq!(subject, "evt.00000000-0000-0000-0000-000000000007.License.LicenseIssued.1");
    }

    #[test]
    fn wildcards_and_separators_can_not_enter_a_subject() {
        for bad in ["", "a.b", "*", ">", "a b", "a\r\n", "ä", &"x".repeat(65)] {
            assert_eq!(Names::with_prefix(bad), Err(InvalidToken(bad.to_owned())), "{bad:?}");
            assert!(Names::default().event(TenantId::default(), bad, "E", Uuid::nil()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn prefixes_share_no_name() {
        let (one, other) = (Names::with_prefix("one").unwrap(), Names::with_prefix("other").unwrap());
        assert_ne!(one.stream(), other.stream());
        assert_ne!(one.all_events(), other.all_events());
        assert_ne!(one.relay_lock(), other.relay_lock());
    }
}
