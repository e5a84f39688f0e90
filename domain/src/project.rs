//! Project: a software product with its plans, the agents who may sell it, and the credentials of its client software
//! (rows P1–P3, P5).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::callback::CallbackType;
use crate::license::{self, LicenseTerms};
use crate::{AccountId, ApiKeyId, DeliveryId, PlanId, Quota, QuotaError, Sealed, event_names, impl_aggregate};

mod callbacks;
mod signing;

pub use callbacks::{CallbackSecret, Callbacks};
pub use signing::{EarlierKey, MAX_EARLIER_KEYS, SigningAlgorithm, SigningKey, SigningKeys, UnknownAlgorithm};

/// How many plans a project can have.
pub const MAX_PLANS: usize = 1_000;
/// How many agents can hold a grant.
pub const MAX_GRANTS: usize = 100_000;
/// The largest number of machines of one licence.
pub const MAX_MACHINES: u32 = 10_000;
/// The longest validity, in days.
pub const MAX_DURATION_DAYS: u32 = 36_500;
/// How many features a plan can have.
pub const MAX_FEATURES: usize = 100;

/// The state of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// What it is; `None` before creation.
    pub details: Option<ProjectDetails>,
    /// Disabled projects neither issue nor verify.
    pub disabled: bool,
    /// Its plans.
    pub plans: BTreeMap<PlanId, Plan>,
    /// Who may issue, until when.
    pub grants: BTreeMap<AccountId, Option<DateTime<Utc>>>,
    /// The current credentials of its client software.
    pub credentials: Option<Credentials>,
    /// The credentials before the last rotation, good until a time.
    pub previous_credentials: Option<(Credentials, DateTime<Utc>)>,
    /// The keys that sign what client software gets.
    #[serde(flatten)]
    pub signing_keys: SigningKeys,
    /// What its vendor's server is told.
    #[serde(default)]
    pub callbacks: Callbacks,
}

/// What a project is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectDetails {
    /// 1 to 100 characters.
    pub name: String,
    /// At most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The product's version, at most 50 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where callbacks go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// What client software signs its requests with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The public half.
    pub api_key_id: ApiKeyId,
    /// The secret half, encrypted.
    pub api_secret: Sealed,
}

/// What a licence of a project grants and costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// 1 to 100 characters.
    pub name: String,
    /// Price of one licence.
    pub unit_price: Quota,
    /// What a licence grants.
    pub terms: LicenseTerms,
    /// Grows with every change of what a licence grants; licences keep the version they were issued under.
    #[serde(default = "license::first", skip_serializing_if = "license::is_first")]
    pub version: u32,
    /// Not sold any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

impl Plan {
    /// A plan that is new.
    #[must_use]
    pub fn new(name: String, unit_price: Quota, terms: LicenseTerms) -> Self {
        Self { name, unit_price, terms, version: license::first(), retired: false }
    }
}

