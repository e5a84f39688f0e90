//! What is known of a project's callbacks at the position that the log was read to, and how its address is doing.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use quotary_domain::TenantId;
use quotary_domain::project::{Callbacks, Project, ProjectDetails, ProjectEvent};

/// The callbacks of a project.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub tenant_id: TenantId,
    /// The project with its address and callbacks, and nothing else.
    pub project: Project,
    /// Nothing is sent before.
    pub not_before: DateTime<Utc>,
    /// How many of its callbacks are on their way.
    pub pending: u64,
    /// How many are being sent.
    pub in_flight: usize,
    /// Whether the last one got no answer.
    pub struggles: bool,
}

impl Endpoint {
    pub fn new(tenant_id: TenantId, url: Option<String>, callbacks: Callbacks, not_before: DateTime<Utc>) -> Self {
        let project = Project { details: Some(with_url(url)), callbacks, ..Project::default() };
        Self { tenant_id, project, not_before, pending: 0, in_flight: 0, struggles: false }
    }

    /// Takes what an event says about callbacks; whether it says something.
    pub fn fold(&mut self, event: &ProjectEvent) -> bool {
        let event = match event {
            ProjectEvent::ProjectCreated { details, .. } | ProjectEvent::ProjectChanged(details) => {
                ProjectEvent::ProjectChanged(with_url(details.callback_url.clone()))
            }
            ProjectEvent::CallbackTypesChosen { .. }
            | ProjectEvent::CallbackSecretRotated { .. }
            | ProjectEvent::CallbacksStopped {}
            | ProjectEvent::CallbacksResumed {} => event.clone(),
            _ => return false,
        };
        let before = self.project.clone();
        self.project.apply(event);
        self.project != before
    }

    /// The address, if callbacks are sent.
    pub fn url(&self) -> Option<&str> {
        self.project.callback_url()
    }

    /// The address, whether something is sent there or not.
    pub fn set_url(&self) -> Option<&str> {
        self.project.details.as_ref()?.callback_url.as_deref()
    }
}

fn with_url(callback_url: Option<String>) -> ProjectDetails {
    ProjectDetails { name: String::new(), description: None, version: None, callback_url }
}
