//! Events of the log as CloudEvents 1.0 in binary mode, and back.
//!
//! What always holds: decoding what was encoded gives an equal event with the payload's exact bytes. Attributes are
//! `ce-` headers, percent-encoded where a character is not printable ASCII, so nothing can break out of a header.

use async_nats::HeaderMap;
use chrono::{DateTime, SecondsFormat, Utc};
use quotary_domain::{Metadata, RecordedEvent, TenantId};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::subjects::{InvalidToken, Names};

/// Where the JSON Schemas of `schema/events/` are published; the `$id` of each begins with it.
pub const SCHEMA_BASE: &str = "https://quotary.com/schema/events";

/// A message ready to be published.
#[derive(Clone, Debug)]
pub struct BusMessage {
    /// Where it goes.
    pub subject: String,
    /// The attributes.
    pub headers: HeaderMap,
    /// The payload's bytes as they stand in the log.
    pub payload: Vec<u8>,
}

/// Why an event can't go out, or a message is no event of ours.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    /// A type can't be part of a subject.
    #[error("the event at position {position} can't be addressed")]
    Subject {
        /// Where.
        position: u64,
        /// Why.
        #[source]
        source: InvalidToken,
    },
    /// An attribute is absent.
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    /// An attribute has no meaning.
    #[error("the attribute {name} can't be read from {value:?}")]
    Attribute {
        /// Which.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// The payload is not UTF-8.
    #[error("the payload is no text")]
    Text(#[source] std::str::Utf8Error),
    /// The payload is not JSON.
    #[error("the payload is no JSON")]
    Json(#[source] serde_json::Error),
    /// The message stands at another place of the stream than its event in the log.
    #[error("the message {stream_sequence} of the stream has the event of position {position}")]
    Misplaced {
        /// Its place in the stream.
        stream_sequence: u64,
        /// Its event's position.
        position: u64,
    },
}

/// The attribute with the event's id; compared to tell whether stream and log agree.
pub const ID: &str = "ce-id";

/// The message that carries `event`.
///
/// # Errors
/// [`CloudEventError::Subject`] if a type can't be part of a subject.
pub fn encode(names: &Names, event: RecordedEvent) -> Result<BusMessage, CloudEventError> {
    let RecordedEvent { position, aggregate_type, event_type, event_version, metadata, tenant_id, .. } = &event;
    let subject = names
        .event(*tenant_id, aggregate_type, event_type, event.aggregate_id)
        .map_err(|source| CloudEventError::Subject { position: *position, source })?;
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("content-type", "application/json");
    headers.insert(ID, event.event_id.to_string());
    headers.insert("ce-source", format!("/tenants/{tenant_id}"));
    headers.insert("ce-type", format!("com.quotary.{aggregate_type}.{event_type}.v{}", escape(event_version)));
    headers.insert("ce-subject", event.aggregate_id.to_string());
    headers.insert("ce-time", event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true));
    headers.insert("ce-dataschema", schema_id(aggregate_type, event_type, &escape(event_version)));
    headers.insert("ce-sequence", format!("{position:020}"));
    headers.insert("ce-streamsequence", event.sequence.to_string());
    headers.insert("ce-tenant", tenant_id.to_string());
    headers.insert("ce-aggregatetype", aggregate_type.as_str());
    headers.insert("ce-eventtype", event_type.as_str());
    headers.insert("ce-eventversion", escape(event_version));
    let circumstances = [
        ("ce-actor", &metadata.actor),
        ("ce-command", &metadata.command),
        ("ce-correlationid", &metadata.correlation_id),
        ("ce-causationid", &metadata.causation_id),
        ("ce-occurredat", &metadata.occurred_at),
        ("ce-traceparent", &metadata.traceparent),
    ];
    for (name, value) in circumstances {
        if let Some(value) = value {
            headers.insert(name, escape(value));
        }
    }
    let payload = String::from(Box::<str>::from(event.payload)).into_bytes();
    Ok(BusMessage { subject, headers, payload })
}

/// The event of the message at `stream_sequence`.
///
/// # Errors
/// [`CloudEventError`] if an attribute or the payload can't be read, or the message is out of its place.
pub fn decode(headers: &HeaderMap, payload: &[u8], stream_sequence: u64) -> Result<RecordedEvent, CloudEventError> {
    if required(headers, "ce-specversion")? != "1.0" {
        return Err(CloudEventError::Attribute {
            name: "ce-specversion",
            value: required(headers, "ce-specversion")?.to_owned(),
        });
    }
    let position = parsed(headers, "ce-sequence")?;
    if position != stream_sequence {
        return Err(CloudEventError::Misplaced { stream_sequence, position });
    }
    let text = std::str::from_utf8(payload).map_err(CloudEventError::Text)?;
    Ok(RecordedEvent {
        position,
        event_id: parsed(headers, ID)?,
        tenant_id: TenantId(parsed::<Uuid>(headers, "ce-tenant")?),
        aggregate_type: required_text(headers, "ce-aggregatetype")?,
        aggregate_id: parsed(headers, "ce-subject")?,
        sequence: parsed(headers, "ce-streamsequence")?,
        event_type: required_text(headers, "ce-eventtype")?,
        event_version: required_text(headers, "ce-eventversion")?,
        payload: RawValue::from_string(text.to_owned()).map_err(CloudEventError::Json)?,
        metadata: Metadata {
            actor: optional(headers, "ce-actor")?,
            command: optional(headers, "ce-command")?,
            correlation_id: optional(headers, "ce-correlationid")?,
            causation_id: optional(headers, "ce-causationid")?,
            occurred_at: optional(headers, "ce-occurredat")?,
            traceparent: optional(headers, "ce-traceparent")?,
        },
        recorded_at: parsed::<DateTime<Utc>>(headers, "ce-time")?,
    })
}

/// The `$id` of the JSON Schema of an event's payload.
#[must_use]
pub fn schema_id(aggregate_type: &str, event_type: &str, event_version: &str) -> String {
    format!("{SCHEMA_BASE}/{aggregate_type}/{event_type}.v{event_version}.schema.json")
}

fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, CloudEventError> {
    headers.get(name).map(async_nats::HeaderValue::as_str).ok_or(CloudEventError::Missing(name))
}

fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, CloudEventError> {
    let value = required(headers, name)?;
    value.parse().map_err(|_| CloudEventError::Attribute { name, value: value.to_owned() })
}

fn required_text(headers: &HeaderMap, name: &'static str) -> Result<String, CloudEventError> {
    optional(headers, name)?.ok_or(CloudEventError::Missing(name))
}

fn optional(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, CloudEventError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let value = value.as_str();
    unescape(value).map(Some).ok_or_else(|| CloudEventError::Attribute { name, value: value.to_owned() })
}

/// Percent-encoding as in CloudEvents' HTTP binding: everything but printable ASCII, and space, `"` and `%`.
fn escape(text: &str) -> String {
    if text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }
    escaped
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%')
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

fn unescape(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut nibble = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(nibble()? * 16 + nibble()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(metadata: Metadata, payload: &str) -> RecordedEvent {
        RecordedEvent {
            position: 42,
            event_id: Uuid::from_u128(1),
            tenant_id: TenantId(Uuid::from_u128(2)),
            aggregate_type: "License".into(),
            aggregate_id: Uuid::from_u128(3),
            sequence: 7,
            event_type: "LicenseRevoked".into(),
            event_version: "1".into(),
            payload: RawValue::from_string(payload.to_owned()).unwrap(),
            metadata,
            recorded_at: DateTime::parse_from_rfc3339("2026-01-02T03:04:05.000006Z").unwrap().to_utc(),
        }
    }

    #[test]
    fn an_event_has_the_attributes_of_cloud_events() {
        let message = encode(&Names::default(), event(Metadata::default(), "{}")).unwrap();
        let header = |name| message.headers.get(name).unwrap().as_str().to_owned();
        assert_eq!(header("ce-type"), "com.quotary.License.LicenseRevoked.v1");
        assert_eq!(header("ce-sequence"), "00000000000000000042");
        assert_eq!(header("ce-time"), "2026-01-02T03:04:05.000006Z");
        assert_eq!(header("ce-dataschema"), format!("{SCHEMA_BASE}/License/LicenseRevoked.v1.schema.json"));
        assert!(message.headers.get("ce-actor").is_none());
    }

    #[test]
    fn a_message_out_of_its_place_or_without_an_attribute_is_refused() {
        let message = encode(&Names::default(), event(Metadata::default(), "{}")).unwrap();
        let misplaced = decode(&message.headers, &message.payload, 43);
        assert!(matches!(misplaced, Err(CloudEventError::Misplaced { stream_sequence: 43, position: 42 })));
        assert!(matches!(decode(&message.headers, b"{", 42), Err(CloudEventError::Json(_))));
        assert!(matches!(decode(&HeaderMap::new(), b"{}", 42), Err(CloudEventError::Missing("ce-specversion"))));
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_gives_the_same_event(
            actor in proptest::option::of(any::<String>()),
            command in proptest::option::of("[ -~\r\n%\"]{0,20}"),
            remark in any::<String>(),
        ) {
            let payload = serde_json::json!({ "LicenseRevoked": { "reason": remark } }).to_string();
            let metadata = Metadata { actor, command, ..Metadata::default() };
            let given = event(metadata, &payload);
            let message = encode(&Names::default(), given.clone()).unwrap();
            let read = decode(&message.headers, &message.payload, 42).unwrap();
            prop_assert_eq!(read.payload.get(), payload);
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", given));
        }
    }
}
