//! `POST /v1/client/licenses/verify`: may this licence be used on this machine?
//!
//! What must always hold: in the usual case the answer comes from memory, without PostgreSQL; the first use of a machine
//! is a command, decided on the log; an index that is not trusted is not answered from.

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use quotary_commands::CommandError;
use quotary_commands::license_key::LicenseKey;
use quotary_domain::LicenseId;
use quotary_domain::license::Machine;
use quotary_projections::license_index::{HashPrefix, LicenseView, Verdict, verify as from_memory};

use super::answer::{Code, LicenseAnswer, VerifyAnswer, machine_name_purpose};
use super::call::{ClientCall, ClientCalls};
use super::from_log::{FreshLicense, judge};
use super::request::{MachineRequest, VerifyRequest};
use super::timestamp::Timestamp;
use crate::problem::{Code as ProblemCode, Problem};
use crate::state::AppState;

pub(super) const MISTYPED: &str = "the key was mistyped: its check character does not fit";
const UNKNOWN: &str = "no licence has this key";

/// What is asked, in the form in which it is looked up.
struct Asked<'a> {
    key_hash: [u8; 32],
    fingerprint_hash: [u8; 32],
    machine: &'a MachineRequest,
}

/// What was found.
struct Found {
    code: Code,
    detail: Option<&'static str>,
    license: Option<LicenseView>,
}

impl Found {
    fn without_license(code: Code, detail: Option<&'static str>) -> Self {
        Self { code, detail, license: None }
    }
}

/// Verifies a licence key on a machine; first use activates the licence and binds the machine.
///
/// The outcome of a verification is always a 200 with a `code`; only a request that is not in order gets a problem.
#[utoipa::path(post, path = "/v1/client/licenses/verify", tag = "client", request_body = VerifyRequest,
    responses((status = 200, description = "The outcome; signed if `Accept-Signature` was sent", body = VerifyAnswer)))]
pub async fn handle(State(state): State<AppState>, request: Request) -> Response {
    let calls = ClientCalls::of(&state);
    let call = match calls.receive(request).await {
        Ok(call) => call,
        Err(refused) => return calls.refuse(refused).await,
    };
    let answer = calls.verification(&call).await;
    calls.respond(&call, answer).await
}

impl ClientCalls<'_> {
    async fn verification<'c>(&self, call: &'c ClientCall) -> Result<VerifyAnswer<'c>, Problem> {
        let request: VerifyRequest = call.body()?;
        request.machine.check().map_err(|(pointer, detail)| Problem::invalid(pointer, detail))?;
        let Found { code, detail, license } = self.find(call, &request).await?;
        call.key.counts.add(code);
        let expires_at = license.as_ref().and_then(|license| license.expires_at);
        Ok(VerifyAnswer {
            valid: code == Code::Valid,
            code,
            detail,
            license: license.map(LicenseAnswer::from),
            remaining_seconds: expires_at.map(|end| remaining(end, call.now)),
            nonce: call.nonce(),
            at: Timestamp(call.now),
        })
    }

    async fn find(&self, call: &ClientCall, request: &VerifyRequest) -> Result<Found, Problem> {
        let Ok(key) = LicenseKey::parse(&request.key) else {
            return Ok(Found::without_license(Code::NotFound, Some(MISTYPED)));
        };
        let (vault, tenant) = (self.vault(), call.key.tenant_id);
        let asked = Asked {
            key_hash: vault.hash_bytes(tenant, "license-key", key.as_str()),
            fingerprint_hash: vault.hash_bytes(tenant, "fingerprint", &request.machine.fingerprint),
            machine: &request.machine,
        };
        if !call.trusted {
            return self.find_in_log(call, &asked).await;
        }
        let (key, fingerprint) = (HashPrefix::of_hash(&asked.key_hash), HashPrefix::of_hash(&asked.fingerprint_hash));
        let verdict = from_memory(self.index, call.key.project_id, key, fingerprint, call.now);
        match settled(verdict) {
            Ok(found) => Ok(found),
            Err(Open::Activation(id)) => self.activate(call, &asked, id).await,
            Err(Open::Doubt) => self.find_in_log(call, &asked).await,
        }
    }

    async fn find_in_log(&self, call: &ClientCall, asked: &Asked<'_>) -> Result<Found, Problem> {
        let key_hash = URL_SAFE_NO_PAD.encode(asked.key_hash);
        let fresh = self.the_log().license_of_key(call.key.tenant_id, &key_hash).await?;
        let Some(fresh) = fresh else {
            return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN)));
        };
        match settled(judge(&call.project, &fresh, &URL_SAFE_NO_PAD.encode(asked.fingerprint_hash), call.now)) {
            Ok(found) => Ok(found),
            Err(Open::Activation(id)) => self.activate(call, asked, id).await,
            Err(Open::Doubt) => Err(Problem::of(ProblemCode::Contention)),
        }
    }

    /// The machine is new to the licence: a command decides, and what it decided is answered.
    async fn activate(&self, call: &ClientCall, asked: &Asked<'_>, id: LicenseId) -> Result<Found, Problem> {
        let (tenant, project) = (call.key.tenant_id, call.key.project_id);
        let name = asked.machine.name.as_ref().filter(|name| !name.is_empty());
        let name = name.map(|name| self.vault().seal(tenant, &machine_name_purpose(id), name.as_bytes()));
        let machine = Machine {
            fingerprint_hash: URL_SAFE_NO_PAD.encode(asked.fingerprint_hash),
            name: name.transpose().map_err(|error| Problem::internal(&error))?,
        };
        let fresh = match self.commands.use_license(&call.context("license.use"), project, id, machine).await {
            Ok(done) => {
                self.index.observe(id, &done.value.license, done.value.sequence);
                Some(FreshLicense { id, license: done.value.license, refunded: false })
            }
            // A rule forbids it, and the log says which: somebody was faster, or this process late.
            Err(CommandError::Refused(_)) => {
                self.the_log().refresh_project(tenant, project).await?;
                self.the_log().license(tenant, id).await?
            }
            Err(error) => return Err(error.into()),
        };
        let Some(fresh) = fresh else { return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN))) };
        let now = self.index.project(project).unwrap_or_else(|| call.project.clone());
        let fingerprint_hash = URL_SAFE_NO_PAD.encode(asked.fingerprint_hash);
        settled(judge(&now, &fresh, &fingerprint_hash, call.now)).map_err(|_| Problem::of(ProblemCode::Contention))
    }
}

/// What is not decided yet.
enum Open {
    /// A command decides.
    Activation(LicenseId),
    /// The log has to be asked.
    Doubt,
}

fn settled(verdict: Verdict) -> Result<Found, Open> {
    let (code, license) = match verdict {
        Verdict::Valid(license) => (Code::Valid, Some(license)),
        Verdict::NotFound => return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN))),
        Verdict::OtherProject => (Code::ProductScopeMismatch, None),
        Verdict::ProjectDisabled => (Code::ProjectDisabled, None),
        Verdict::Revoked(license) => (Code::Banned, Some(license)),
        Verdict::Disabled(license) => (Code::Suspended, Some(license)),
        Verdict::Expired(license) => (Code::Expired, Some(license)),
        Verdict::TooManyMachines(license) => (Code::TooManyMachines, Some(license)),
        Verdict::NeedsActivation(license) => return Err(Open::Activation(license.license_id)),
        Verdict::Doubtful(_) => return Err(Open::Doubt),
    };
    Ok(Found { code, detail: None, license })
}

/// Seconds from `now` to `end`, zero if it is over.
pub(super) fn remaining(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().max(0)
}
