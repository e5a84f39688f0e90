//! The canonical bytes of an event: what is hashed as a leaf of the log's tree, and what stands in a bundle.
//!
//! ```text
//! quotary-event/v1
//! position 75
//! event_id 01a1fdc1-8ad7-7bb3-a2a7-0d3f4d8f0a11
//! tenant_id 01a1fdc0-5be1-7d63-bb2b-2f1b6d0f4c02
//! aggregate_type AgentQuota
//! aggregate_id 01a1fdc1-8ad7-7bb3-a2a7-0d3f4d8f0a12
//! sequence 3
//! event_type QuotaToppedUp
//! event_version 1
//! recorded_at 1763722652557445
//! payload 31
//! metadata 31
//!
//! {"QuotaToppedUp":{"amount":1}}
//! {"command":"quota.top_up"}
//! ```
//!
//! `recorded_at` is in microseconds since 1970, `payload` and `metadata` are lengths in bytes; each of the two texts follows
//! exactly as it is stored, and a line feed after it. Leaves of a tiled log are at most 65,535 bytes. In a larger event the payload (and the metadata, if that
//! alone is too large) is replaced by its digest, `payload 70000 sha256 <hex>`, and stands in the bundle beside the entries.
//!
//! What always holds: one event has one encoding. [`Leaf::decode`] accepts nothing that [`encode`] would write otherwise.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The most bytes of a leaf: tiles of entries have lengths of 16 bits.
pub const MAX_LEAF: usize = 65_535;
/// The most bytes of a name (aggregate type and id, event type and version).
pub const MAX_NAME: usize = 255;

const FORMAT: &str = "quotary-event/v1";
/// A payload or metadata of more bytes is never in the leaf itself; two of this size fit with every header.
const MAX_INLINE: usize = 32_000;

/// An event of the log, its texts borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place in the log, from 1.
    pub position: u64,
    /// Its own id.
    pub event_id: Uuid,
    /// Its tenant.
    pub tenant_id: Uuid,
    /// What it happened to.
    pub aggregate_type: &'a str,
    /// Which one.
    pub aggregate_id: &'a str,
    /// Its place in its stream, from 1.
    pub sequence: u64,
    /// What happened.
    pub event_type: &'a str,
    /// The version of the payload's shape.
    pub event_version: &'a str,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at: i64,
    /// The payload's exact text.
    pub payload: &'a str,
    /// The metadata's exact text.
    pub metadata: &'a str,
}

/// Why an event has no canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A name is empty, too long, or has a control character or a space.
    #[error("position {position}: {field} is no name")]
    Name {
        /// Where.
        position: u64,
        /// Which field.
        field: &'static str,
    },
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They begin otherwise.
    #[error("the entry does not begin with {FORMAT}")]
    Format,
    /// They are no text.
    #[error("the entry is not UTF-8")]
    Text,
    /// A line is missing, or says something that an encoder would write otherwise.
    #[error("the entry's line {0} is not as it must be")]
    Line(&'static str),
    /// The lengths do not fit.
    #[error("the entry is not as long as it says")]
    Length,
}

/// A text of the event: in the leaf, or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// In the leaf.
    Inline(&'a str),
    /// Beside it.
    Beside(Beside),
}

/// What stands in the leaf for a text beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The text's length in bytes.
    pub length: usize,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Beside {
    /// Of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self { length: text.len(), sha256: Sha256::digest(text.as_bytes()).into() }
    }

    /// Whether `text` is the one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        *self == Self::of(text)
    }
}

/// A decoded leaf, before texts that stand beside it are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// Everything that stands in the leaf; `payload` and `metadata` are empty if they stand beside it.
    entry: Entry<'a>,
    /// The payload.
    pub payload: Text<'a>,
    /// The metadata.
    pub metadata: Text<'a>,
}

