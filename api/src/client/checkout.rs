//! `POST /v1/client/licenses/checkout`: a signed file of the licence, to be believed without contact (row L9).
//!
//! What must always hold: a file is made only for a licence that a verification would find valid; with a machine it is bound
//! to it as a verification binds it; the file ends no later than the licence.

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quotary_commands::license_key::LicenseKey;
use quotary_commands::project::create::signing_purpose;
use quotary_domain::license::LicenseStatus;
use quotary_domain::project::SigningAlgorithm;
use quotary_projections::license_index::{LicenseView, ProjectEntry};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::answer::{Code, LicenseAnswer, view_of};
use super::call::{ClientCall, ClientCalls};
use super::decision::{Asked, MISTYPED, Step};
use super::request::MachineRequest;
use super::timestamp::Timestamp;
use crate::problem::{Code as ProblemCode, Problem};
use crate::signed_file::{
    FileError, FileKey, FileKind, FileSigner, Included, LicenseInFile, MachineInFile, Meta, license_document,
    machine_document, seal,
};
use crate::state::AppState;

/// Shortest life of a file, in seconds.
pub const MIN_TTL_SECONDS: u32 = 3_600;
/// Longest life of a file, in seconds: ten years.
pub const MAX_TTL_SECONDS: u32 = 315_360_000;
/// The life of a file unless said otherwise, in seconds: 30 days.
pub const DEFAULT_TTL_SECONDS: u32 = 2_592_000;

/// What else may stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    /// Each feature as an `entitlements` object.
    Entitlements,
}

