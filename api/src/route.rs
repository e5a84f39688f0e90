//! A route: its handler, its place in the OpenAPI document, who may call it and what can go wrong, in one value.
//!
//! What must always hold: a route is never served without its documentation or without its authorisation, because all
//! three are made from the same value.

use std::collections::{BTreeMap, BTreeSet};

use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;

use crate::access::Access;
use crate::extract::authorize;
use crate::problem::Code;
use crate::state::AppState;

/// The schemas that an operation refers to, by name.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A route.
pub struct Route {
    /// The handler's module, e.g. `agents::create`; the operation's id.
    pub name: &'static str,
    /// The path template.
    pub path: String,
    /// The method.
    pub method: Method,
    /// Who may call it.
    pub access: Access,
    codes: &'static [Code],
    pub(crate) operation: Operation,
    pub(crate) schemas: Schemas,
    handler: MethodRouter<AppState>,
}

/// Makes a [`Route`] of a module that has a function `handle` with `#[utoipa::path]`.
macro_rules! route {
    ($access:expr, $module:ident $(:: $inner:ident)*, [$($code:ident),* $(,)?]) => {
        $crate::route::Route::new::<$module $(:: $inner)* ::__path_handle, _, _>(
            concat!(module_path!(), "::", stringify!($module $(:: $inner)*)),
            $access,
            &[$($crate::problem::Code::$code),*],
            $module $(:: $inner)* ::handle,
        )
    };
}
pub(crate) use route;

impl Route {
    /// The route of a handler and its documentation. `codes` are those beside the ones that every such route has.
    pub fn new<D, H, T>(name: &'static str, access: Access, codes: &'static [Code], handler: H) -> Self
    where
        D: utoipa::Path + utoipa::__dev::SchemaReferences,
        H: Handler<T, AppState>,
        T: 'static,
    {
        let (method, filter) = match D::methods().first() {
            Some(HttpMethod::Post) => (Method::POST, MethodFilter::POST),
            Some(HttpMethod::Put) => (Method::PUT, MethodFilter::PUT),
            Some(HttpMethod::Patch) => (Method::PATCH, MethodFilter::PATCH),
            Some(HttpMethod::Delete) => (Method::DELETE, MethodFilter::DELETE),
            // No other method is used.
            _ => (Method::GET, MethodFilter::GET),
        };
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        let (path, operation) = (D::path(), D::operation());
        // From `module_path!`, so that areas need not say who they are.
        let name = name.trim_start_matches("quotary_api::").trim_start_matches("router::");
        Self { name, path, method, access, codes, operation, schemas, handler: on(filter, handler) }
    }

    /// The handler behind its authorisation.
    pub(crate) fn into_handler(self, state: &AppState) -> MethodRouter<AppState> {
        match self.access {
            Access::Anyone | Access::Client => self.handler,
            Access::AnyToken | Access::Account | Access::Roles(_) => {
                self.handler.route_layer(from_fn_with_state((state.clone(), self.access), authorize))
            }
        }
    }

    /// Whether a call is a command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.method != Method::GET
    }

    /// Every code that this route can answer with.
    #[must_use]
    pub fn codes(&self) -> BTreeSet<Code> {
        let mut codes: BTreeSet<Code> = self.codes.iter().copied().collect();
        codes.extend([Code::Internal, Code::Unavailable, Code::TimedOut]);
        if self.path.starts_with("/v1/") {
            codes.extend([Code::InvalidParameter, Code::InvalidHeader]);
        }
        if self.is_command() {
            codes.extend([Code::MalformedJson, Code::UnknownField, Code::WrongType, Code::ValidationFailed]);
            codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType]);
        }
        match self.access {
            Access::Anyone => {}
            Access::Client => codes.extend(SIGNATURE),
            Access::AnyToken => {
                codes.extend([Code::Unauthenticated, Code::TokenExpired]);
                if self.is_command() {
                    codes.insert(Code::PreconditionFailed);
                }
            }
            Access::Account | Access::Roles(_) => {
                codes.extend([Code::Unauthenticated, Code::TokenExpired, Code::PasswordChangeRequired]);
                codes.extend([Code::Forbidden, Code::NotFound]);
                if self.is_command() {
                    codes.extend([Code::Contention, Code::IdempotencyKeyReused, Code::PreconditionFailed]);
                } else {
                    codes.insert(Code::ReadModelBehind);
                }
            }
        }
        codes
    }

    /// The codes by their status.
    pub(crate) fn codes_by_status(&self) -> BTreeMap<u16, Vec<Code>> {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in self.codes() {
            by_status.entry(code.status().as_u16()).or_default().push(code);
        }
        by_status
    }
}

/// What can be wrong with a signed request.
const SIGNATURE: [Code; 29] = [
    Code::NonceStoreFull,
    Code::SignatureMissing,
    Code::SignatureTooLarge,
    Code::SignatureMalformed,
    Code::SignatureAmbiguous,
    Code::SignatureLabelUnmatched,
    Code::SignatureAlgorithmUnsupported,
    Code::SignatureParameterUnsupported,
    Code::KeyIdMissing,
    Code::ApiKeyUnknown,
    Code::CreatedMissing,
    Code::SignatureTooOld,
    Code::SignatureInFuture,
    Code::SignatureExpired,
    Code::SignatureComponentsMissing,
    Code::SignatureComponentDuplicated,
    Code::SignatureComponentUnsupported,
    Code::SignatureComponentParameterUnsupported,
    Code::SignatureComponentAbsent,
    Code::NonceMissing,
    Code::NonceMismatch,
    Code::NonceTooLong,
    Code::NonceReplayed,
    Code::ContentDigestMissing,
    Code::ContentDigestMalformed,
    Code::ContentDigestUnsupported,
    Code::ContentDigestMismatch,
    Code::SignatureInvalid,
    Code::PayloadTooLarge,
];
