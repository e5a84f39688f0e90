//! The message components that a signature may cover (RFC 9421, section 2) and their values.
//!
//! A component is either derived from the control data or a whole header field; what is not listed here, and every
//! component parameter, is refused by name rather than ignored. Values never contain a line break, because
//! `HeaderValue` and `Uri` cannot.

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use super::error::SignatureError;
use super::request::MAX_FIELD_BYTES;

/// `content-digest`, which the `http` crate has no constant for.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `signature-input`.
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `signature`.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// One covered component without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Component {
    /// `@method`
    Method,
    /// `@path`
    Path,
    /// `@query`
    Query,
    /// `@authority`
    Authority,
    /// `@status`, of a response only.
    Status,
    /// A header field, by its lower-case name.
    Field(HeaderName),
}

/// What a signature speaks about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message<'a> {
    /// A request.
    Request { method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap },
    /// A response.
    Response { status: StatusCode, headers: &'a HeaderMap },
}

impl Component {
    /// Reads a component name as it stands in `Signature-Input`, without its quotes.
    pub(super) fn parse(name: &str) -> Result<Self, SignatureError> {
        let unsupported = || SignatureError::ComponentUnsupported { component: name.to_owned() };
        match name {
            "@method" => Ok(Self::Method),
            "@path" => Ok(Self::Path),
            "@query" => Ok(Self::Query),
            "@authority" => Ok(Self::Authority),
            "@status" => Ok(Self::Status),
            "content-digest" => Ok(Self::Field(CONTENT_DIGEST)),
            // A signature cannot cover itself, and covering another one takes the `key` parameter.
            "signature" | "signature-input" => Err(unsupported()),
            // `from_lowercase` also refuses "@…", for "@" is not a token character, and capitals, as the RFC demands.
            _ => HeaderName::from_lowercase(name.as_bytes()).map(Self::Field).map_err(|_| unsupported()),
        }
    }

    /// The name as it stands in `Signature-Input`, without its quotes.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Method => "@method",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::Authority => "@authority",
            Self::Status => "@status",
            Self::Field(name) => name.as_str(),
        }
    }

    /// Appends the component's value in `message` to `out`.
    pub(super) fn append_value(&self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), SignatureError> {
        match (self, message) {
            (Self::Method, Message::Request { method, .. }) => out.extend_from_slice(method.as_str().as_bytes()),
            (Self::Path, Message::Request { uri, .. }) => {
                let path = uri.path();
                out.extend_from_slice(if path.is_empty() { b"/" } else { path.as_bytes() });
            }
            (Self::Query, Message::Request { uri, .. }) => {
                out.push(b'?');
                out.extend_from_slice(uri.query().unwrap_or_default().as_bytes());
            }
            (Self::Authority, Message::Request { uri, headers, .. }) => append_authority(uri, headers, out)?,
            (Self::Status, Message::Response { status, .. }) => out.extend_from_slice(status.as_str().as_bytes()),
            (Self::Field(name), Message::Request { headers, .. } | Message::Response { headers, .. }) => {
                append_field(name, headers, out)?;
            }
            (Self::Status, Message::Request { .. })
            | (Self::Method | Self::Path | Self::Query | Self::Authority, Message::Response { .. }) => {
                return Err(SignatureError::ComponentUnsupported { component: self.name().to_owned() });
            }
        }
        Ok(())
    }
}

/// Section 2.1: all values in order, each without outer whitespace, joined by a comma and a space.
fn append_field(name: &HeaderName, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), SignatureError> {
    let absent = || SignatureError::ComponentAbsent { component: name.as_str().to_owned() };
    let start = out.len();
    let mut values = headers.get_all(name).iter();
    let first = values.next().ok_or_else(absent)?;
    out.extend_from_slice(first.as_bytes().trim_ascii());
    for value in values {
        out.extend_from_slice(b", ");
        out.extend_from_slice(value.as_bytes().trim_ascii());
    }
    if out.len() - start > MAX_FIELD_BYTES {
        return Err(SignatureError::TooLarge { subject: format!("the {name} header"), limit: MAX_FIELD_BYTES });
    }
    // Section 2.5: the signature base is ASCII.
    if out[start..].is_ascii() { Ok(()) } else { Err(absent()) }
}

/// Section 2.2.3: host in lower case and the port unless it is the default one. Behind a proxy the scheme is not known,
/// then both default ports are left away; a wrong guess makes the signature invalid, never valid.
fn append_authority(uri: &Uri, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), SignatureError> {
    let absent = || SignatureError::ComponentAbsent { component: "@authority".to_owned() };
    let authority = if let Some(authority) = uri.authority() {
        authority.as_str()
    } else {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|value| value.to_str().ok()).ok_or_else(absent)?;
        if hosts.next().is_some() {
            return Err(SignatureError::Ambiguous { reason: "the host header is repeated" });
        }
        host.trim_ascii()
    };
    if authority.is_empty() || authority.contains('@') || !authority.is_ascii() {
        return Err(absent());
    }
    let stripped = match uri.scheme_str() {
        Some("http") => authority.strip_suffix(":80"),
        Some("https") => authority.strip_suffix(":443"),
        _ => authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")),
    };
    let start = out.len();
    out.extend_from_slice(stripped.unwrap_or(authority).as_bytes());
    out[start..].make_ascii_lowercase();
    Ok(())
}
