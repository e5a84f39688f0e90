//! Projects as verification needs them: whether they work, and the credentials of their client software.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use parking_lot::RwLock;
use quotary_domain::project::{Credentials, Project, ProjectEvent, SigningKeys};
use quotary_domain::{ProjectId, TenantId};

use crate::freshness::{Effect, step};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// Its id.
    pub project_id: ProjectId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Disabled projects neither issue nor verify.
    pub disabled: bool,
    /// What its client software signs with.
    pub credentials: Option<Credentials>,
    /// The credentials before, and the end of their overlap.
    pub previous_credentials: Option<(Credentials, DateTime<Utc>)>,
    /// What its answers and files are signed with.
    pub signing_keys: SigningKeys,
    /// The event that it stands at.
    pub sequence: u64,
    /// Whether an event was missed; the log must be asked.
    pub doubtful: bool,
}

impl ProjectEntry {
    /// The credentials of that id, if they are good at `now`.
    #[must_use]
    pub fn credentials_for(&self, api_key_id: &str, now: DateTime<Utc>) -> Option<&Credentials> {
        let current = self.credentials.as_ref();
        let previous = self.previous_credentials.as_ref().filter(|(_, until)| now < *until).map(|(before, _)| before);
        current.into_iter().chain(previous).find(|credentials| credentials.api_key_id.0 == api_key_id)
    }

    fn key_ids(&self) -> impl Iterator<Item = &str> {
        let previous = self.previous_credentials.as_ref().map(|(credentials, _)| credentials);
        self.credentials.iter().chain(previous).map(|credentials| credentials.api_key_id.0.as_str())
    }

    fn of_state(tenant_id: TenantId, project_id: ProjectId, state: &Project, sequence: u64) -> Self {
        Self {
            project_id,
            tenant_id,
            disabled: state.disabled,
            credentials: state.credentials.clone(),
            previous_credentials: state.previous_credentials.clone(),
            signing_keys: state.signing_keys.clone(),
            sequence,
            doubtful: false,
        }
    }

    fn evolve(&mut self, event: &ProjectEvent) {
        match event {
            ProjectEvent::ProjectCreated { credentials, signing_key, .. } => {
                self.credentials = Some(credentials.clone());
                self.signing_keys.ed25519 = Some(signing_key.clone());
            }
            ProjectEvent::ProjectDisabled {} => self.disabled = true,
            ProjectEvent::ProjectEnabled {} => self.disabled = false,
            ProjectEvent::CredentialsRotated { credentials, previous_until } => {
                let before = self.credentials.replace(credentials.clone());
                self.previous_credentials = before.map(|before| (before, *previous_until));
            }
            ProjectEvent::SigningKeyRotated { signing_key, previous_until } => {
                self.signing_keys.rotate(signing_key.clone(), *previous_until);
            }
            ProjectEvent::ProjectChanged(_)
            | ProjectEvent::PlanAdded { .. }
            | ProjectEvent::PlanChanged { .. }
            | ProjectEvent::ProjectGranted { .. }
            | ProjectEvent::GrantRevoked { .. }
            | ProjectEvent::CallbackTypesChosen { .. }
            | ProjectEvent::CallbackSecretRotated { .. }
            | ProjectEvent::CallbacksStopped {}
            | ProjectEvent::CallbacksResumed {}
            | ProjectEvent::CallbackTested { .. }
            | ProjectEvent::CallbackReplayed { .. } => {}
        }
    }
}

/// All projects; few, and changed seldom.
#[derive(Default)]
pub(super) struct ProjectMap(RwLock<Maps>);

#[derive(Default)]
struct Maps {
    by_id: HashMap<ProjectId, Arc<ProjectEntry>>,
    by_key_id: HashMap<String, ProjectId>,
}

impl ProjectMap {
    pub(super) fn get(&self, project_id: ProjectId) -> Option<Arc<ProjectEntry>> {
        self.0.read().by_id.get(&project_id).cloned()
    }

    pub(super) fn read<T>(&self, project_id: ProjectId, look: impl FnOnce(&ProjectEntry) -> T) -> Option<T> {
        self.0.read().by_id.get(&project_id).map(|project| look(project))
    }

    pub(super) fn by_api_key(&self, api_key_id: &str, now: DateTime<Utc>) -> Option<Arc<ProjectEntry>> {
        let maps = self.0.read();
        let project = maps.by_id.get(maps.by_key_id.get(api_key_id)?)?;
        project.credentials_for(api_key_id, now).map(|_| project.clone())
    }

    pub(super) fn apply(
        &self,
        tenant_id: TenantId,
        project_id: ProjectId,
        event: &ProjectEvent,
        sequence: u64,
    ) -> Effect {
        let mut maps = self.0.write();
        let known = maps.by_id.get(&project_id);
        let effect = step(known.map_or(0, |project| project.sequence), sequence);
        if effect == Effect::Old {
            return effect;
        }
        let mut project = known.map_or_else(
            || ProjectEntry::of_state(tenant_id, project_id, &Project::default(), 0),
            |known| ProjectEntry::clone(known),
        );
        project.sequence = sequence;
        project.doubtful |= effect == Effect::Gap;
        if !project.doubtful {
            project.evolve(event);
        }
        maps.put(project);
        effect
    }

    pub(super) fn observe(&self, tenant_id: TenantId, project_id: ProjectId, state: &Project, sequence: u64) -> Effect {
        self.take(ProjectEntry::of_state(tenant_id, project_id, state, sequence))
    }

    /// Takes over a whole entry if it is newer, or as new as what a doubtful one missed.
    pub(super) fn take(&self, newer: ProjectEntry) -> Effect {
        let mut maps = self.0.write();
        let old = maps.by_id.get(&newer.project_id).is_some_and(|known| {
            if known.doubtful { newer.sequence < known.sequence } else { newer.sequence <= known.sequence }
        });
        if old {
            return Effect::Old;
        }
        maps.put(newer);
        Effect::Applied
    }

    pub(super) fn len(&self) -> usize {
        self.0.read().by_id.len()
    }
}

impl Maps {
    fn put(&mut self, project: ProjectEntry) {
        let project = Arc::new(project);
        if let Some(before) = self.by_id.insert(project.project_id, project.clone()) {
            for gone in before.key_ids() {
                self.by_key_id.remove(gone);
            }
        }
        for key_id in project.key_ids() {
            self.by_key_id.insert(key_id.to_owned(), project.project_id);
        }
    }
}