/// `POST /v1/client/licenses/checkout`
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutRequest {
    /// The licence key, as people type it.
    pub key: String,
    /// The machine that a machine file is for; without one it is a licence file.
    #[serde(default)]
    pub machine: Option<MachineRequest>,
    /// The life of the file in seconds: 3,600 to 315,360,000, 2,592,000 (30 days) if absent; `null` is as long as the licence.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 3600, maximum = 315_360_000)]
    pub ttl_seconds: Option<Option<u32>>,
    /// Whether only who has the licence key (and the fingerprint) can read it.
    #[serde(default)]
    pub encrypt: bool,
    /// `ed25519` (if absent) or `rsa-pss-sha256`, for which the project must have a key.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub algorithm: SigningAlgorithm,
    /// What else the file holds.
    #[serde(default)]
    pub include: Vec<Include>,
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A file and what it says.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckoutAnswer<'a> {
    /// The file: `-----BEGIN LICENSE FILE-----` or `-----BEGIN MACHINE FILE-----` and what follows.
    pub file: String,
    /// What signed it: `ed25519` or `rsa-pss-sha256`.
    #[schema(value_type = String)]
    pub algorithm: SigningAlgorithm,
    /// The name of the key that signed it, as in the published set.
    pub key_id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// Until when it may be believed; null if neither file nor licence has an end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// The licence.
    pub license: LicenseAnswer,
    /// The request's nonce.
    pub nonce: &'a str,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Makes a licence file, or with a machine a machine file, in Keygen's format.
#[utoipa::path(post, path = "/v1/client/licenses/checkout", tag = "client", request_body = CheckoutRequest,
    responses((status = 200, description = "The file; the answer is signed if `Accept-Signature` was sent", body = CheckoutAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.checkout(&call).await;
    calls.respond(&call, answer).await
}

/// Why no file is made for a licence that a verification answers so.
pub(super) fn refusal(code: Code, detail: Option<&'static str>) -> Problem {
    let code = match code {
        // Never asked for: a valid licence is not refused.
        Code::Valid => ProblemCode::Contention,
        Code::NotFound => ProblemCode::NotFound,
        Code::Expired => ProblemCode::LicenseExpired,
        Code::Suspended => ProblemCode::LicenseSuspended,
        Code::Banned => ProblemCode::LicenseBanned,
        Code::ProductScopeMismatch => ProblemCode::ProductScopeMismatch,
        Code::FingerprintScopeMismatch => ProblemCode::FingerprintScopeMismatch,
        Code::TooManyMachines => ProblemCode::TooManyMachines,
        Code::HeartbeatDead => ProblemCode::HeartbeatDead,
        Code::EntitlementsMissing => ProblemCode::EntitlementsMissing,
        Code::ProjectDisabled => ProblemCode::ProjectDisabled,
    };
    detail.map_or_else(|| Problem::of(code), |detail| Problem::new(code, detail))
}

impl ClientCalls<'_> {
    async fn checkout<'c>(&self, call: &'c ClientCall) -> Result<CheckoutAnswer<'c>, Problem> {
        let request: CheckoutRequest = call.body()?;
        let ttl_seconds = request.ttl_seconds.unwrap_or(Some(DEFAULT_TTL_SECONDS));
        if ttl_seconds.is_some_and(|ttl| !(MIN_TTL_SECONDS..=MAX_TTL_SECONDS).contains(&ttl)) {
            let detail = format!("must be from {MIN_TTL_SECONDS} to {MAX_TTL_SECONDS}, or null");
            return Err(Problem::invalid("/ttl_seconds", detail));
        }
        if request.include.len() > 1 {
            return Err(Problem::invalid("/include", "names something twice"));
        }
        // Before a machine is bound for a file that can't be signed.
        let signing_key =
            call.project.signing_keys.current(request.algorithm).ok_or_else(|| no_key(request.algorithm))?;
        let view = match &request.machine {
            Some(machine) => self.view_on_machine(call, &request.key, machine).await?,
            None => self.view_in_use(call, &request.key).await?,
        };
        let key = LicenseKey::parse(&request.key).map_err(|_| Problem::of(ProblemCode::NotFound))?;
        // A machine that must be heard of is believed for as long as it holds its place.
        let end = view.expires_at.into_iter().chain(view.held_until).min();
        let meta = Meta::new(call.now, ttl_seconds, end);
        let content = self.content(call, &request, &view, &key, &meta, &signing_key.key_id)?;
        let encryption = request
            .encrypt
            .then(|| FileKey::of(key.as_str(), request.machine.as_ref().map(|machine| machine.fingerprint.as_str())));
        let kind = if request.machine.is_some() { FileKind::Machine } else { FileKind::License };
        let signer = self.file_signer(&call.project, request.algorithm)?;
        let work = move || seal(kind, &content, encryption.as_ref(), &signer);
        // RSA takes milliseconds.
        let file = tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))??;
        Ok(CheckoutAnswer {
            file,
            algorithm: request.algorithm,
            key_id: signing_key.key_id.clone(),
            issued_at: Timestamp(meta.issued),
            expires_at: meta.expiry.map(Timestamp),
            license: LicenseAnswer::from(view),
            nonce: call.nonce(),
            at: Timestamp(call.now),
        })
    }

    /// The licence on a machine, which a verification finds valid: first use activates and binds.
    async fn view_on_machine(
        &self,
        call: &ClientCall,
        key: &str,
        machine: &MachineRequest,
    ) -> Result<LicenseView, Problem> {
        machine.check().map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        let asked = Asked::of(self.vault(), call, Step::Verify, key, &machine.fingerprint)
            .ok_or_else(|| refusal(Code::NotFound, Some(MISTYPED)))?;
        let found = self.find(call, &asked.on(machine)).await?;
        match found.license {
            Some(license) if found.valid => Ok(license),
            _ => Err(refusal(found.code, found.detail)),
        }
    }

    /// The licence on no machine in particular: it must be in use, since its validity counts from there.
    async fn view_in_use(&self, call: &ClientCall, key: &str) -> Result<LicenseView, Problem> {
        if call.project.disabled {
            return Err(refusal(Code::ProjectDisabled, None));
        }
        let found = self.own_license(call, key).await?;
        let view = view_of(&found, call.now).ok_or_else(|| Problem::not_found("license"))?;
        if view.terms.policy.heartbeat.is_some() {
            let detail = "machines of this licence hold their places by being heard of, so its file is for a machine";
            return Err(Problem::new(ProblemCode::WrongStatus, detail));
        }
        match view.status {
            LicenseStatus::Active => Ok(view),
            LicenseStatus::Unused => {
                Err(Problem::new(ProblemCode::WrongStatus, "the licence is not in use on any machine yet"))
            }
            LicenseStatus::Expired => Err(refusal(Code::Expired, None)),
            LicenseStatus::Disabled => Err(refusal(Code::Suspended, None)),
            LicenseStatus::Revoked => Err(refusal(Code::Banned, None)),
        }
    }

    fn content(
        &self,
        call: &ClientCall,
        request: &CheckoutRequest,
        view: &LicenseView,
        key: &LicenseKey,
        meta: &Meta,
        key_id: &str,
    ) -> Result<Vec<u8>, Problem> {
        let license = LicenseInFile {
            id: view.license_id,
            project_id: call.key.project_id,
            plan_id: view.plan_id,
            key: key.as_str(),
            activated_at: view.activated_at,
            expires_at: view.expires_at,
            terms: &view.terms,
        };
        let included = Included { entitlements: request.include.contains(&Include::Entitlements) };
        let document = match &request.machine {
            Some(machine) => {
                let hash = self.vault().hash_bytes(call.key.tenant_id, "fingerprint", &machine.fingerprint);
                let machine = MachineInFile {
                    fingerprint: &machine.fingerprint,
                    fingerprint_hash: &URL_SAFE_NO_PAD.encode(hash),
                    name: machine.name.as_deref(),
                };
                machine_document(&machine, &license, included, meta, key_id)
            }
            None => license_document(&license, included, meta, key_id),
        };
        serde_json::to_vec(&document).map_err(|error| Problem::internal(&error))
    }

    /// The opened key of the project's current one.
    pub(super) fn file_signer(
        &self,
        project: &ProjectEntry,
        algorithm: SigningAlgorithm,
    ) -> Result<FileSigner, Problem> {
        let key = project.signing_keys.current(algorithm).ok_or_else(|| no_key(algorithm))?;
        let secret = self.vault().open(project.tenant_id, &signing_purpose(&key.key_id), &key.secret_key)?;
        Ok(FileSigner::new(algorithm, &secret)?)
    }
}

fn no_key(algorithm: SigningAlgorithm) -> Problem {
    let detail = format!("the project has no {algorithm} key; a super admin makes one by rotate-signing-key");
    Problem::new(ProblemCode::WrongStatus, detail)
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Random(error) => error.into(),
            FileError::Key | FileError::Encryption | FileError::Json(_) => Self::internal(&error),
        }
    }
}
