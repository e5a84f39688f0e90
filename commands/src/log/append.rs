//! What one command appends in one atomic step, and the one SQL call that appends a batch of them.
//!
//! A request names every stream it rests on with the sequence it was decided at, whether it writes to it or only read
//! it, so that the database can refuse what was decided on an old state.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use quotary_domain::TenantId;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A stream that a request rests on.
#[derive(Clone, Debug)]
pub struct StreamCheck {
    /// `cqrs_es::Aggregate::TYPE`.
    pub aggregate_type: Cow<'static, str>,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The sequence of its last event as the decision saw it; 0 for a new stream.
    pub expected: u64,
    /// How many events the request adds to it.
    pub added: u64,
    /// Whether the state was only looked at, so that others may have changed it since and stand before in the queue.
    pub is_glance: bool,
    /// Set when what the decision rested on turned out not to be durable.
    pub poison: Poison,
}

/// A mark shared by a cached aggregate and the requests decided on it.
#[derive(Clone, Debug, Default)]
pub struct Poison(Arc<AtomicBool>);

impl Poison {
    /// Marks the state as void.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the state is void.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Place of its stream in [`Append::streams`].
    pub stream: usize,
    /// Its place in the stream.
    pub sequence: u64,
    /// Its own id.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: Cow<'static, str>,
    /// The version of its payload.
    pub event_version: Cow<'static, str>,
    /// The payload's JSON; these bytes are what the log keeps.
    pub payload: String,
}

/// The outcome to keep for a repeat of the command.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    /// SHA-256 over who asks and the idempotency key.
    pub key_hash: [u8; 32],
    /// SHA-256 over what is asked.
    pub request_hash: [u8; 32],
    /// The answer, sealed.
    pub response: Vec<u8>,
}

/// A value that only one aggregate may have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewClaim {
    /// Whose namespace; the nil id for the whole installation.
    pub tenant_id: Uuid,
    /// E.g. `username`.
    pub kind: &'static str,
    /// The value.
    pub value: String,
    /// Who has it from now on.
    pub owner_id: Uuid,
}

/// What one command appends: all of it or nothing.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose events these are.
    pub tenant_id: TenantId,
    /// The streams it rests on.
    pub streams: Vec<StreamCheck>,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// The circumstances of all its events, as JSON.
    pub metadata: String,
    /// The outcome to keep, if the command has an idempotency key.
    pub receipt: Option<NewReceipt>,
    /// Values claimed.
    pub claims: Vec<NewClaim>,
}

/// Where a request's events came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position before its first event.
    pub base: u64,
    /// The position of its last event.
    pub position: u64,
    /// When its last event was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// Why a request was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// It was decided on a state that is not the latest; nothing was written.
    #[error("the command was decided on a state that is not the latest")]
    Conflict,
    /// A command with its idempotency key is in the log already; nothing was written.
    #[error("a receipt with this key exists")]
    ReceiptTaken,
    /// A claimed value belongs to another aggregate; nothing was written.
    #[error("the {0} is taken")]
    ClaimTaken(&'static str),
    /// The database could not be reached within the bound; whether it was written is not known.
    #[error("the log could not be reached")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The process is stopping; nothing was written.
    #[error("the process is stopping")]
    Stopping,
}

/// What the SQL function said of a batch.
pub(super) enum Verdict {
    /// All of it stands in the log after this position.
    Written {
        /// The position before the batch's first event.
        base: u64,
        /// The time from which its events count.
        base_time: DateTime<Utc>,
    },
    /// Nothing was written; the 0-based places of what is in the way.
    Refused {
        /// Streams, as given.
        streams: Vec<usize>,
        /// Receipts, as given.
        receipts: Vec<usize>,
        /// Claims, as given.
        claims: Vec<usize>,
    },
}