/// Appends the canonical bytes of `entry` to `out` and answers which texts have to stand beside it: payload, metadata.
///
/// # Errors
/// [`EncodeError`] if a name could be mistaken for something else; nothing is appended then.
pub fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) -> Result<[Option<Beside>; 2], EncodeError> {
    let position = entry.position;
    for (field, name) in names(entry) {
        if !is_name(name) {
            return Err(EncodeError::Name { position, field });
        }
    }
    let beside = |text: &str| (text.len() > MAX_INLINE).then(|| Beside::of(text));
    let texts = if entry.payload.len() + entry.metadata.len() <= 2 * MAX_INLINE {
        // Both fit together, however they share the room.
        [None, None]
    } else {
        [beside(entry.payload), beside(entry.metadata)]
    };
    out.reserve(512 + entry.payload.len() + entry.metadata.len());
    line(out, FORMAT, "");
    number(out, "position ", entry.position);
    id(out, "event_id ", entry.event_id);
    id(out, "tenant_id ", entry.tenant_id);
    line(out, "aggregate_type ", entry.aggregate_type);
    line(out, "aggregate_id ", entry.aggregate_id);
    number(out, "sequence ", entry.sequence);
    line(out, "event_type ", entry.event_type);
    line(out, "event_version ", entry.event_version);
    if entry.recorded_at < 0 {
        number(out, "recorded_at -", entry.recorded_at.unsigned_abs());
    } else {
        number(out, "recorded_at ", entry.recorded_at.unsigned_abs());
    }
    length(out, "payload ", entry.payload, texts[0]);
    length(out, "metadata ", entry.metadata, texts[1]);
    out.push(b'\n');
    for (text, beside) in [entry.payload, entry.metadata].into_iter().zip(texts) {
        if beside.is_none() {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
    }
    Ok(texts)
}

fn names<'a>(entry: &Entry<'a>) -> [(&'static str, &'a str); 4] {
    [
        ("aggregate_type", entry.aggregate_type),
        ("aggregate_id", entry.aggregate_id),
        ("event_type", entry.event_type),
        ("event_version", entry.event_version),
    ]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

fn line(out: &mut Vec<u8>, label: &str, value: &str) {
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn id(out: &mut Vec<u8>, label: &str, id: Uuid) {
    let mut text = [0; 36];
    line(out, label, id.hyphenated().encode_lower(&mut text));
}

fn number(out: &mut Vec<u8>, label: &str, number: u64) {
    out.extend_from_slice(label.as_bytes());
    digits(out, number);
    out.push(b'\n');
}

fn digits(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}

fn length(out: &mut Vec<u8>, label: &str, text: &str, beside: Option<Beside>) {
    out.extend_from_slice(label.as_bytes());
    digits(out, text.len() as u64);
    if let Some(beside) = beside {
        out.extend_from_slice(b" sha256 ");
        out.extend_from_slice(hex(&beside.sha256).as_bytes());
    }
    out.push(b'\n');
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

impl<'a> Leaf<'a> {
    /// Reads a leaf.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not exactly what [`encode`] writes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Text)?;
        let mut rest = text.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix('\n')).ok_or(DecodeError::Format)?;
        let rest = &mut rest;
        let mut entry = Entry {
            position: take(rest, "position", unsigned)?,
            event_id: take(rest, "event_id", uuid)?,
            tenant_id: take(rest, "tenant_id", uuid)?,
            aggregate_type: take(rest, "aggregate_type", name)?,
            aggregate_id: take(rest, "aggregate_id", name)?,
            sequence: take(rest, "sequence", unsigned)?,
            event_type: take(rest, "event_type", name)?,
            event_version: take(rest, "event_version", name)?,
            recorded_at: take(rest, "recorded_at", signed)?,
            payload: "",
            metadata: "",
        };
        let payload = take(rest, "payload", stated)?;
        let metadata = take(rest, "metadata", stated)?;
        *rest = rest.strip_prefix('\n').ok_or(DecodeError::Length)?;
        let payload = body(rest, payload)?;
        let metadata = body(rest, metadata)?;
        // Where the encoder keeps a text in the leaf, nothing else is canonical.
        let both = payload.length() + metadata.length();
        let has_place = |text: &Text<'_>| match text {
            Text::Inline(text) => both <= 2 * MAX_INLINE || text.len() <= MAX_INLINE,
            Text::Beside(beside) => both > 2 * MAX_INLINE && beside.length > MAX_INLINE,
        };
        if !rest.is_empty() || !has_place(&payload) || !has_place(&metadata) {
            return Err(DecodeError::Length);
        }
        if let Text::Inline(text) = payload {
            entry.payload = text;
        }
        if let Text::Inline(text) = metadata {
            entry.metadata = text;
        }
        Ok(Self { entry, payload, metadata })
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.entry.position
    }

    /// The whole entry; `None` if a text stands beside it.
    #[must_use]
    pub fn entry(&self) -> Option<Entry<'a>> {
        match (self.payload, self.metadata) {
            (Text::Inline(_), Text::Inline(_)) => Some(self.entry),
            _ => None,
        }
    }

    /// What stands beside the leaf.
    pub fn beside(&self) -> impl Iterator<Item = Beside> {
        [self.payload, self.metadata].into_iter().filter_map(|text| match text {
            Text::Beside(beside) => Some(beside),
            Text::Inline(_) => None,
        })
    }

    /// The whole entry, `find` bringing a text that stands beside it; `None` if `find` has not that very text.
    pub fn entry_with<'b>(&self, find: impl Fn(&Beside) -> Option<&'b str>) -> Option<Entry<'b>>
    where
        'a: 'b,
    {
        let text = |text: Text<'a>| match text {
            Text::Inline(text) => Some(text),
            Text::Beside(beside) => find(&beside).filter(|text| beside.is(text)),
        };
        Some(Entry { payload: text(self.payload)?, metadata: text(self.metadata)?, ..self.entry })
    }
}

