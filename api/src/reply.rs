//! What a command or query that went well is answered with.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quotary_commands::Done;
use quotary_projections::page::Page;
use serde::Serialize;
use utoipa::ToSchema;

/// The header that says where a command's effects stand in the log.
pub const POSITION: HeaderName = HeaderName::from_static("quotary-position");
/// The header that says that an answer is the stored one of an earlier command.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// At most `limit` items.
    pub items: Vec<T>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// A page of a read model, each record in the form of an answer.
    pub fn of<R>(page: Page<R>, shown: impl FnMut(R) -> T) -> Self {
        Self { items: page.items.into_iter().map(shown).collect(), next_cursor: page.next_cursor }
    }
}

/// The answer to a command.
#[derive(Debug)]
pub struct Reply<T> {
    status: StatusCode,
    position: u64,
    replayed: bool,
    etag: Option<u64>,
    location: Option<String>,
    body: Option<T>,
}

impl<T> Reply<T> {
    /// 200 with a body made of the command's value.
    pub fn new<V>(done: Done<V>, body: impl FnOnce(V) -> T) -> Self {
        let Done { value, position, replayed } = done;
        Self { status: StatusCode::OK, position, replayed, etag: None, location: None, body: Some(body(value)) }
    }

    /// The same with another body.
    pub fn map<U>(self, body: impl FnOnce(T) -> U) -> Reply<U> {
        let Self { status, position, replayed, etag, location, body: known } = self;
        Reply { status, position, replayed, etag, location, body: known.map(body) }
    }

    /// With the sequence of the resource.
    #[must_use]
    pub fn etag(mut self, sequence: u64) -> Self {
        self.etag = Some(sequence);
        self
    }

    /// 201, and where the new resource is.
    #[must_use]
    pub fn created(mut self, location: String) -> Self {
        self.status = StatusCode::CREATED;
        self.location = Some(location);
        self
    }

    /// 202, and where to watch what goes on.
    #[must_use]
    pub fn accepted(mut self, location: String) -> Self {
        self.status = StatusCode::ACCEPTED;
        self.location = Some(location);
        self
    }
}

impl Reply<()> {
    /// 204.
    pub fn no_content<V>(done: &Done<V>) -> Self {
        let Done { position, replayed, .. } = *done;
        Self { status: StatusCode::NO_CONTENT, position, replayed, etag: None, location: None, body: None }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => (self.status, Json(body)).into_response(),
            None => self.status.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(POSITION, HeaderValue::from(self.position));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        put_etag(&mut response, self.etag);
        response
    }
}

/// A single resource with its `ETag`.
#[derive(Debug)]
pub struct Resource<T> {
    /// The sequence of its last event.
    pub sequence: u64,
    /// The resource.
    pub body: T,
}

impl<T: Serialize> IntoResponse for Resource<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        put_etag(&mut response, Some(self.sequence));
        response
    }
}

fn put_etag(response: &mut Response, sequence: Option<u64>) {
    if let Some(value) = sequence.and_then(|sequence| HeaderValue::try_from(format!("\"{sequence}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, value);
    }
}