/// A batch in the column form that the SQL function takes. It borrows from the requests: nothing is copied but pointers.
#[derive(Default)]
pub(super) struct Columns<'a> {
    check_types: Vec<&'a str>,
    check_ids: Vec<&'a str>,
    check_expected: Vec<i64>,
    event_ids: Vec<Uuid>,
    event_tenants: Vec<Uuid>,
    event_stream_types: Vec<&'a str>,
    event_stream_ids: Vec<&'a str>,
    event_sequences: Vec<i64>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    event_payloads: Vec<&'a str>,
    event_metadata: Vec<&'a str>,
    receipt_tenants: Vec<Uuid>,
    receipt_keys: Vec<&'a [u8]>,
    receipt_requests: Vec<&'a [u8]>,
    receipt_events: Vec<i32>,
    receipt_responses: Vec<&'a [u8]>,
    claim_tenants: Vec<Uuid>,
    claim_kinds: Vec<&'a str>,
    claim_values: Vec<&'a str>,
    claim_owners: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    /// Adds a stream's check; its place is the number of checks before.
    pub(super) fn check(&mut self, check: &'a StreamCheck) {
        self.check_types.push(&check.aggregate_type);
        self.check_ids.push(&check.aggregate_id);
        self.check_expected.push(signed(check.expected));
    }

    /// Adds a request's events, receipt and claims.
    pub(super) fn add(&mut self, append: &'a Append) {
        for event in &append.events {
            let stream = &append.streams[event.stream];
            self.event_ids.push(event.event_id);
            self.event_tenants.push(append.tenant_id.0);
            self.event_stream_types.push(&stream.aggregate_type);
            self.event_stream_ids.push(&stream.aggregate_id);
            self.event_sequences.push(signed(event.sequence));
            self.event_types.push(&event.event_type);
            self.event_versions.push(&event.event_version);
            self.event_payloads.push(&event.payload);
            self.event_metadata.push(&append.metadata);
        }
        if let Some(receipt) = &append.receipt {
            self.receipt_tenants.push(append.tenant_id.0);
            self.receipt_keys.push(&receipt.key_hash);
            self.receipt_requests.push(&receipt.request_hash);
            self.receipt_events.push(i32::try_from(self.event_ids.len()).unwrap_or(i32::MAX));
            self.receipt_responses.push(&receipt.response);
        }
        for claim in &append.claims {
            self.claim_tenants.push(claim.tenant_id);
            self.claim_kinds.push(claim.kind);
            self.claim_values.push(&claim.value);
            self.claim_owners.push(claim.owner_id);
        }
    }

    /// The first event, by which a batch whose answer was lost can be found again.
    pub(super) fn first_event(&self) -> Option<Uuid> {
        self.event_ids.first().copied()
    }

    /// Asks the database to append the batch. One round trip, one transaction.
    pub(super) async fn append(&self, connection: &mut PgConnection) -> Result<Verdict, sqlx::Error> {
        let row = sqlx::query(
            "select base_position, base_recorded_at, stream_conflicts, taken_receipts, taken_claims \
             from append_events($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21)",
        )
        .bind(&self.check_types)
        .bind(&self.check_ids)
        .bind(&self.check_expected)
        .bind(&self.event_ids)
        .bind(&self.event_tenants)
        .bind(&self.event_stream_types)
        .bind(&self.event_stream_ids)
        .bind(&self.event_sequences)
        .bind(&self.event_types)
        .bind(&self.event_versions)
        .bind(&self.event_payloads)
        .bind(&self.event_metadata)
        .bind(&self.receipt_tenants)
        .bind(&self.receipt_keys)
        .bind(&self.receipt_requests)
        .bind(&self.receipt_events)
        .bind(&self.receipt_responses)
        .bind(&self.claim_tenants)
        .bind(&self.claim_kinds)
        .bind(&self.claim_values)
        .bind(&self.claim_owners)
        .fetch_one(connection)
        .await?;
        if let Some(base) = row.try_get::<Option<i64>, _>(0)? {
            return Ok(Verdict::Written { base: base.cast_unsigned(), base_time: row.try_get(1)? });
        }
        let places = |column: usize| -> Result<Vec<usize>, sqlx::Error> {
            let places: Option<Vec<i32>> = row.try_get(column)?;
            Ok(places.unwrap_or_default().into_iter().filter_map(|n| usize::try_from(n - 1).ok()).collect())
        };
        Ok(Verdict::Refused { streams: places(2)?, receipts: places(3)?, claims: places(4)? })
    }

    /// Where the batch stands, if it is in the log already: an append whose answer was lost in a cut connection may have
    /// been committed. Only right after another append was refused, since that one waited for the lost one's lock.
    pub(super) async fn find(&self, connection: &mut PgConnection) -> Result<Option<Verdict>, sqlx::Error> {
        let Some(event_id) = self.first_event() else { return Ok(None) };
        let found = sqlx::query_as::<_, (i64, DateTime<Utc>)>(
            "select position - 1, recorded_at - interval '1 microsecond' from events \
             where aggregate_type = $1 and aggregate_id = $2 and sequence = $3 and event_id = $4",
        )
        .bind(self.event_stream_types[0])
        .bind(self.event_stream_ids[0])
        .bind(self.event_sequences[0])
        .bind(event_id)
        .fetch_optional(connection)
        .await?;
        Ok(found.map(|(base, base_time)| Verdict::Written { base: base.cast_unsigned(), base_time }))
    }
}

fn signed(number: u64) -> i64 {
    number.cast_signed()
}
