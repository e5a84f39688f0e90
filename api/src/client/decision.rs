//! The decision behind verify, activate and heartbeat.
//!
//! What must always hold: in the usual case the answer comes from memory, without PostgreSQL; the first use of a machine
//! and the extension of a lease are commands, decided on the log; an index that is not trusted is not answered from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use quotary_commands::CommandError;
use quotary_commands::callback::refused::Refused;
use quotary_commands::license_key::LicenseKey;
use quotary_commands::refusal::Refusal;
use quotary_commands::vault::{Vault, VaultError};
use quotary_domain::license::verification::{Intent, Question, Verdict};
use quotary_domain::license::{LicenseError, Machine, UsedBy};
use quotary_domain::{LicenseId, TenantId};
use quotary_projections::license_index::{self, HashPrefix, LicenseView, Lookup, verify as from_memory};

use super::answer::{Code, LicenseAnswer, VerifyAnswer, machine_name_purpose};
use super::call::{ClientCall, ClientCalls};
use super::from_log::{FreshLicense, look_up};
use super::lease::{LeaseError, LeaseOf};
use super::request::MachineRequest;
use super::timestamp::Timestamp;
use crate::problem::{Code as ProblemCode, Problem};

/// Why a text is no key.
pub(super) const MISTYPED: &str = "the key was mistyped: its check character does not fit";
const UNKNOWN: &str = "no licence has this key";

/// What client software wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To run; binds the machine if there is room.
    Verify,
    /// To know whether it may run.
    Look,
    /// To have its place ahead of its use.
    Activate,
    /// To keep its place.
    Beat,
}

/// What is asked, in the form in which it is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    step: Step,
    key_hash: [u8; 32],
    fingerprint_hash: [u8; 32],
    fingerprint: &'a str,
    /// What is known of the machine beside its fingerprint.
    machine: Option<&'a MachineRequest>,
    /// Features that the licence must have.
    features: &'a [String],
}

impl<'a> Asked<'a> {
    /// The question about a key and a fingerprint; `None` if the key can't be one.
    pub(super) fn of(vault: &Vault, call: &ClientCall, step: Step, key: &str, fingerprint: &'a str) -> Option<Self> {
        let key = LicenseKey::parse(key).ok()?;
        let tenant = call.key.tenant_id;
        Some(Self {
            step,
            key_hash: vault.hash_bytes(tenant, "license-key", key.as_str()),
            fingerprint_hash: vault.hash_bytes(tenant, "fingerprint", fingerprint),
            fingerprint,
            machine: None,
            features: &[],
        })
    }

    /// With what else is known of the machine.
    pub(super) fn on(self, machine: &'a MachineRequest) -> Self {
        Self { machine: Some(machine), ..self }
    }

    /// With features that the licence must have.
    pub(super) fn with(self, features: &'a [String]) -> Self {
        Self { features, ..self }
    }

    fn question(&self, at: DateTime<Utc>) -> Question<'a> {
        let intent = match self.step {
            Step::Look => Intent::Look,
            Step::Beat => Intent::Beat,
            Step::Verify | Step::Activate => Intent::Use,
        };
        Question { features: self.features, intent, at }
    }

    fn fingerprint_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.fingerprint_hash)
    }
}

/// What was found.
pub(super) struct Found {
    pub valid: bool,
    pub code: Code,
    pub detail: Option<&'static str>,
    pub license: Option<LicenseView>,
}

impl Found {
    fn without_license(code: Code, detail: Option<&'static str>) -> Self {
        Self { valid: false, code, detail, license: None }
    }
}