impl Text<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Inline(text) => text.len(),
            Self::Beside(beside) => beside.length,
        }
    }
}

/// The next line, which has to begin with `label`.
fn take<'a, T>(
    rest: &mut &'a str,
    label: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, DecodeError> {
    let wrong = DecodeError::Line(label);
    let value = rest.strip_prefix(label).and_then(|value| value.strip_prefix(' ')).ok_or(wrong.clone())?;
    let end = value.as_bytes().iter().position(|byte| *byte == b'\n').ok_or(wrong.clone())?;
    *rest = &value[end + 1..];
    read(&value[..end]).ok_or(wrong)
}

fn unsigned(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some("0") => None,
        Some(digits) => 0_i64.checked_sub_unsigned(unsigned(digits)?),
        None => i64::try_from(unsigned(text)?).ok(),
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    let is_plain = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_plain { Uuid::try_parse(text).ok() } else { None }
}

fn name(text: &str) -> Option<&str> {
    is_name(text).then_some(text)
}

/// A length, and the digest of what stands beside the leaf.
fn stated(text: &str) -> Option<(usize, Option<[u8; 32]>)> {
    let Some((length, digest)) = text.split_once(' ') else {
        return Some((usize::try_from(unsigned(text)?).ok()?, None));
    };
    let digits = digest.strip_prefix("sha256 ").filter(|digits| digits.len() == 64)?;
    let mut sha256 = [0; 32];
    for (byte, pair) in sha256.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((usize::try_from(unsigned(length)?).ok()?, Some(sha256)))
}