/// What can be asked of a project.
#[derive(Clone, Debug)]
pub enum ProjectCommand {
    /// Comes into being, active.
    Create {
        /// What it is.
        details: ProjectDetails,
        /// What its client software signs with.
        credentials: Credentials,
        /// What its answers are signed with.
        signing_key: SigningKey,
    },
    /// Gets other details.
    Change(ProjectDetails),
    /// Stops issuing and verification at once.
    Disable,
    /// Works again.
    Enable,
    /// Gets new credentials; the old ones are good until `previous_until`.
    RotateCredentials {
        /// The new ones.
        credentials: Credentials,
        /// The end of the overlap.
        previous_until: DateTime<Utc>,
    },
    /// Gets another signing key; the one before of its algorithm stays published until `previous_until`.
    RotateSigningKey {
        /// The new one.
        signing_key: SigningKey,
        /// The end of the overlap.
        previous_until: DateTime<Utc>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// Gets a plan.
    AddPlan {
        /// Its id.
        plan_id: PlanId,
        /// What it is.
        plan: Plan,
    },
    /// Gives a plan another content; its version is the aggregate's business.
    ChangePlan {
        /// Which.
        plan_id: PlanId,
        /// What it is from now on.
        plan: Plan,
    },
    /// Lets an agent issue.
    Grant {
        /// The agent.
        agent_id: AccountId,
        /// The end, if any.
        expires_at: Option<DateTime<Utc>>,
        /// Now; an end in the past is refused.
        now: DateTime<Utc>,
    },
    /// Takes a grant back.
    RevokeGrant {
        /// The agent.
        agent_id: AccountId,
    },
    /// Callbacks of these types are told; `None` is all.
    ChooseCallbackTypes(Option<Vec<CallbackType>>),
    /// Callbacks get another secret; the one before signs too until `previous_until`.
    RotateCallbackSecret {
        /// The new one.
        secret: CallbackSecret,
        /// The end of the overlap.
        previous_until: DateTime<Utc>,
    },
    /// The address of callbacks said that it is gone.
    StopCallbacks {
        /// The address that said so.
        url: String,
    },
    /// Callbacks are sent again.
    ResumeCallbacks,
    /// A test is sent.
    TestCallback {
        /// Its id.
        delivery_id: DeliveryId,
    },
    /// A delivery that ended is sent again.
    ReplayCallback {
        /// Which.
        delivery_id: DeliveryId,
    },
}

/// What happened to a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectEvent {
    /// It came into being.
    ProjectCreated {
        /// What it is.
        details: ProjectDetails,
        /// What its client software signs with.
        credentials: Credentials,
        /// What its answers are signed with.
        signing_key: SigningKey,
    },
    /// It got other details.
    ProjectChanged(ProjectDetails),
    /// It was disabled.
    ProjectDisabled {},
    /// It was enabled again.
    ProjectEnabled {},
    /// It got new credentials.
    CredentialsRotated {
        /// The new ones.
        credentials: Credentials,
        /// Until when the ones before are good.
        previous_until: DateTime<Utc>,
    },
    /// It got another signing key.
    SigningKeyRotated {
        /// The new one.
        signing_key: SigningKey,
        /// Until when the one before of the same algorithm is published; absent if there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_until: Option<DateTime<Utc>>,
    },
    /// It got a plan.
    PlanAdded {
        /// Its id.
        plan_id: PlanId,
        /// What it is.
        plan: Plan,
    },
    /// A plan got another content.
    PlanChanged {
        /// Which.
        plan_id: PlanId,
        /// What it is from now on.
        plan: Plan,
    },
    /// An agent may issue.
    ProjectGranted {
        /// The agent.
        agent_id: AccountId,
        /// The end, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// An agent may not issue any more.
    GrantRevoked {
        /// The agent.
        agent_id: AccountId,
    },
    /// Other types of callbacks are told.
    CallbackTypesChosen {
        /// Which; absent is all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        types: Option<Vec<CallbackType>>,
    },
    /// Callbacks got another secret.
    CallbackSecretRotated {
        /// The new one.
        secret: CallbackSecret,
        /// Until when the one before signs too; absent if there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_until: Option<DateTime<Utc>>,
    },
    /// The address of callbacks said that it is gone; nothing is sent any more.
    CallbacksStopped {},
    /// Callbacks are sent again.
    CallbacksResumed {},
    /// A test of the callbacks was asked for.
    CallbackTested {
        /// Its id.
        delivery_id: DeliveryId,
    },
    /// A callback is to be sent again.
    CallbackReplayed {
        /// Which.
        delivery_id: DeliveryId,
    },
}

event_names!(ProjectEvent {
    ProjectCreated,
    ProjectChanged,
    ProjectDisabled,
    ProjectEnabled,
    CredentialsRotated,
    SigningKeyRotated,
    PlanAdded,
    PlanChanged,
    ProjectGranted,
    GrantRevoked,
    CallbackTypesChosen,
    CallbackSecretRotated,
    CallbacksStopped,
    CallbacksResumed,
    CallbackTested,
    CallbackReplayed,
});

/// Why a command on a project is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// There is no such project.
    #[error("there is no such project")]
    Unknown,
    /// The id is taken.
    #[error("the project exists already")]
    Exists,
    /// It is disabled.
    #[error("the project is disabled")]
    Disabled,
    /// There is no such plan in the project.
    #[error("the project has no plan {0}")]
    UnknownPlan(PlanId),
    /// The plan's id is taken by another plan.
    #[error("the plan exists already with another content")]
    PlanExists,
    /// The plan is not sold any more.
    #[error("the plan is retired")]
    PlanRetired,
    /// A value of the plan is out of its limits.
    #[error("{detail}")]
    InvalidPlan {
        /// Its place in the plan, as a JSON pointer.
        pointer: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
    /// [`MAX_PLANS`] or [`MAX_GRANTS`] is reached.
    #[error("the project has too many {0}")]
    TooMany(&'static str),
    /// The agent may not issue.
    #[error("the project is not granted to the agent")]
    NotGranted,
    /// The grant would end in the past.
    #[error("the grant would end in the past")]
    ExpiryInPast,
    /// There is no address for callbacks, no secret, or the address is gone.
    #[error("the project has no callbacks that could be sent")]
    NoCallbacks,
    /// The whole price is beyond [`Quota::MAX`].
    #[error("the price is too large")]
    Price(#[from] QuotaError),
}

impl_aggregate!(Project, "Project", ProjectCommand, ProjectEvent, ProjectError);

impl Project {
    fn decisions(&self, command: ProjectCommand) -> Result<Vec<ProjectEvent>, ProjectError> {
        if let ProjectCommand::Create { details, credentials, signing_key } = command {
            return match self.details {
                None => Ok(vec![ProjectEvent::ProjectCreated { details, credentials, signing_key }]),
                Some(_) => Err(ProjectError::Exists),
            };
        }
        let known = self.details.as_ref().ok_or(ProjectError::Unknown)?;
        Ok(match command {
            ProjectCommand::Create { .. } => return Err(ProjectError::Exists),
            ProjectCommand::Change(same) if same == *known => vec![],
            ProjectCommand::Change(details) => vec![ProjectEvent::ProjectChanged(details)],
            ProjectCommand::Disable if self.disabled => vec![],
            ProjectCommand::Disable => vec![ProjectEvent::ProjectDisabled {}],
            ProjectCommand::Enable if !self.disabled => vec![],
            ProjectCommand::Enable => vec![ProjectEvent::ProjectEnabled {}],
            ProjectCommand::RotateCredentials { credentials, previous_until } => {
                vec![ProjectEvent::CredentialsRotated { credentials, previous_until }]
            }
            ProjectCommand::RotateSigningKey { signing_key, previous_until, now } => {
                return self.rotate_signing_key(signing_key, previous_until, now);
            }
            ProjectCommand::AddPlan { plan_id, plan } => return self.add_plan(plan_id, plan),
            ProjectCommand::ChangePlan { plan_id, plan } => return self.change_plan(plan_id, plan),
            ProjectCommand::Grant { agent_id, expires_at, now } => return self.grant(agent_id, expires_at, now),
            ProjectCommand::RevokeGrant { agent_id } if self.grants.contains_key(&agent_id) => {
                vec![ProjectEvent::GrantRevoked { agent_id }]
            }
            ProjectCommand::RevokeGrant { .. } => vec![],
            ProjectCommand::ChooseCallbackTypes(types) => self.choose_types(types),
            ProjectCommand::RotateCallbackSecret { secret, previous_until } => {
                self.rotate_callback_secret(secret, previous_until)
            }
            ProjectCommand::StopCallbacks { url } => self.stop_callbacks(&url),
            ProjectCommand::ResumeCallbacks if !self.callbacks.stopped => vec![],
            ProjectCommand::ResumeCallbacks => vec![ProjectEvent::CallbacksResumed {}],
            ProjectCommand::TestCallback { delivery_id } => {
                self.check_callbacks()?;
                vec![ProjectEvent::CallbackTested { delivery_id }]
            }
            ProjectCommand::ReplayCallback { delivery_id } => {
                self.check_callbacks()?;
                vec![ProjectEvent::CallbackReplayed { delivery_id }]
            }
        })
    }

    fn add_plan(&self, plan_id: PlanId, plan: Plan) -> Result<Vec<ProjectEvent>, ProjectError> {
        match self.plans.get(&plan_id) {
            Some(known) if *known == plan => return Ok(vec![]),
            Some(_) => return Err(ProjectError::PlanExists),
            None => {}
        }
        if self.plans.len() >= MAX_PLANS {
            return Err(ProjectError::TooMany("plans"));
        }
        check(&plan)?;
        Ok(vec![ProjectEvent::PlanAdded { plan_id, plan: Plan { version: 1, ..plan } }])
    }

    /// Another name or price is no new version: it does not change what was sold.
    fn change_plan(&self, plan_id: PlanId, plan: Plan) -> Result<Vec<ProjectEvent>, ProjectError> {
        let known = self.plans.get(&plan_id).ok_or(ProjectError::UnknownPlan(plan_id))?;
        let version = if known.terms == plan.terms { known.version } else { known.version.saturating_add(1) };
        let plan = Plan { version, ..plan };
        if plan == *known {
            return Ok(vec![]);
        }
        check(&plan)?;
        Ok(vec![ProjectEvent::PlanChanged { plan_id, plan }])
    }

    fn grant(
        &self,
        agent_id: AccountId,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ProjectEvent>, ProjectError> {
        if expires_at.is_some_and(|end| end <= now) {
            return Err(ProjectError::ExpiryInPast);
        }
        if self.grants.get(&agent_id) == Some(&expires_at) {
            return Ok(vec![]);
        }
        if self.grants.len() >= MAX_GRANTS {
            return Err(ProjectError::TooMany("grants"));
        }
        Ok(vec![ProjectEvent::ProjectGranted { agent_id, expires_at }])
    }

    /// The plan an agent may issue from now.
    ///
    /// # Errors
    /// [`ProjectError`] if the project is unknown or disabled, the plan is unknown, or a needed grant is missing or over.
    pub fn sellable(
        &self,
        plan_id: PlanId,
        agent_id: AccountId,
        needs_grant: bool,
        now: DateTime<Utc>,
    ) -> Result<&Plan, ProjectError> {
        if self.details.is_none() {
            return Err(ProjectError::Unknown);
        }
        if self.disabled {
            return Err(ProjectError::Disabled);
        }
        if needs_grant && !self.is_granted(agent_id, now) {
            return Err(ProjectError::NotGranted);
        }
        match self.plans.get(&plan_id) {
            Some(plan) if plan.retired => Err(ProjectError::PlanRetired),
            Some(plan) => Ok(plan),
            None => Err(ProjectError::UnknownPlan(plan_id)),
        }
    }

    /// Whether the agent holds a grant that is not over.
    #[must_use]
    pub fn is_granted(&self, agent_id: AccountId, now: DateTime<Utc>) -> bool {
        self.grants.get(&agent_id).is_some_and(|end| end.is_none_or(|end| end > now))
    }

    fn evolve(&mut self, event: ProjectEvent) {
        match event {
            ProjectEvent::ProjectCreated { details, credentials, signing_key } => {
                self.details = Some(details);
                self.credentials = Some(credentials);
                self.signing_keys.ed25519 = Some(signing_key);
            }
            ProjectEvent::ProjectChanged(details) => {
                let known = self.details.replace(details);
                if known.and_then(|known| known.callback_url)
                    != self.details.as_ref().and_then(|d| d.callback_url.clone())
                {
                    self.callbacks.stopped = false;
                }
            }
            ProjectEvent::ProjectDisabled {} => self.disabled = true,
            ProjectEvent::ProjectEnabled {} => self.disabled = false,
            ProjectEvent::CredentialsRotated { credentials, previous_until } => {
                self.previous_credentials = self.credentials.replace(credentials).map(|old| (old, previous_until));
            }
            ProjectEvent::SigningKeyRotated { signing_key, previous_until } => {
                self.signing_keys.rotate(signing_key, previous_until);
            }
            ProjectEvent::PlanAdded { plan_id, plan } | ProjectEvent::PlanChanged { plan_id, plan } => {
                self.plans.insert(plan_id, plan);
            }
            ProjectEvent::ProjectGranted { agent_id, expires_at } => {
                self.grants.insert(agent_id, expires_at);
            }
            ProjectEvent::GrantRevoked { agent_id } => {
                self.grants.remove(&agent_id);
            }
            ProjectEvent::CallbackTypesChosen { types } => self.callbacks.types = types,
            ProjectEvent::CallbackSecretRotated { secret, previous_until } => {
                self.callbacks.rotate(secret, previous_until);
            }
            ProjectEvent::CallbacksStopped {} => self.callbacks.stopped = true,
            ProjectEvent::CallbacksResumed {} => self.callbacks.stopped = false,
            ProjectEvent::CallbackTested { .. } | ProjectEvent::CallbackReplayed { .. } => {}
        }
    }
}

fn check(plan: &Plan) -> Result<(), ProjectError> {
    plan.terms.check().map_err(|(pointer, detail)| ProjectError::InvalidPlan { pointer, detail })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_grant_ends_by_itself() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let agent = AccountId(Uuid::from_u128(1));
        let mut project = Project::default();
        project.evolve(ProjectEvent::ProjectGranted { agent_id: agent, expires_at: Some(now + TimeDelta::days(1)) });
        assert!(project.is_granted(agent, now));
        assert!(!project.is_granted(agent, now + TimeDelta::days(1)));
    }

    #[test]
    fn rotation_keeps_the_previous_credentials_for_the_overlap() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let credentials = |id: &str| Credentials { api_key_id: ApiKeyId(id.into()), api_secret: Sealed("s".into()) };
        let mut project = Project { credentials: Some(credentials("old")), ..Project::default() };
        project.evolve(ProjectEvent::CredentialsRotated { credentials: credentials("new"), previous_until: now });
        assert_eq!(project.credentials, Some(credentials("new")));
        assert_eq!(project.previous_credentials, Some((credentials("old"), now)));
    }
}
