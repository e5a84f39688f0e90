//! Creates a project with client credentials and a key that signs answers (row P1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quotary_domain::project::{Credentials, Project, ProjectCommand, ProjectDetails};
use quotary_domain::{ApiKeyId, ProjectId, TenantId};
use serde::{Deserialize, Serialize};

use super::rotate_signing_key::new_ed25519_key;
use crate::callback::secret::new_secret;
use crate::callback::set::first_secret;
use crate::callback::target::Reach;
use crate::clock;
use crate::context::Context;
use crate::event_log::CommandError;
use crate::refusal::Refusal;
use crate::unit::Plan;
use crate::use_case::{Acting, Commands, Outcome};
use crate::vault::{Vault, VaultError, random};

/// A project after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectAfter {
    /// The project.
    pub project_id: ProjectId,
    /// Its state.
    pub project: Project,
    /// The sequence of its last event.
    pub sequence: u64,
}

/// Credentials as they are handed out, this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCredentials {
    /// The public half.
    pub api_key_id: ApiKeyId,
    /// The secret half, in the clear.
    pub api_secret: String,
}

/// A created project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectCreated {
    /// The project.
    pub after: ProjectAfter,
    /// Its first credentials.
    pub credentials: ShownCredentials,
    /// The secret of its callbacks, shown this once, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<String>,
}

/// What a sealed secret of a client credential is for.
#[must_use]
pub fn secret_purpose(api_key_id: &ApiKeyId) -> String {
    format!("api-secret/{api_key_id}")
}

/// What the sealed key that signs a project's answers is for.
#[must_use]
pub fn signing_purpose(key_id: &str) -> String {
    format!("signing-key/{key_id}")
}

impl Commands {
    /// Creates a project; it starts active.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for all but super admins, [`Refusal::Invalid`] for bad values.
    pub async fn create_project(&self, context: &Context, details: ProjectDetails) -> Outcome<ProjectCreated> {
        check_details(&details, self.callbacks, "callback_url").map_err(CommandError::Refused)?;
        let project_id = ProjectId(clock::new_id());
        let (credentials, shown) = new_credentials(self.log.vault(), context.tenant_id)?;
        let signing_key = new_ed25519_key(self.log.vault(), context.tenant_id)?;
        let secret = new_secret(self.log.vault(), context.tenant_id)?;
        let mut plan = Plan::new();
        let project = plan.open_new::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                let (details, credentials) = (details.clone(), credentials.clone());
                let create = ProjectCommand::Create { details, credentials, signing_key: signing_key.clone() };
                unit.decide(project, create)?;
                let callback_secret = first_secret(unit, project, context, &secret)?;
                let after =
                    ProjectAfter { project_id, project: unit.get(project).clone(), sequence: unit.sequence(project) };
                Ok::<_, Refusal>(ProjectCreated { after, credentials: shown.clone(), callback_secret })
            })
            .await
    }

    /// Lets a project decide on a command of a super admin.
    pub(crate) async fn change_project_by(
        &self,
        context: &Context,
        project_id: ProjectId,
        command: impl Fn() -> ProjectCommand + Send + Sync,
    ) -> Outcome<ProjectAfter> {
        let mut plan = Plan::new();
        let project = plan.open::<Project>(project_id);
        let acting = Acting::open(context, &mut plan)?;
        self.log
            .execute(context, &plan, |unit| {
                acting.check_super_admin(unit)?;
                unit.decide(project, command())?;
                let (project, sequence) = (unit.get(project).clone(), unit.sequence(project));
                Ok::<_, Refusal>(ProjectAfter { project_id, project, sequence })
            })
            .await
    }
}

/// Refuses details that are never allowed; `url_field` is what the request calls the address of callbacks.
pub(crate) fn check_details(
    details: &ProjectDetails,
    callbacks: Reach,
    url_field: &'static str,
) -> Result<(), Refusal> {
    Refusal::check_text("name", &details.name, 1, 100)?;
    let optional = [("description", &details.description, 2_000), ("version", &details.version, 50)];
    for (field, value, max) in optional {
        if let Some(value) = value {
            Refusal::check_text(field, value, 0, max)?;
        }
    }
    let checked = details.callback_url.as_deref().map(|url| callbacks.parse(url)).transpose();
    checked.map(|_| ()).map_err(|error| Refusal::invalid(url_field, error.to_string()))
}

pub(crate) fn new_credentials(vault: &Vault, tenant: TenantId) -> Result<(Credentials, ShownCredentials), VaultError> {
    let api_key_id = ApiKeyId(format!("qk_{}", URL_SAFE_NO_PAD.encode(random::<15>()?.as_ref())));
    let api_secret = format!("qs_{}", URL_SAFE_NO_PAD.encode(random::<32>()?.as_ref()));
    let sealed = vault.seal(tenant, &secret_purpose(&api_key_id), api_secret.as_bytes())?;
    let credentials = Credentials { api_key_id: api_key_id.clone(), api_secret: sealed };
    Ok((credentials, ShownCredentials { api_key_id, api_secret }))
}
