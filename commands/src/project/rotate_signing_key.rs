//! Gives a project another key to sign with; the one before stays published, since files live long (rows P1, L9).
//!
//! What must always hold: the secret half leaves this file sealed and nowhere else in the clear.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use quotary_domain::project::{Project, ProjectCommand, ProjectError, SigningAlgorithm, SigningKey};
use quotary_domain::{ProjectId, TenantId};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
use tokio::sync::Semaphore;

use super::create::{ProjectAfter, signing_purpose};
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};
use crate::vault::{Vault, VaultError, random};

/// The longest overlap, in days: ten years, as long as a licence file can live.
pub const MAX_OVERLAP_DAYS: u32 = 3_660;

const RSA_BITS: usize = 2_048;

/// An RSA key takes up to seconds of one core, so a process makes one at a time.
static ONE_RSA_KEY: Semaphore = Semaphore::const_new(1);

impl Commands {
    /// Makes a new signing key of an algorithm; the first RSA key of a project is made this way too.
    ///
    /// # Errors
    /// [`Refusal`] if the actor is no super admin, the project is unknown, the overlap is too long, or too many earlier keys
    /// are still published.
    pub async fn rotate_signing_key(
        &self,
        context: &Context,
        project_id: ProjectId,
        algorithm: SigningAlgorithm,
        overlap_days: u32,
    ) -> Outcome<ProjectAfter> {
        if overlap_days > MAX_OVERLAP_DAYS {
            let refusal = Refusal::invalid("overlap_days", format!("must be at most {MAX_OVERLAP_DAYS}"));
            return Err(CommandError::Refused(refusal));
        }
        // Before the work of making a key; the decision looks again.
        let known = self.log.current::<Project>(context.tenant_id, project_id).await?;
        if known.is_none_or(|(project, _)| project.details.is_none()) {
            return Err(CommandError::Refused(ProjectError::Unknown.into()));
        }
        let (vault, tenant_id) = (self.log.vault().clone(), context.tenant_id);
        let signing_key = match algorithm {
            SigningAlgorithm::Ed25519 => new_ed25519_key(&vault, tenant_id)?,
            SigningAlgorithm::RsaPssSha256 => {
                let _turn = ONE_RSA_KEY.acquire().await.map_err(|_| VaultError::KeyPair)?;
                let made = tokio::task::spawn_blocking(move || new_rsa_key(&vault, tenant_id));
                made.await.map_err(|_| VaultError::KeyPair)??
            }
        };
        let previous_until = context.now + TimeDelta::days(overlap_days.into());
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let (signing_key, now) = (signing_key.clone(), context.now);
                unit.decide(project, ProjectCommand::RotateSigningKey { signing_key, previous_until, now })?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok::<_, Refusal>(ProjectAfter { project_id, project, sequence })
            })
            .await
    }
}

pub(crate) fn new_ed25519_key(vault: &Vault, tenant: TenantId) -> Result<SigningKey, VaultError> {
    let seed = random::<32>()?;
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    sealed_key(vault, tenant, SigningAlgorithm::Ed25519, public.as_bytes(), seed.as_ref())
}

fn new_rsa_key(vault: &Vault, tenant: TenantId) -> Result<SigningKey, VaultError> {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS).map_err(|_| VaultError::KeyPair)?;
    let public = key.to_public_key().to_public_key_der().map_err(|_| VaultError::KeyPair)?;
    let secret = key.to_pkcs8_der().map_err(|_| VaultError::KeyPair)?;
    sealed_key(vault, tenant, SigningAlgorithm::RsaPssSha256, public.as_bytes(), secret.as_bytes())
}

fn sealed_key(
    vault: &Vault,
    tenant: TenantId,
    algorithm: SigningAlgorithm,
    public: &[u8],
    secret: &[u8],
) -> Result<SigningKey, VaultError> {
    let key_id = format!("sk_{}", URL_SAFE_NO_PAD.encode(random::<9>()?.as_ref()));
    let secret_key = vault.seal(tenant, &signing_purpose(&key_id), secret)?;
    Ok(SigningKey { algorithm, key_id, public_key: STANDARD.encode(public), secret_key })
}
