//! Verification of a signed request in two steps: what it claims, then whether the key's holder said so.
//!
//! Only `hmac-sha256` is ever computed, whatever the request asks for; the time is given by the caller; the MAC is
//! checked before the body is hashed, so that strangers cannot make the server hash large bodies.

use axum::http::{HeaderMap, Method, Uri};

use super::base::{ParamsText, signature_base};
use super::components::{CONTENT_DIGEST, Component, Message};
use super::content_digest::verify_content_digest;
use super::error::SignatureError;
use super::fields::{SignatureInput, signature_bytes, signature_input};
use super::hmac_key::HmacKey;

/// How far `created` may lie from the server's time, in either direction, in seconds.
pub const CLOCK_WINDOW_SECONDS: i64 = 300;
/// Longest nonce and longest key id, in characters.
pub const MAX_NONCE_CHARS: usize = 128;
/// Longest header that takes part in a signature, in bytes.
pub const MAX_FIELD_BYTES: usize = 8 * 1024;

/// The one algorithm of requests.
pub(super) const REQUEST_ALGORITHM: &str = "hmac-sha256";

/// What a message says about its signature. Nothing of it may be believed before a `verify` succeeded.
#[derive(Debug, Clone)]
pub struct ParsedSignature {
    key_id: String,
    nonce: String,
    created: i64,
    expires: Option<i64>,
    components: Vec<Component>,
    params: ParamsText,
    signature: Vec<u8>,
}

impl ParsedSignature {
    /// Reads the signature of a request; of several signatures, the one with `alg="hmac-sha256"`.
    ///
    /// # Errors
    /// Every [`SignatureError`] that can be seen without the key, the clock and the body.
    pub fn parse(headers: &HeaderMap) -> Result<Self, SignatureError> {
        Self::parse_with(headers, REQUEST_ALGORITHM, 32)
    }

    /// Reads the signature of `algorithm`, which has `length` bytes.
    pub(super) fn parse_with(headers: &HeaderMap, algorithm: &str, length: usize) -> Result<Self, SignatureError> {
        let input = signature_input(headers, algorithm)?;
        let params = input.params_text()?;
        let SignatureInput { label, components, created, expires, nonce, key_id, .. } = input;
        let key_id = key_id.filter(|id| !id.is_empty()).ok_or(SignatureError::KeyIdMissing)?;
        if key_id.len() > MAX_NONCE_CHARS {
            return Err(SignatureError::TooLarge { subject: "the keyid".to_owned(), limit: MAX_NONCE_CHARS });
        }
        let created = created.ok_or(SignatureError::CreatedMissing)?;
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or(SignatureError::NonceMissing)?;
        if nonce.len() > MAX_NONCE_CHARS {
            return Err(SignatureError::NonceTooLong { length: nonce.len(), limit: MAX_NONCE_CHARS });
        }
        let signature = signature_bytes(headers, &label, length)?;
        Ok(Self { key_id, nonce, created, expires, components, params, signature })
    }

    /// The `keyid`: which key to look up.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The `nonce`, at most [`MAX_NONCE_CHARS`] printable ASCII characters.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The `created` time in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> i64 {
        self.created
    }

    /// Checks coverage, time, signature and body of a request.
    ///
    /// `uri` is the one of the request line (axum's `OriginalUri` inside nested routers), `body` the exact bytes
    /// received, `now_unix` the server's time in seconds since 1970.
    ///
    /// # Errors
    /// The first [`SignatureError`] in this order: uncovered or missing components, time, signature, digest.
    pub fn verify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        key: &HmacKey,
        now_unix: i64,
    ) -> Result<(), SignatureError> {
        if !headers.contains_key(CONTENT_DIGEST) {
            return Err(SignatureError::ContentDigestMissing);
        }
        self.require(&Component::Method, "@method")?;
        self.require(&Component::Path, "@path")?;
        self.require(&Component::Field(CONTENT_DIGEST), "content-digest")?;
        if uri.query().is_some() {
            self.require(&Component::Query, "@query")?;
        }
        self.check_time(now_unix)?;
        let base = self.base(Message::Request { method, uri, headers })?;
        if !key.verify(&base, &self.signature) {
            return Err(SignatureError::Invalid);
        }
        verify_content_digest(headers, body)
    }

    /// That the signature covers `component`.
    pub(super) fn require(&self, component: &Component, name: &'static str) -> Result<(), SignatureError> {
        let covered = self.components.contains(component);
        if covered { Ok(()) } else { Err(SignatureError::ComponentsMissing { component: name }) }
    }

    /// That `now_unix` lies within the window around `created` and not after `expires`.
    pub(super) fn check_time(&self, now_unix: i64) -> Result<(), SignatureError> {
        let age_seconds = now_unix.saturating_sub(self.created);
        if age_seconds > CLOCK_WINDOW_SECONDS {
            return Err(SignatureError::TooOld { age_seconds });
        }
        let ahead_seconds = self.created.saturating_sub(now_unix);
        if ahead_seconds > CLOCK_WINDOW_SECONDS {
            return Err(SignatureError::InFuture { ahead_seconds });
        }
        match self.expires {
            Some(expires) if expires < now_unix => Err(SignatureError::Expired { expires }),
            _ => Ok(()),
        }
    }

    /// The bytes that were signed in `message`.
    pub(super) fn base(&self, message: Message<'_>) -> Result<Vec<u8>, SignatureError> {
        signature_base(&self.components, &self.params, message)
    }

    /// The signature itself.
    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}
