//! What every call of client software goes through: body, signature, project, nonce; and how its answer is signed.
//!
//! What must always hold: nothing of a request is acted upon before its signature was verified with a key that is good
//! now and its nonce was taken; an answer is signed whenever the request asks for it and its API key is known.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use quotary_commands::callback::refused::RefusalQueue;
use quotary_commands::{Commands, Context, Idempotency, Vault, clock};
use quotary_projections::license_index::{LicenseIndex, ProjectEntry};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::from_log::FromLog;
use super::keys::{ClientKey, ClientKeys};
use super::lease::Leases;
use crate::client_signature::{
    NonceStore, ParsedSignature, SignatureError, claimed, response_signature_requested, sign_response,
};
use crate::extract::{parse_json, read_body, traceparent};
use crate::problem::Problem;
use crate::state::AppState;

/// Bytes that most answers fit into.
const USUAL_ANSWER_BYTES: usize = 640;

/// What the client calls need of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientCalls<'a> {
    pub commands: &'a Commands,
    pub index: &'a LicenseIndex,
    /// Who wants to be told of refusals is told by it; it is never waited for.
    pub refusals: &'a RefusalQueue,
    nonces: &'a NonceStore,
    keys: &'a ClientKeys,
    pub leases: &'a Leases,
}

/// A request whose signature, time, digest and nonce are in order.
#[derive(Debug)]
pub(super) struct ClientCall {
    /// The project that asks.
    pub project: Arc<ProjectEntry>,
    /// The opened secrets that it asked with.
    pub key: Arc<ClientKey>,
    /// The exact body.
    pub body: Bytes,
    /// When it came in.
    pub now: DateTime<Utc>,
    /// Whether the index may be answered from.
    pub trusted: bool,
    /// W3C trace context.
    pub traceparent: Option<String>,
    signature: ParsedSignature,
    sign_answer: bool,
}

/// A request that is not in order, and what its answer is signed with, if anything.
#[derive(Debug)]
pub(super) struct Refused {
    problem: Problem,
    signer: Option<Signer>,
}

/// Whose key signs an answer to a request that was not in order, and the nonce that it claims.
#[derive(Debug)]
struct Signer {
    project: Arc<ProjectEntry>,
    key: Arc<ClientKey>,
    nonce: String,
    now: DateTime<Utc>,
}

impl<'a> ClientCalls<'a> {
    pub(super) fn of(state: &'a AppState) -> Self {
        Self {
            commands: &state.commands,
            index: &state.license_index,
            refusals: &state.refusals,
            nonces: &state.nonces,
            keys: &state.client_keys,
            leases: &state.leases,
        }
    }

