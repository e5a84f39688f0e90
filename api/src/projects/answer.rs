//! Projects, plans and grants as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::project::create::ProjectAfter;
use quotary_domain::license::Policy;
use quotary_domain::project::{self, SigningKey};
use quotary_domain::{PlanId, ProjectId, TenantId};
use quotary_projections::projects::{GrantRecord, PlanRecord, ProjectRecord};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::agents::answer::status;
use crate::problem::Problem;
use crate::state::AppState;

/// The read model behind these answers.
pub(crate) const READ_MODEL: &str = "projects";

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// The product's version.
    pub version: Option<String>,
    /// Where callbacks go.
    pub callback_url: Option<String>,
    /// `active` or `disabled`.
    pub status: &'static str,
    /// The public half of its credentials; for super admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    /// What answers to its client software are signed with; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PublicKey>,
    /// The RSA key for files, if one was made; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rsa_signing_key: Option<PublicKey>,
    /// When it came into being; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// The secret of its callbacks, shown only in the answer to the command that set the first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<String>,
}

/// The public half of a signing key.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicKey {
    /// Its name in `keyid`.
    pub key_id: String,
    /// `ed25519` or `rsa-pss-sha256`.
    pub algorithm: &'static str,
    /// In base64: the 32 bytes of Ed25519, the DER of an RSA key's `SubjectPublicKeyInfo`.
    pub public_key: String,
}

impl From<&SigningKey> for PublicKey {
    fn from(key: &SigningKey) -> Self {
        Self { key_id: key.key_id.clone(), algorithm: key.algorithm.as_str(), public_key: key.public_key.clone() }
    }
}

impl Project {
    /// The project after a command of a super admin.
    pub(super) fn after(after: &ProjectAfter) -> Result<Self, Problem> {
        let details = after.project.details.clone().ok_or_else(|| Problem::not_found("project"))?;
        Ok(Self {
            id: after.project_id.0,
            name: details.name,
            description: details.description,
            version: details.version,
            callback_url: details.callback_url,
            status: status(after.project.disabled),
            api_key_id: after.project.credentials.as_ref().map(|credentials| credentials.api_key_id.to_string()),
            signing_key: after.project.signing_keys.ed25519.as_ref().map(PublicKey::from),
            rsa_signing_key: after.project.signing_keys.rsa.as_ref().map(PublicKey::from),
            created_at: None,
            callback_secret: None,
        })
    }

    /// The project as the read model has it.
    pub(super) fn of(record: ProjectRecord, with_key: bool) -> Self {
        Self {
            id: record.project_id.0,
            name: record.name,
            description: record.description,
            version: record.version,
            callback_url: record.callback_url,
            status: status(record.disabled),
            api_key_id: with_key.then_some(record.api_key_id),
            signing_key: None,
            rsa_signing_key: None,
            created_at: Some(record.created_at),
            callback_secret: None,
        }
    }
}

/// Lets this node act on the project as it is now.
pub(crate) fn observe(state: &AppState, tenant_id: TenantId, after: &ProjectAfter) {
    state.license_index.observe_project(tenant_id, after.project_id, &after.project, after.sequence);
}

/// A plan of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plan {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its name.
    pub name: String,
    /// Days of validity; `null` is perpetual.
    pub duration_days: Option<u32>,
    /// How many machines a licence can be bound to.
    pub max_machines: u32,
    /// What a licence costs, in minor units.
    pub unit_price: i64,
    /// What a licence unlocks.
    pub features: Vec<String>,
    /// The rules of a licence's use; what is left out is the usual rule.
    #[schema(value_type = crate::policy::Policy)]
    pub policy: Policy,
    /// Grows with every change of what a licence grants.
    pub version: u32,
    /// Not sold any more.
    pub retired: bool,
}

impl Plan {
    pub(super) fn new(project_id: ProjectId, plan_id: PlanId, plan: project::Plan) -> Self {
        Self {
            id: plan_id.0,
            project_id: project_id.0,
            name: plan.name,
            duration_days: plan.terms.duration_days,
            max_machines: plan.terms.max_machines,
            unit_price: plan.unit_price.minor_units(),
            features: plan.terms.features,
            policy: plan.terms.policy,
            version: plan.version,
            retired: plan.retired,
        }
    }
}

impl From<PlanRecord> for Plan {
    fn from(record: PlanRecord) -> Self {
        Self {
            id: record.plan_id.0,
            project_id: record.project_id.0,
            name: record.name,
            duration_days: record.duration_days.map(i32::cast_unsigned),
            max_machines: record.max_machines.cast_unsigned(),
            unit_price: record.unit_price.minor_units(),
            features: record.features.0,
            policy: record.policy.0,
            version: u32::try_from(record.version).unwrap_or(u32::MAX),
            retired: record.retired,
        }
    }
}

/// An agent's right to issue from a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// The project.
    pub project_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
    /// When it ends by itself; `null` is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was given; absent in answers to commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<DateTime<Utc>>,
}

impl From<GrantRecord> for Grant {
    fn from(record: GrantRecord) -> Self {
        Self {
            project_id: record.project_id.0,
            agent_id: record.agent_id.0,
            expires_at: record.expires_at,
            granted_at: Some(record.granted_at),
        }
    }
}
