//! What comes with a command: who, the body, and the headers that make it repeatable and conditional.
//!
//! What must always hold: the idempotency key's scope is the account, and the hash of the request covers method, path,
//! query and body, so that a key never answers another request.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, OriginalUri, Request};
use axum::http::{HeaderMap, Method, Uri};
use quotary_commands::{Context, Idempotency, clock, vault};
use quotary_domain::Actor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Authed;
use super::json::{check_content_type, parse_json, read_body};
use crate::problem::{Code, Problem};

/// The body of commands that need none: nothing, or an empty object.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoBody {}

/// A command of an account.
#[derive(Debug)]
pub struct ApiCommand<T> {
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub body: T,
    idempotency: Option<Idempotency>,
    if_match: Option<u64>,
    correlation_id: Uuid,
    traceparent: Option<String>,
}

impl<T> ApiCommand<T> {
    /// The context of the command of this name, as of now.
    #[must_use]
    pub fn context(&self, command: &'static str) -> Context {
        Context {
            idempotency: self.idempotency,
            if_match: self.if_match,
            correlation_id: Some(self.correlation_id),
            traceparent: self.traceparent.clone(),
            ..Context::of(self.actor, command, clock::now())
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiCommand<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Authed { actor, .. } = Authed::from_request_parts(&mut parts, state).await?;
        let uri = parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.clone(), |uri| uri.0.clone());
        let bytes = read_body(&parts.headers, body).await?;
        let idempotency =
            idempotency(&parts.headers, &actor.account_id.to_string(), &request_bytes(&parts.method, &uri, &bytes))?;
        Ok(Self {
            actor,
            body: parse(&parts.headers, &bytes)?,
            idempotency,
            if_match: if_match(&parts.headers)?,
            correlation_id: correlation_id(&parts.headers)?,
            traceparent: traceparent(&parts.headers),
        })
    }
}

/// An absent body is an empty object, where all fields are optional.
fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Problem> {
    if bytes.is_empty() {
        return parse_json(b"{}").map_err(|_| Problem::new(Code::MalformedJson, "the body is empty"));
    }
    check_content_type(headers)?;
    parse_json(bytes)
}

fn request_bytes(method: &Method, uri: &Uri, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str(), uri.path(), uri.query().unwrap_or_default()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(body);
    hash.finalize().into()
}

/// The `Idempotency-Key` as used by `scope` for a request.
///
/// # Errors
/// `invalid-header` unless it is 1 to 255 visible ASCII characters, once.
pub fn idempotency(headers: &HeaderMap, scope: &str, request: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let refused =
        || Problem::new(Code::InvalidHeader, "idempotency-key must be 1 to 255 visible ASCII characters, once");
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let text = key.to_str().map_err(|_| refused())?;
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && keys.next().is_none() { Ok(Some(Idempotency::new(scope, text, request))) } else { Err(refused()) }
}

/// The sequence that `If-Match` asks for; `*` asks for nothing.
///
/// # Errors
/// `invalid-header` unless it is one entity tag, `precondition-failed` for one that we never gave.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("if-match") else { return Ok(None) };
    let refused = || Problem::new(Code::InvalidHeader, "if-match must be one entity tag");
    let text = value.to_str().map_err(|_| refused())?.trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(refused)?;
    match tag.parse() {
        Ok(sequence) => Ok(Some(sequence)),
        Err(_) if tag.contains('"') => Err(refused()),
        Err(_) => Err(Problem::new(Code::PreconditionFailed, "the resource never had this entity tag")),
    }
}

fn correlation_id(headers: &HeaderMap) -> Result<Uuid, Problem> {
    match headers.get("x-correlation-id") {
        None => Ok(clock::new_id()),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| Uuid::parse_str(text).ok())
            .ok_or_else(|| Problem::new(Code::InvalidHeader, "x-correlation-id must be a UUID")),
    }
}

/// The trace context that goes on from the request's: its trace, and a new parent id for what happens here. Anything but
/// a valid header counts as none, as W3C Trace Context asks for.
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags, ..] = parts[..] else { return None };
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let fits = hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.len() == 4)
        && hex(trace, 32)
        && hex(parent, 16)
        && hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && parent.bytes().any(|byte| byte != b'0');
    let own = vault::random::<8>().ok().filter(|_| fits)?;
    Some(format!("00-{trace}-{:016x}-{flags}", u64::from_be_bytes(*own).max(1)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_trace_goes_on_under_a_new_parent() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let own = traceparent(&headers("traceparent", given)).unwrap();
        assert!(own.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && own.ends_with("-01"));
        assert_ne!(own, given);
        for bad in ["", "x", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(traceparent(&headers("traceparent", bad)), None, "{bad}");
        }
    }

    #[test]
    fn entity_tags_are_read_strictly() {
        assert_eq!(if_match(&headers("if-match", "\"7\"")), Ok(Some(7)));
        assert_eq!(if_match(&headers("if-match", "*")), Ok(None));
        assert_eq!(if_match(&headers("if-match", "7")).unwrap_err().code(), Code::InvalidHeader);
        assert_eq!(if_match(&headers("if-match", "\"abc\"")).unwrap_err().code(), Code::PreconditionFailed);
    }

    #[test]
    fn idempotency_keys_are_visible_ascii() {
        assert!(idempotency(&headers("idempotency-key", "abc"), "s", b"").unwrap().is_some());
        for bad in ["", "a b", "\u{7f}"] {
            let Ok(value) = HeaderValue::from_bytes(bad.as_bytes()) else { continue };
            let headers = HeaderMap::from_iter([(axum::http::HeaderName::from_static("idempotency-key"), value)]);
            assert_eq!(idempotency(&headers, "s", b"").unwrap_err().code(), Code::InvalidHeader, "{bad:?}");
        }
    }
}
