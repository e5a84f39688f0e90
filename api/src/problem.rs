//! What a refused or failed request is answered with: RFC 9457 problem documents with stable codes.
//!
//! What must always hold: a code is never renamed or reused; every code stands in [`Code::ALL`] and so in the OpenAPI
//! document; what is wrong inside is logged under an id and never shown. The matches from errors to codes are
//! exhaustive on purpose: a new refusal of the domain does not compile until it has a code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quotary_commands::clock;
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => ($status:ident, $slug:literal, $title:literal),)+) => {
        /// The stable names of everything that can go wrong with a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code in a problem document.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),+ }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }

            /// A short text for people, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    /// The body is no JSON, or has a field twice.
    MalformedJson => (BAD_REQUEST, "malformed-json", "The body is not valid JSON"),
    /// A field that the request does not have.
    UnknownField => (BAD_REQUEST, "unknown-field", "The body has an unknown field"),
    /// A field of another JSON type.
    WrongType => (BAD_REQUEST, "wrong-type", "A field has the wrong type"),
    /// A path or query parameter that can't be read.
    InvalidParameter => (BAD_REQUEST, "invalid-parameter", "A parameter is not valid"),
    /// A header that can't be read.
    InvalidHeader => (BAD_REQUEST, "invalid-header", "A header is not valid"),
    /// No access token, or one that is not good.
    Unauthenticated => (UNAUTHORIZED, "unauthenticated", "A valid access token is needed"),
    /// The access token is over.
    TokenExpired => (UNAUTHORIZED, "token-expired", "The access token has expired"),
    /// Name or password is wrong.
    WrongCredentials => (UNAUTHORIZED, "wrong-credentials", "The credentials are wrong"),
    /// The refresh token is unknown, over, revoked or used.
    InvalidRefreshToken => (UNAUTHORIZED, "invalid-refresh-token", "The refresh token is not good"),
    /// The role or place in the tree does not allow it.
    Forbidden => (FORBIDDEN, "forbidden", "This is not allowed"),
    /// The account must set a new password first.
    PasswordChangeRequired => (FORBIDDEN, "password-change-required", "The password must be changed first"),
    /// Whoever asked for something can't approve it.
    OwnRequest => (FORBIDDEN, "own-request", "Nobody decides on a request of one's own"),
    /// A party, or whoever did the step before, can't decide alone.
    SecondPersonRequired => (FORBIDDEN, "second-person-required", "Another person has to decide"),
    /// The project is not granted to the agent.
    ProjectNotGranted => (FORBIDDEN, "project-not-granted", "The project is not granted"),
    /// The licence's validity is over.
    LicenseExpired => (FORBIDDEN, "license-expired", "The licence has expired"),
    /// The licence is disabled for now.
    LicenseSuspended => (FORBIDDEN, "license-suspended", "The licence is disabled"),
    /// The licence was revoked.
    LicenseBanned => (FORBIDDEN, "license-banned", "The licence was revoked"),
    /// The key is another project's.
    ProductScopeMismatch => (FORBIDDEN, "product-scope-mismatch", "The key is another project's"),
    /// The machine is not the one that the licence is bound to.
    FingerprintScopeMismatch => (FORBIDDEN, "fingerprint-scope-mismatch", "The licence is bound to another machine"),
    /// The machine's lease ran out.
    HeartbeatDead => (FORBIDDEN, "heartbeat-dead", "The machine's lease ran out"),
    /// The licence does not have what was asked for.
    EntitlementsMissing => (FORBIDDEN, "entitlements-missing", "The licence lacks what was asked for"),
    /// There is no such thing, or it can't be seen.
    NotFound => (NOT_FOUND, "not-found", "There is no such thing"),
    /// There is no such route.
    NoSuchRoute => (NOT_FOUND, "no-such-route", "There is no such route"),
    /// The route has other methods.
    MethodNotAllowed => (METHOD_NOT_ALLOWED, "method-not-allowed", "The route has no such method"),
    /// A value that must be unique belongs to another.
    Taken => (CONFLICT, "taken", "The value is taken"),
    /// The id exists with another content.
    AlreadyExists => (CONFLICT, "already-exists", "It exists already"),
    /// More quota was asked for than is available.
    InsufficientQuota => (CONFLICT, "insufficient-quota", "There is not enough quota"),
    /// The step does not fit the status.
    WrongStatus => (CONFLICT, "wrong-status", "The status does not allow it"),
    /// The other account is disabled.
    AccountDisabled => (CONFLICT, "account-disabled", "The account is disabled"),
    /// The project is disabled.
    ProjectDisabled => (CONFLICT, "project-disabled", "The project is disabled"),
    /// The plan is not sold any more.
    PlanRetired => (CONFLICT, "plan-retired", "The plan is retired"),
    /// More would be used of a meter than the licence grants.
    UsageLimitReached => (CONFLICT, "usage-limit-reached", "The licence does not grant more usage"),
    /// A number of things has reached its limit.
    LimitReached => (CONFLICT, "limit-reached", "A limit is reached"),
    /// All places of the licence are taken by other machines.
    TooManyMachines => (CONFLICT, "too-many-machines", "All places of the licence are taken"),
    /// The order or batch was refunded before.
    AlreadyRefunded => (CONFLICT, "already-refunded", "It was refunded before"),
    /// The batch of the licence was refunded, so the licence stays disabled.
    BatchRefunded => (CONFLICT, "batch-refunded", "The batch was refunded"),
    /// A batch that an order bought is refunded with its order.
    BatchHasOrder => (CONFLICT, "batch-has-order", "The batch belongs to an order"),
    /// A journal is reversed once.
    AlreadyReversed => (CONFLICT, "already-reversed", "The journal was reversed before"),
    /// Only top-ups and transfers are reversed.
    NotReversible => (CONFLICT, "not-reversible", "The journal can't be reversed"),
    /// Only suspended transfers are decided on.
    TransferNotSuspended => (CONFLICT, "transfer-not-suspended", "The transfer is not suspended"),
    /// Nobody decided in time, so it can't be let go any more.
    ReviewOver => (CONFLICT, "review-over", "The time for a decision is over"),
    /// `If-Match` named another version.
    PreconditionFailed => (PRECONDITION_FAILED, "precondition-failed", "The resource has changed"),
    /// The body is too large.
    PayloadTooLarge => (PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large"),
    /// The body has another media type.
    UnsupportedMediaType => (UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has the wrong media type"),
    /// The mapping file of a bill is none.
    MappingInvalid => (UNPROCESSABLE_ENTITY, "mapping-invalid", "The mapping file is not valid"),
    /// The bill is not what its mapping says; `errors` names the first lines that are wrong.
    BillUnreadable => (UNPROCESSABLE_ENTITY, "bill-unreadable", "The bill can't be read"),
    /// Fields have values that are not allowed; `errors` names them.
    ValidationFailed => (UNPROCESSABLE_ENTITY, "validation-failed", "A value is not allowed"),
    /// The present password is wrong.
    WrongPassword => (UNPROCESSABLE_ENTITY, "wrong-password", "The present password is wrong"),
    /// The idempotency key was used for another request.
    IdempotencyKeyReused => (UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key was used before"),
    /// Too many failed logins.
    AccountLocked => (TOO_MANY_REQUESTS, "account-locked", "The account is locked for a time"),
    /// Something is wrong inside; it is logged.
    Internal => (INTERNAL_SERVER_ERROR, "internal", "Something went wrong"),
    /// Others were faster every time.
    Contention => (SERVICE_UNAVAILABLE, "contention", "Too many commands on one thing"),
    /// The database can't be reached now.
    Unavailable => (SERVICE_UNAVAILABLE, "unavailable", "The service is not available now"),
    /// A read model does not contain the position asked for.
    ReadModelBehind => (SERVICE_UNAVAILABLE, "read-model-behind", "The read model is behind"),
    /// The log is not sealed up to what was asked for.
    NotSealed => (SERVICE_UNAVAILABLE, "not-sealed", "The log is not sealed that far"),
    /// The request took too long.
    TimedOut => (SERVICE_UNAVAILABLE, "timed-out", "The request took too long"),
    /// The process is not ready.
    NotReady => (SERVICE_UNAVAILABLE, "not-ready", "The process is not ready"),
    /// No more nonces can be remembered.
    NonceStoreFull => (SERVICE_UNAVAILABLE, "nonce-store-full", "Too many signed requests at the moment"),
    /// See [`SignatureError`](crate::client_signature::SignatureError); so are all that follow.
    SignatureMissing => (UNAUTHORIZED, "signature-missing", "The signature is missing"),
    /// Too large.
    SignatureTooLarge => (UNAUTHORIZED, "signature-too-large", "The signature is too large"),
    /// Malformed.
    SignatureMalformed => (UNAUTHORIZED, "signature-malformed", "The signature is malformed"),
    /// Ambiguous.
    SignatureAmbiguous => (UNAUTHORIZED, "signature-ambiguous", "The signature is ambiguous"),
    /// Label without a value.
    SignatureLabelUnmatched => (UNAUTHORIZED, "signature-label-unmatched", "The label has no value"),
    /// Another algorithm.
    SignatureAlgorithmUnsupported => (UNAUTHORIZED, "signature-algorithm-unsupported", "The algorithm is not supported"),
    /// An unknown parameter.
    SignatureParameterUnsupported => (UNAUTHORIZED, "signature-parameter-unsupported", "A parameter is not supported"),
    /// No `keyid`.
    KeyIdMissing => (UNAUTHORIZED, "key-id-missing", "The key id is missing"),
    /// No project has this key.
    ApiKeyUnknown => (UNAUTHORIZED, "api-key-unknown", "The API key is unknown"),
    /// No `created`.
    CreatedMissing => (UNAUTHORIZED, "created-missing", "The time of signing is missing"),
    /// Too old.
    SignatureTooOld => (UNAUTHORIZED, "signature-too-old", "The signature is too old"),
    /// In the future.
    SignatureInFuture => (UNAUTHORIZED, "signature-in-future", "The signature is of the future"),
    /// Expired.
    SignatureExpired => (UNAUTHORIZED, "signature-expired", "The signature has expired"),
    /// Something is not covered.
    SignatureComponentsMissing => (UNAUTHORIZED, "signature-components-missing", "A component is not covered"),
    /// Covered twice.
    SignatureComponentDuplicated => (UNAUTHORIZED, "signature-component-duplicated", "A component is covered twice"),
    /// An unknown component.
    SignatureComponentUnsupported => (UNAUTHORIZED, "signature-component-unsupported", "A component is not supported"),
    /// An unknown parameter of a component.
    SignatureComponentParameterUnsupported =>
        (UNAUTHORIZED, "signature-component-parameter-unsupported", "A component's parameter is not supported"),
    /// The message lacks a covered component.
    SignatureComponentAbsent => (UNAUTHORIZED, "signature-component-absent", "A covered component is absent"),
    /// No `nonce`.
    NonceMissing => (UNAUTHORIZED, "nonce-missing", "The nonce is missing"),
    /// Another nonce.
    NonceMismatch => (UNAUTHORIZED, "nonce-mismatch", "The nonce is another one"),
    /// Too long.
    NonceTooLong => (UNAUTHORIZED, "nonce-too-long", "The nonce is too long"),
    /// Used before.
    NonceReplayed => (UNAUTHORIZED, "nonce-replayed", "The nonce was used before"),
    /// No digest.
    ContentDigestMissing => (UNAUTHORIZED, "content-digest-missing", "The content digest is missing"),
    /// Malformed digest.
    ContentDigestMalformed => (UNAUTHORIZED, "content-digest-malformed", "The content digest is malformed"),
    /// No sha-256 digest.
    ContentDigestUnsupported => (UNAUTHORIZED, "content-digest-unsupported", "The content digest is not supported"),
    /// Another body.
    ContentDigestMismatch => (UNAUTHORIZED, "content-digest-mismatch", "The body has another digest"),
    /// Not the signature of this key over this message.
    SignatureInvalid => (UNAUTHORIZED, "signature-invalid", "The signature is not valid"),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// Where it stands, as a JSON pointer into the body; a parameter's name for paths and queries.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldProblem>,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem with a text for this occurrence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_seconds = (code.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_seconds }
    }

    /// A problem that its title says all about.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self::new(code, code.title())
    }

    /// There is no such `what`, as far as the actor can see.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// A value of the body that is not allowed; `pointer` is a JSON pointer.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Code::ValidationFailed, "a value is not allowed").with_error(pointer, detail)
    }

    /// A path or query parameter that is not valid.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Code::InvalidParameter, format!("{name}: {detail}")).with_error(name, detail)
    }

    /// Something is wrong inside: the causes are logged under the id that the answer shows.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let id = clock::new_id();
        tracing::error!(%id, error = causes(error), "a request failed");
        Self::new(Code::Internal, format!("something went wrong; it is logged as {id}"))
    }

    /// The database or what depends on it can't be reached now.
    #[must_use]
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = causes(error), "a request met an unavailable part");
        Self::new(Code::Unavailable, "the service is not available now; trying again later helps")
    }

    /// Adds what is wrong with a field.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldProblem { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// Names the request's field `to` where a refusal named the field `from`.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        for error in &mut self.errors {
            if error.pointer == from {
                to.clone_into(&mut error.pointer);
            }
        }
        self
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is wrong with which fields.
    #[must_use]
    pub fn errors(&self) -> &[FieldProblem] {
        &self.errors
    }
}