impl ClientCalls<'_> {
    /// Answers what was asked; nothing was if the key can't be one.
    pub(super) async fn decide<'c>(
        &self,
        call: &'c ClientCall,
        asked: Option<Asked<'_>>,
    ) -> Result<VerifyAnswer<'c>, Problem> {
        let Found { valid, code, detail, license } = match &asked {
            Some(asked) => self.find(call, asked).await?,
            None => Found::without_license(Code::NotFound, Some(MISTYPED)),
        };
        call.key.counts.add(code);
        if let Some(license) = license.as_ref().filter(|_| !valid) {
            let (tenant_id, project_id) = (call.project.tenant_id, call.key.project_id);
            let (license_id, code) = (license.license_id, code.as_str());
            self.refusals.offer(Refused { tenant_id, project_id, license_id, code, at: call.now });
        }
        let lease = match (&asked, license.as_ref().filter(|_| valid)) {
            (Some(asked), Some(license)) => self.lease(call, asked, license)?,
            _ => None,
        };
        let expires_at = license.as_ref().and_then(|license| license.expires_at);
        Ok(VerifyAnswer {
            valid,
            code,
            detail,
            remaining_seconds: expires_at.map(|end| remaining(end, call.now)),
            held_until: license.as_ref().and_then(|license| license.held_until).map(Timestamp),
            license: license.map(LicenseAnswer::from),
            lease,
            nonce: call.nonce(),
            at: Timestamp(call.now),
        })
    }

    /// What client software may trust without contact; `None` if the terms want it to ask each time, or there is no time
    /// left to trust.
    fn lease(&self, call: &ClientCall, asked: &Asked<'_>, license: &LicenseView) -> Result<Option<Arc<str>>, Problem> {
        let seconds = license.terms.policy.trust_seconds;
        let Some(current) = call.project.signing_keys.ed25519.as_ref().filter(|_| seconds > 0) else { return Ok(None) };
        let key = call.key.answer_key(self.vault(), current).map_err(|error| Problem::internal(&error))?;
        let of = LeaseOf {
            project_id: call.key.project_id,
            license,
            fingerprint: asked.fingerprint,
            fingerprint_hash: HashPrefix::of_hash(&asked.fingerprint_hash),
        };
        match self.leases.lease(&key, &of, seconds, call.now) {
            Ok(lease) => Ok(Some(lease)),
            Err(LeaseError::Over) => Ok(None),
            Err(error) => Err(Problem::internal(&error)),
        }
    }

    /// What is found about what was asked; first use is a command.
    pub(super) async fn find(&self, call: &ClientCall, asked: &Asked<'_>) -> Result<Found, Problem> {
        if !call.trusted {
            return self.find_in_log(call, asked).await;
        }
        let lookup = from_memory(
            self.index,
            &license_index::Asked {
                project_id: call.key.project_id,
                key: HashPrefix::of_hash(&asked.key_hash),
                fingerprint: HashPrefix::of_hash(&asked.fingerprint_hash),
                question: asked.question(call.now),
            },
        );
        match settled(lookup) {
            Ok(found) => Ok(found),
            Err(Open::Use(id)) => self.use_it(call, asked, id).await,
            Err(Open::Doubt) => self.find_in_log(call, asked).await,
        }
    }

    async fn find_in_log(&self, call: &ClientCall, asked: &Asked<'_>) -> Result<Found, Problem> {
        let key_hash = URL_SAFE_NO_PAD.encode(asked.key_hash);
        let fresh = self.the_log().license_of_key(call.key.tenant_id, &key_hash).await?;
        let Some(fresh) = fresh else {
            return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN)));
        };
        let question = asked.question(call.now);
        match settled(look_up(&call.project, &fresh, &asked.fingerprint_text(), &question)) {
            Ok(found) => Ok(found),
            Err(Open::Use(id)) => self.use_it(call, asked, id).await,
            Err(Open::Doubt) => Err(Problem::of(ProblemCode::Contention)),
        }
    }

    /// A command decides: the machine is new to the licence, or it is time to extend its lease.
    async fn use_it(&self, call: &ClientCall, asked: &Asked<'_>, id: LicenseId) -> Result<Found, Problem> {
        let (tenant, project) = (call.key.tenant_id, call.key.project_id);
        let fingerprint_hash = asked.fingerprint_text();
        let done = match asked.step {
            Step::Beat => {
                let context = call.context("license.beat");
                self.commands.beat_license(&context, project, id, fingerprint_hash.clone()).await
            }
            Step::Verify | Step::Look | Step::Activate => {
                let machine = match asked.machine {
                    Some(known) => kept(self.vault(), tenant, id, known),
                    None => Ok(Machine::of(fingerprint_hash.clone())),
                };
                let machine = machine.map_err(|error| Problem::internal(&error))?;
                let by = if asked.step == Step::Activate { UsedBy::Activation } else { UsedBy::Verification };
                self.commands.use_license(&call.context("license.use"), project, id, machine, by).await
            }
        };
        let (fresh, refused) = match done {
            Ok(done) => {
                self.index.observe(id, &done.value.license, done.value.sequence);
                (Some(FreshLicense::after(done.value)), None)
            }
            // A rule forbids it, and the log says which: somebody was faster, or this process late.
            Err(CommandError::Refused(refusal)) => {
                self.the_log().refresh_project(tenant, project).await?;
                (self.the_log().license(tenant, id).await?, refused_use(&refusal))
            }
            Err(error) => return Err(error.into()),
        };
        let Some(fresh) = fresh else { return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN))) };
        let now = self.index.project(project).unwrap_or_else(|| call.project.clone());
        // What a command did is not asked for again; what it refused is told by looking.
        let question = Question { intent: Intent::Look, ..asked.question(call.now) };
        let lookup = look_up(&now, &fresh, &fingerprint_hash, &question);
        let is_unbound = matches!(lookup, Lookup::License(Verdict::NotBound, _));
        let found = settled(lookup).map_err(|_| Problem::of(ProblemCode::Contention))?;
        Ok(match refused {
            Some(code) if is_unbound => Found { code, ..found },
            _ => found,
        })
    }
}

