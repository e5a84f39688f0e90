//! Signed responses: the project's Ed25519 key over `"@status" "content-digest"`, with the request's nonce.
//!
//! The nonce parameter ties a response to its request, so a client that checks it cannot be fed an old answer. A
//! response is signed exactly when the request asks for it by `Accept-Signature` (RFC 9421, section 5).

use std::convert::Infallible;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{KeyRef, Parser};

use super::base::{ParamsText, signature_base};
use super::components::{CONTENT_DIGEST, Component, Message};
use super::content_digest::{content_digest, verify_content_digest};
use super::error::SignatureError;
use super::request::{MAX_FIELD_BYTES, ParsedSignature};
use super::signer::SignatureHeaders;

/// The one algorithm of responses.
const RESPONSE_ALGORITHM: &str = "ed25519";
/// `accept-signature`.
const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// Signs a response with `alg="ed25519"` under the label `sig1`; `nonce` is the one of the request, empty if
/// it has none.
///
/// # Errors
/// [`SignatureError::Malformed`] if `key_id` or `nonce` is not printable ASCII, which a parsed nonce always is.
pub fn sign_response(
    status: StatusCode,
    body: &[u8],
    key: &SigningKey,
    key_id: &str,
    created: i64,
    nonce: &str,
) -> Result<SignatureHeaders, SignatureError> {
    let components = [Component::Status, Component::Field(CONTENT_DIGEST)];
    let mut params = ParamsText::new(&components);
    params.integer("created", created);
    if !nonce.is_empty() {
        params.string("nonce", nonce)?;
    }
    params.string("keyid", key_id)?;
    params.string("alg", RESPONSE_ALGORITHM)?;
    let digest = content_digest(body);
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_DIGEST, digest.clone());
    let base = signature_base(&components, &params, Message::Response { status, headers: &headers })?;
    SignatureHeaders::new(digest, &params, &key.sign(&base).to_bytes())
}

/// Checks a signed response as a client does: coverage, time, the echoed nonce, signature and body.
///
/// # Errors
/// As [`ParsedSignature::parse`] and [`ParsedSignature::verify`]; [`SignatureError::NonceMismatch`] if the response
/// carries another nonce than `nonce`.
pub fn verify_response(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    key: &VerifyingKey,
    nonce: &str,
    now_unix: i64,
) -> Result<(), SignatureError> {
    let parsed = ParsedSignature::parse_with(headers, RESPONSE_ALGORITHM, Signature::BYTE_SIZE)?;
    if !headers.contains_key(CONTENT_DIGEST) {
        return Err(SignatureError::ContentDigestMissing);
    }
    parsed.require(&Component::Status, "@status")?;
    parsed.require(&Component::Field(CONTENT_DIGEST), "content-digest")?;
    parsed.check_time(now_unix)?;
    if parsed.nonce() != nonce {
        return Err(SignatureError::NonceMismatch);
    }
    let base = parsed.base(Message::Response { status, headers })?;
    let signature = Signature::from_slice(parsed.signature()).map_err(|_| SignatureError::Invalid)?;
    key.verify_strict(&base, &signature).map_err(|_| SignatureError::Invalid)?;
    verify_content_digest(headers, body)
}

/// Whether the request asks for a signed response: a readable `Accept-Signature` line with at least one member of the
/// right shape. Which components and key it wishes is not looked at, as section 5.2 allows.
#[must_use]
pub fn response_signature_requested(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_SIGNATURE).iter().any(|line| {
        line.len() <= MAX_FIELD_BYTES
            && Parser::new(line.as_bytes()).parse_dictionary_with_visitor(Wishes(false)).unwrap_or_default()
    })
}

/// Whether an inner list was among the members.
struct Wishes(bool);

/// One member.
struct Wish<'a>(&'a mut bool);

impl<'de> DictionaryVisitor<'de> for Wishes {
    type Out = bool;
    type Error = Infallible;

    fn entry(&mut self, _key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(Wish(&mut self.0))
    }

    fn finish(self) -> Result<bool, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for Wish<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = true;
        Ok(Ignored)
    }
}
