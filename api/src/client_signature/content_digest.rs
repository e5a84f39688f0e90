//! RFC 9530 `Content-Digest` with sha-256.
//!
//! The digest is over the exact bytes of the body. Other algorithms may stand beside sha-256 and are not looked at;
//! without sha-256 the header proves nothing here and is refused.

use std::convert::Infallible;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};
use sha2::{Digest, Sha256};

use super::components::CONTENT_DIGEST;
use super::error::SignatureError;
use super::request::MAX_FIELD_BYTES;

/// Bytes of `sha-256=:<44 characters>:`.
const FIELD_BYTES: usize = 9 + 44 + 1;

/// The `Content-Digest` value of `body`: `sha-256=:…:`.
#[must_use]
pub fn content_digest(body: &[u8]) -> HeaderValue {
    field(&Sha256::digest(body).into())
}

fn field(digest: &[u8; 32]) -> HeaderValue {
    let mut text = String::with_capacity(FIELD_BYTES);
    text.push_str("sha-256=:");
    STANDARD.encode_string(digest, &mut text);
    text.push(':');
    // Base64 and the frame are visible ASCII; the fallback, which matches no body, cannot occur.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("sha-256=::"))
}

/// Checks `Content-Digest` against the body.
///
/// # Errors
/// The `ContentDigest…` variants of [`SignatureError`], and [`SignatureError::TooLarge`] for a header over 8 KiB.
pub fn verify_content_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
    let mut values = headers.get_all(CONTENT_DIGEST).iter();
    let first = values.next().ok_or(SignatureError::ContentDigestMissing)?;
    let actual: [u8; 32] = Sha256::digest(body).into();
    // The usual case: one line with nothing but sha-256.
    if first == field(&actual) && values.next().is_none() {
        return Ok(());
    }
    let mut joined = Vec::new();
    for value in headers.get_all(CONTENT_DIGEST) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value.as_bytes());
        if joined.len() > MAX_FIELD_BYTES {
            let subject = "the content-digest header".to_owned();
            return Err(SignatureError::TooLarge { subject, limit: MAX_FIELD_BYTES });
        }
    }
    let digests = Parser::new(&joined).parse_dictionary_with_visitor(Digests::default()).map_err(|_| malformed())?;
    if digests.malformed {
        return Err(malformed());
    }
    match digests.sha256 {
        None => Err(SignatureError::ContentDigestUnsupported),
        Some(declared) if declared == actual => Ok(()),
        Some(_) => Err(SignatureError::ContentDigestMismatch),
    }
}

fn malformed() -> SignatureError {
    SignatureError::ContentDigestMalformed
}

/// What the dictionary says.
#[derive(Default)]
struct Digests {
    sha256: Option<Vec<u8>>,
    malformed: bool,
}

/// One member of the dictionary.
struct Member<'a> {
    digests: &'a mut Digests,
    is_sha256: bool,
}

impl<'de> DictionaryVisitor<'de> for Digests {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(Member { digests: self, is_sha256: key.as_str() == "sha-256" })
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.digests.malformed = true;
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Member<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        match item {
            BareItemFromInput::ByteSequence(bytes) if self.is_sha256 => {
                self.digests.malformed |= self.digests.sha256.replace(bytes).is_some();
            }
            BareItemFromInput::ByteSequence(_) => {}
            _ => self.digests.malformed = true,
        }
        Ok(Ignored)
    }
}