    pub(super) fn vault(&self) -> &'a Vault {
        self.commands.log().vault()
    }

    pub(super) fn the_log(&self) -> FromLog<'a> {
        FromLog { pool: self.commands.log().pool(), index: self.index }
    }

    /// Receives a request up to the point where its body may be believed.
    pub(super) async fn receive(&self, request: Request) -> Result<ClientCall, Refused> {
        let (parts, body) = request.into_parts();
        match self.received(&parts, body).await {
            Ok(call) => Ok(call),
            Err(problem) => Err(Refused { signer: self.signer_claimed(&parts.headers), problem }),
        }
    }

    async fn received(&self, parts: &Parts, body: Body) -> Result<ClientCall, Problem> {
        let body = read_body(&parts.headers, body).await?;
        let signature = ParsedSignature::parse(&parts.headers)?;
        let now = clock::now();
        let trusted = self.index.is_trusted(Instant::now());
        let (project, key) = self.project_of(signature.key_id(), now, trusted).await?;
        // Nested routers cut the path of the request line.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        signature.verify(&parts.method, uri, &parts.headers, &body, &key.hmac, now.timestamp())?;
        let (nonce, created) = (signature.nonce(), signature.created());
        self.nonces.insert(&key.api_key_id, nonce, created, now.timestamp()).map_err(SignatureError::from)?;
        let sign_answer = response_signature_requested(&parts.headers);
        let traceparent = traceparent(&parts.headers);
        Ok(ClientCall { project, key, body, now, trusted, traceparent, signature, sign_answer })
    }

    /// What a refusal is signed with: the key of the project that the request claims to be of, if it asks for a signature
    /// and memory knows the project. That it claims so is enough: a signed refusal says nothing that the nonce's owner
    /// could not ask for, and a client must be able to tell it from one that somebody on the way made up.
    fn signer_claimed(&self, headers: &HeaderMap) -> Option<Signer> {
        if !response_signature_requested(headers) {
            return None;
        }
        let (key_id, nonce) = claimed(headers)?;
        let now = clock::now();
        let project = self.index.by_api_key(&key_id, now)?;
        let key = match self.keys.get(&key_id) {
            Some(key) => key,
            // A secret that can't be opened was told of, or will be, by a request that is in order.
            None => self.open(&project, &key_id, now).ok()?,
        };
        Some(Signer { project, key, nonce, now })
    }

    /// The project of an API key that is good now, and the key's opened secrets.
    async fn project_of(
        &self,
        api_key_id: &str,
        now: DateTime<Utc>,
        trusted: bool,
    ) -> Result<(Arc<ProjectEntry>, Arc<ClientKey>), Problem> {
        if !trusted {
            self.the_log().refresh_project_of_key(api_key_id, now).await?;
        }
        let mut project = self.index.by_api_key(api_key_id, now);
        if let Some(doubtful) = project.as_ref().filter(|project| project.doubtful) {
            let (tenant_id, project_id) = (doubtful.tenant_id, doubtful.project_id);
            self.the_log().refresh_project(tenant_id, project_id).await?;
            project = self.index.by_api_key(api_key_id, now);
        }
        let Some(project) = project else {
            self.keys.forget(api_key_id);
            return Err(SignatureError::ApiKeyUnknown.into());
        };
        if let Some(key) = self.keys.get(api_key_id) {
            return Ok((project, key));
        }
        let key = self.open(&project, api_key_id, now)?;
        Ok((project, key))
    }

    fn open(&self, project: &ProjectEntry, api_key_id: &str, now: DateTime<Utc>) -> Result<Arc<ClientKey>, Problem> {
        // Good a moment ago; the entry itself has not changed since.
        let credentials = project.credentials_for(api_key_id, now).ok_or(SignatureError::ApiKeyUnknown)?;
        let opened = self.keys.open(project.tenant_id, project.project_id, credentials);
        opened.map_err(|error| Problem::internal(&error))
    }

    /// The answer to a request that was not in order.
    pub(super) async fn refuse(&self, refused: Refused) -> Response {
        let response = refused.problem.into_response();
        match refused.signer {
            Some(Signer { project, key, nonce, now }) => self.signed(response, &project, &key, &nonce, now).await,
            None => response,
        }
    }

    /// The answer to a request that was in order.
    pub(super) async fn respond<T: Serialize>(&self, call: &ClientCall, answer: Result<T, Problem>) -> Response {
        let response = answer.and_then(|answer| json(&answer)).unwrap_or_else(Problem::into_response);
        if !call.sign_answer {
            return response;
        }
        self.signed(response, &call.project, &call.key, call.nonce(), call.now).await
    }

    /// The response with the project's signature over its status and body.
    async fn signed(
        &self,
        response: Response,
        project: &ProjectEntry,
        key: &ClientKey,
        nonce: &str,
        now: DateTime<Utc>,
    ) -> Response {
        let (mut parts, body) = response.into_parts();
        // Answers are made here, whole and in memory, so collecting one is no more than a look at it.
        let body = match to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        let Some(current) = &project.signing_keys.ed25519 else {
            return Response::from_parts(parts, Body::from(body));
        };
        let answer_key = match key.answer_key(self.vault(), current) {
            Ok(answer_key) => answer_key,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        let (signer, key_id) = (&answer_key.key, &answer_key.key_id);
        match sign_response(parts.status, &body, signer, key_id, now.timestamp(), nonce) {
            Ok(headers) => {
                headers.apply(&mut parts.headers);
                Response::from_parts(parts, Body::from(body))
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl ClientCall {
    /// The request's nonce.
    pub(super) fn nonce(&self) -> &str {
        self.signature.nonce()
    }

    /// The body as a value.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // The usual case by the fastest reader; what went wrong is told by the slower one, which knows the place.
        serde_json::from_slice(&self.body).or_else(|_| parse_json(&self.body))
    }

    /// The circumstances of a command of this call. A repeat of the request, to whichever process, has the same nonce.
    pub(super) fn context(&self, command: &'static str) -> Context {
        let idempotency = Idempotency::new(&self.key.api_key_id, self.nonce(), &self.body);
        Context {
            idempotency: Some(idempotency),
            traceparent: self.traceparent.clone(),
            ..Context::system(self.key.tenant_id, command, self.now)
        }
    }
}

fn json<T: Serialize>(answer: &T) -> Result<Response, Problem> {
    let mut text = Vec::with_capacity(USUAL_ANSWER_BYTES);
    serde_json::to_writer(&mut text, answer).map_err(|error| Problem::internal(&error))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
