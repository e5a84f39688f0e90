//! The client's side: signing a request, for the CLI, the bench, the tests and as a model for other languages.
//!
//! It covers exactly what the server demands, plus what the caller asks for, and uses the server's own base, so that
//! the two cannot drift apart; RFC 9421's published vectors keep both honest.

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::base::{ParamsText, signature_base};
use super::components::{CONTENT_DIGEST, Component, Message, SIGNATURE, SIGNATURE_INPUT};
use super::content_digest::content_digest;
use super::error::SignatureError;
use super::hmac_key::HmacKey;
use super::request::REQUEST_ALGORITHM;

/// The label under which this software puts its signatures.
pub(super) const LABEL: &str = "sig1";

/// A request as its sender sees it.
#[derive(Debug, Clone, Copy)]
pub struct RequestToSign<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, with or without scheme and host.
    pub uri: &'a Uri,
    /// The headers that are set so far; `Content-Digest` among them is replaced.
    pub headers: &'a HeaderMap,
    /// The exact body, empty if there is none.
    pub body: &'a [u8],
    /// Components to cover beyond the required ones, such as `"content-type"` or `"@authority"`.
    pub extra_components: &'a [&'a str],
}

/// The three headers that make a message a signed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// `Content-Digest`
    pub content_digest: HeaderValue,
    /// `Signature-Input`
    pub signature_input: HeaderValue,
    /// `Signature`
    pub signature: HeaderValue,
}

impl SignatureHeaders {
    /// Puts the headers into `headers`, in place of earlier ones.
    pub fn apply(self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_DIGEST, self.content_digest);
        headers.insert(SIGNATURE_INPUT, self.signature_input);
        headers.insert(SIGNATURE, self.signature);
    }

    /// The headers for `params` and the signature over them.
    pub(super) fn new(
        content_digest: HeaderValue,
        params: &ParamsText,
        signature: &[u8],
    ) -> Result<Self, SignatureError> {
        let unwritable = |header| SignatureError::Malformed { header, reason: "not a header value" };
        let input = format!("{LABEL}={}", params.as_str());
        let value = format!("{LABEL}=:{}:", STANDARD.encode(signature));
        Ok(Self {
            content_digest,
            signature_input: HeaderValue::try_from(input).map_err(|_| unwritable("signature-input"))?,
            signature: HeaderValue::try_from(value).map_err(|_| unwritable("signature"))?,
        })
    }
}

/// Signs `request` with `alg="hmac-sha256"`. `created` is in seconds since 1970; `nonce` must be new for each request.
///
/// # Errors
/// [`SignatureError::ComponentUnsupported`], [`SignatureError::ComponentDuplicated`] or
/// [`SignatureError::ComponentAbsent`] for a wrong extra component, [`SignatureError::Malformed`] if `key_id` or
/// `nonce` is not printable ASCII.
pub fn sign_request(
    request: &RequestToSign<'_>,
    key_id: &str,
    key: &HmacKey,
    created: i64,
    nonce: &str,
) -> Result<SignatureHeaders, SignatureError> {
    let mut components = vec![Component::Method, Component::Path];
    if request.uri.query().is_some() {
        components.push(Component::Query);
    }
    components.push(Component::Field(CONTENT_DIGEST));
    for name in request.extra_components {
        let component = Component::parse(name)?;
        if components.contains(&component) {
            return Err(SignatureError::ComponentDuplicated { component: (*name).to_owned() });
        }
        components.push(component);
    }
    let mut params = ParamsText::new(&components);
    params.integer("created", created);
    params.string("nonce", nonce)?;
    params.string("keyid", key_id)?;
    params.string("alg", REQUEST_ALGORITHM)?;
    let digest = content_digest(request.body);
    let mut headers = request.headers.clone();
    headers.insert(CONTENT_DIGEST, digest.clone());
    let message = Message::Request { method: request.method, uri: request.uri, headers: &headers };
    let base = signature_base(&components, &params, message)?;
    SignatureHeaders::new(digest, &params, &key.sign(&base))
}