fn body<'a>(rest: &mut &'a str, (length, digest): (usize, Option<[u8; 32]>)) -> Result<Text<'a>, DecodeError> {
    if let Some(sha256) = digest {
        return Ok(Text::Beside(Beside { length, sha256 }));
    }
    let (text, after) = rest.split_at_checked(length).ok_or(DecodeError::Length)?;
    *rest = after.strip_prefix('\n').ok_or(DecodeError::Length)?;
    Ok(Text::Inline(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry<'a>(payload: &'a str, metadata: &'a str) -> Entry<'a> {
        Entry {
            position: 75,
            event_id: Uuid::from_u128(0x01a1_fdc1_8ad7_7bb3_a2a7_0d3f_4d8f_0a11),
            tenant_id: Uuid::from_u128(2),
            aggregate_type: "AgentQuota",
            aggregate_id: "01a1fdc1-8ad7-7bb3-a2a7-0d3f4d8f0a12",
            sequence: 3,
            event_type: "QuotaToppedUp",
            event_version: "1",
            recorded_at: 1_763_722_652_557_445,
            payload,
            metadata,
        }
    }

    fn encoded(entry: &Entry<'_>) -> Vec<u8> {
        let mut bytes = vec![];
        encode(entry, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_format_is_the_one_that_is_documented() {
        let text = "quotary-event/v1\nposition 75\nevent_id 01a1fdc1-8ad7-7bb3-a2a7-0d3f4d8f0a11\n\
                    tenant_id 00000000-0000-0000-0000-000000000002\naggregate_type AgentQuota\n\
                    aggregate_id 01a1fdc1-8ad7-7bb3-a2a7-0d3f4d8f0a12\nsequence 3\nevent_type QuotaToppedUp\n\
                    event_version 1\nrecorded_at 1763722652557445\npayload 8\nmetadata 2\n\n{\"a\":\n1}\n{}\n";
        let entry = entry("{\"a\":\n1}", "{}");
        assert_eq!(String::from_utf8(encoded(&entry)).unwrap(), text);
        assert_eq!(Leaf::decode(text.as_bytes()).unwrap().entry(), Some(entry));
    }

    #[test]
    fn a_large_payload_stands_beside_its_leaf() {
        for (payload, metadata) in [(70_000, 10), (10, 70_000), (70_000, 70_000), (64_001, 0), (40_000, 30_000)] {
            let (payload, metadata) = ("p".repeat(payload), "m".repeat(metadata));
            let entry = entry(&payload, &metadata);
            let bytes = encoded(&entry);
            assert!(bytes.len() <= MAX_LEAF);
            let leaf = Leaf::decode(&bytes).unwrap();
            assert_eq!(leaf.entry(), None);
            let find = |beside: &Beside| [&payload, &metadata].into_iter().find(|text| beside.is(text)).map(|t| &**t);
            assert_eq!(leaf.entry_with(find), Some(entry));
            assert_eq!(leaf.entry_with(|_| Some("something else")), None);
        }
    }

    #[test]
    fn the_largest_event_with_everything_inside_still_fits() {
        let (name, payload) = ("n".repeat(MAX_NAME), "p".repeat(2 * MAX_INLINE));
        let entry = Entry {
            position: u64::MAX,
            sequence: u64::MAX,
            recorded_at: i64::MIN,
            aggregate_type: &name,
            aggregate_id: &name,
            event_type: &name,
            event_version: &name,
            ..entry(&payload, "")
        };
        let bytes = encoded(&entry);
        assert!(bytes.len() <= MAX_LEAF, "{}", bytes.len());
        assert_eq!(Leaf::decode(&bytes).unwrap().entry(), Some(entry));
    }

    #[test]
    fn a_name_that_could_be_mistaken_is_refused() {
        for wrong in ["", "a b", "a\nsequence 4", "a\r", &"n".repeat(256)] {
            let entry = Entry { event_type: wrong, ..entry("{}", "{}") };
            let mut bytes = vec![];
            let refused = encode(&entry, &mut bytes);
            assert_eq!(refused, Err(EncodeError::Name { position: 75, field: "event_type" }));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn what_an_encoder_would_write_otherwise_is_refused() {
        let right = String::from_utf8(encoded(&entry("{}", "{}"))).unwrap();
        for (old, new) in [
            ("position 75", "position 075"),
            ("position 75", "position +75"),
            ("position 75", "position 75 "),
            ("sequence 3", "sequence 3\r"),
            ("event_id 01a1fdc1", "event_id 01A1fdc1"),
            ("recorded_at 17", "recorded_at -017"),
            ("payload 2", "payload 3"),
            ("metadata 2", "metadata 1"),
            ("v1", "v2"),
            ("\n\n", "\n\n\n"),
            ("aggregate_type AgentQuota\n", ""),
        ] {
            let wrong = right.replacen(old, new, 1);
            assert_ne!(wrong, right);
            assert!(Leaf::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Leaf::decode(format!("{right}\n").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn every_event_comes_back_as_it_was(
            position in any::<u64>(), sequence in any::<u64>(), recorded_at in any::<i64>(), ids in any::<[u128; 2]>(),
            name in "[!-~é]{1,60}", payload in "\\PC{0,80}|[\\n a-z]{0,80}", metadata in "\\PC{0,80}",
        ) {
            let entry = Entry {
                position, sequence, recorded_at,
                event_id: Uuid::from_u128(ids[0]), tenant_id: Uuid::from_u128(ids[1]),
                event_type: &name, payload: &payload, metadata: &metadata, ..entry("", "")
            };
            let bytes = encoded(&entry);
            prop_assert_eq!(Leaf::decode(&bytes).unwrap().entry(), Some(entry));
        }

        #[test]
        fn what_can_be_read_is_written_in_the_same_bytes(
            at in 0_usize..400, byte in any::<u8>(),
        ) {
            let mut bytes = encoded(&entry("{\"a\":1}", "{\"b\":2}"));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(leaf) = Leaf::decode(&bytes) {
                prop_assert_eq!(encoded(&leaf.entry().unwrap()), bytes);
            }
        }
    }
}
