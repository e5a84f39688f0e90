//! `GET /.well-known/quotary/{project_id}/jwks.json`: the public keys of a project as a JWK Set (RFC 7517, RFC 8037).
//!
//! What must always hold: in the usual case it comes from memory; only keys that may be believed now are in it, and nothing
//! of a secret half.

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use quotary_commands::clock;
use quotary_commands::log::stream;
use quotary_domain::ProjectId;
use quotary_domain::project::{self, SigningAlgorithm, SigningKey, SigningKeys};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::ApiPath;
use crate::problem::Problem;
use crate::state::AppState;

/// How long a verifier may keep the set; one that meets an unknown `kid` asks again at once.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A set of public keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeySet {
    /// Those that sign now, then earlier ones, the latest first.
    pub keys: Vec<Jwk>,
}

/// A public key (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub struct Jwk {
    /// `OKP` or `RSA`.
    pub kty: &'static str,
    /// The name that signatures give as `keyid` or `kid`.
    pub kid: String,
    /// `EdDSA` or `PS256`.
    pub alg: &'static str,
    /// `sig`
    pub r#use: &'static str,
    /// `Ed25519`, for `OKP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<&'static str>,
    /// The public key in base64url, for `OKP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The modulus in base64url, for `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent in base64url, for `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// A key in the log that is none.
#[derive(Debug, thiserror::Error)]
#[error("the public key {0} can't be read")]
struct UnreadableKey(String);

fn jwk(key: &SigningKey) -> Result<Jwk, UnreadableKey> {
    let unreadable = || UnreadableKey(key.key_id.clone());
    let public = STANDARD.decode(&key.public_key).map_err(|_| unreadable())?;
    let (kid, r#use) = (key.key_id.clone(), "sig");
    Ok(match key.algorithm {
        SigningAlgorithm::Ed25519 => {
            let x = Some(URL_SAFE_NO_PAD.encode(public));
            Jwk { kty: "OKP", kid, alg: "EdDSA", r#use, crv: Some("Ed25519"), x, n: None, e: None }
        }
        SigningAlgorithm::RsaPssSha256 => {
            let public = RsaPublicKey::from_public_key_der(&public).map_err(|_| unreadable())?;
            let n = Some(URL_SAFE_NO_PAD.encode(public.n().to_bytes_be()));
            let e = Some(URL_SAFE_NO_PAD.encode(public.e().to_bytes_be()));
            Jwk { kty: "RSA", kid, alg: "PS256", r#use, crv: None, x: None, n, e }
        }
    })
}

/// The public keys with which what a project signs can be verified. Files, leases and answers name their key by `kid`.
///
/// # Errors
/// `not-found`.
#[utoipa::path(get, path = "/.well-known/quotary/{project_id}/jwks.json", tag = "client",
    params(("project_id" = Uuid, Path, description = "The project")),
    responses(
        (status = 200, description = "The keys", body = KeySet, content_type = "application/jwk-set+json"),
        (status = 304, description = "They are those of `If-None-Match`"),
    ))]
pub async fn handle(
    State(state): State<AppState>,
    ApiPath(id): ApiPath<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let keys = keys_of(&state, ProjectId(id)).await?;
    let keys: Result<Vec<Jwk>, UnreadableKey> = keys.published(clock::now()).map(jwk).collect();
    let set = KeySet { keys: keys.map_err(|error| Problem::internal(&error))? };
    let body = serde_json::to_vec(&set).map_err(|error| Problem::internal(&error))?;
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16]));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|line| names(line, &tag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    answer.insert(header::CACHE_CONTROL, CACHED);
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer.insert(header::ETAG, HeaderValue::try_from(tag).map_err(|error| Problem::internal(&error))?);
    Ok(response)
}

/// Whether a line of `If-None-Match` names the tag.
fn names(line: &HeaderValue, tag: &str) -> bool {
    let tags = line.to_str().unwrap_or_default().split(',').map(|one| one.trim().trim_start_matches("W/"));
    tags.into_iter().any(|one| one == tag || one == "*")
}

/// From memory while that is trusted, an unknown project too; else from the log.
async fn keys_of(state: &AppState, id: ProjectId) -> Result<SigningKeys, Problem> {
    let index = &state.license_index;
    let known = index.project(id);
    if index.is_trusted(Instant::now()) {
        match known {
            Some(known) if !known.doubtful => return Ok(known.signing_keys.clone()),
            None => return Err(Problem::not_found("project")),
            Some(_) => {}
        }
    }
    let loaded = stream::load::<project::Project>(&state.pool, id.0).await?;
    let tenant_id = loaded.tenant_id.ok_or_else(|| Problem::not_found("project"))?;
    index.observe_project(tenant_id, id, &loaded.aggregate, loaded.sequence);
    Ok(loaded.aggregate.signing_keys)
}