/// An error with all its causes, for the log.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The schema of the document for OpenAPI, with every code.
impl utoipa::PartialSchema for Problem {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
        let text = |about: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(about)).build();
        let codes = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("stable, for programs"))
            .enum_values(Some(Code::ALL.iter().map(|code| code.slug())));
        let error = ObjectBuilder::new()
            .property("pointer", text("a JSON pointer into the body, or a parameter's name"))
            .required("pointer")
            .property("detail", text("what is wrong there"))
            .required("detail");
        let mut document = ObjectBuilder::new()
            .description(Some("RFC 9457 problem document"))
            .property("type", text("urn:quotary:problem:<code>"))
            .property("title", text("the same for every occurrence of the code"))
            .property("status", ObjectBuilder::new().schema_type(Type::Integer))
            .property("detail", text("about this occurrence, for people"))
            .property("code", codes)
            .property("errors", ArrayBuilder::new().items(error));
        for required in ["type", "title", "status", "detail", "code"] {
            document = document.required(required);
        }
        document.into()
    }
}

impl utoipa::ToSchema for Problem {}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: format!("urn:quotary:problem:{}", self.code.slug()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.slug(),
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self.code, Code::Unauthenticated | Code::TokenExpired) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let slugs: HashSet<_> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
        assert!(
            slugs.iter().all(|slug| slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }
}