/// The machine as the log keeps it: nothing of it in the clear.
pub(crate) fn kept(
    vault: &Vault,
    tenant: TenantId,
    id: LicenseId,
    known: &MachineRequest,
) -> Result<Machine, VaultError> {
    let name = known.name.as_ref().filter(|name| !name.is_empty());
    let name = name.map(|name| vault.seal(tenant, &machine_name_purpose(id), name.as_bytes())).transpose()?;
    // The name is part of what is hashed, so that two parts of one machine with one value do not show it.
    let hash = |(name, value): (&String, &String)| {
        (name.clone(), vault.hash(tenant, "machine-component", &format!("{name}\n{value}")))
    };
    let components = known.components.iter().flatten().map(hash).collect();
    Ok(Machine { name, components, ..Machine::of(vault.hash(tenant, "fingerprint", &known.fingerprint)) })
}

/// What is not decided yet.
enum Open {
    /// A command decides.
    Use(LicenseId),
    /// The log has to be asked.
    Doubt,
}

/// Why a machine was not let in, as far as looking at the licence does not tell.
fn refused_use(refusal: &Refusal) -> Option<Code> {
    match refusal {
        Refusal::License(LicenseError::TooManyMachines(_)) => Some(Code::TooManyMachines),
        Refusal::License(LicenseError::MachineDead) => Some(Code::HeartbeatDead),
        _ => None,
    }
}

fn settled(lookup: Lookup) -> Result<Found, Open> {
    let (verdict, license) = match lookup {
        Lookup::NotFound => return Ok(Found::without_license(Code::NotFound, Some(UNKNOWN))),
        Lookup::OtherProject => return Ok(Found::without_license(Code::ProductScopeMismatch, None)),
        Lookup::ProjectDisabled => return Ok(Found::without_license(Code::ProjectDisabled, None)),
        Lookup::Doubtful(_) => return Err(Open::Doubt),
        Lookup::License(verdict, license) => (verdict, license),
    };
    let code = Code::of(verdict).ok_or(Open::Use(license.license_id))?;
    let valid = matches!(verdict, Verdict::Valid | Verdict::OverLimit);
    Ok(Found { valid, code, detail: None, license: Some(license) })
}

/// Seconds from `now` to `end`, zero if it is over.
pub(super) fn remaining(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().max(0)
}
